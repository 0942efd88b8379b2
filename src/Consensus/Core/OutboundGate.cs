using RaftMirror.Consensus.Messages;

namespace RaftMirror.Consensus.Core;

/// <summary>Holds messages back until the write that they depend on is durable. Order among messages to be released is
/// kept, but a message without a condition overtakes held ones: appends and heartbeats never wait for the leader's disk.</summary>
internal sealed class OutboundGate
{
    private readonly Queue<OutboundMessage> _held = new();
    private ulong _durable;

    /// <summary>Messages waiting for a write.</summary>
    public int HeldCount => _held.Count;

    /// <summary>Takes one message in.</summary>
    /// <param name="outbound">From a <see cref="Ready"/>.</param>
    /// <param name="released">Receives it if it may leave now.</param>
    public void Add(OutboundMessage outbound, List<Message> released)
    {
        if (outbound.ReleaseAfter <= _durable) released.Add(outbound.Message);
        else _held.Enqueue(outbound);
    }

    /// <summary>Everything up to <paramref name="sequence"/> is on stable storage.</summary>
    public void WriteDone(ulong sequence, List<Message> released)
    {
        _durable = sequence;

        // Conditions mostly rise, but a reply that needs only the term may stand behind one that needs entries: it then
        // leaves with it or at the next completion. Later is always safe.
        while (_held.TryPeek(out var first) && first.ReleaseAfter <= _durable) released.Add(_held.Dequeue().Message);
    }
}
