using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>A message with its hash under each naming of the nodes. Immutable.</summary>
internal sealed class ExploredMessage
{
    public ExploredMessage(in Message message, byte[][] namings)
    {
        Message = message;
        Hashes = new UInt128[namings.Length];
        for (var i = 0; i < namings.Length; i++) Hashes[i] = Hash(message, namings[i]);
    }

    public Message Message { get; }

    public UInt128[] Hashes { get; }

    private static UInt128 Hash(in Message message, byte[] names)
    {
        var hash = new StateHash();
        hash.Add((ulong)message.Kind);
        hash.Add(names[message.From.Value]);
        hash.Add(names[message.To.Value]);
        hash.Add(message.Term);
        hash.Add(message.Log);
        hash.Add(message.Commit);
        hash.Add(message.Round);
        hash.Add(message.Reject);
        hash.Add(message.IsTransfer);
        hash.Add(message.Hint);
        hash.Add((ulong)message.Entries.Length);
        foreach (ref readonly var entry in message.Entries.Span) hash.Add(entry);
        return hash.Value;
    }
}
