using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <summary>The configurations that a node's log implies, kept by the checker from what the node writes: the one of its snapshot (or
/// the initial one) and those in the log behind it.</summary>
internal sealed class MemberImage
{
    private readonly List<(ulong Index, Configuration Configuration)> _known = [];

    /// <summary>The newest, which must be in force.</summary>
    public (ulong Index, Configuration Configuration) Newest => _known[^1];

    /// <summary>Index of the second newest; 0 if there is none.</summary>
    public ulong PreviousIndex => _known.Count > 1 ? _known[^2].Index : 0;

    public static Configuration Decode(in LogEntry entry)
    {
        var error = ConfigurationCodec.TryDecode(entry.Payload.Span, out var configuration);
        ClusterChecker.Require(error is null, $"a configuration in a log does not decode: {error}");
        return configuration;
    }

    public static bool AreEqual(Configuration a, Configuration b) =>
        ReferenceEquals(a, b) || ConfigurationCodec.Encode(a).AsSpan().SequenceEqual(ConfigurationCodec.Encode(b));

    /// <summary>A process starts with this.</summary>
    public void Recovered(ulong index, Configuration configuration, IEnumerable<LogEntry> entries)
    {
        _known.Clear();
        _known.Add((index, configuration));
        foreach (var entry in entries)
        {
            if (entry.Type == EntryType.Configuration && entry.Index > index) _known.Add((entry.Index, Decode(entry)));
        }
    }

    /// <summary>A batch replaces everything from its first entry on, or everything.</summary>
    /// <param name="batch">What the core hands to the log.</param>
    /// <param name="installed">The configuration of the snapshot, if the batch is a reset.</param>
    public void Written(WriteBatch batch, Configuration? installed)
    {
        if (batch.IsReset)
        {
            _known.Clear();
            _known.Add((batch.Previous.Index, installed!));
        }
        else if (batch.Entries.Length > 0)
        {
            while (_known.Count > 1 && _known[^1].Index > batch.Previous.Index) _known.RemoveAt(_known.Count - 1);
        }

        foreach (var entry in batch.Entries)
        {
            if (entry.Type == EntryType.Configuration) _known.Add((entry.Index, Decode(entry)));
        }
    }
}
