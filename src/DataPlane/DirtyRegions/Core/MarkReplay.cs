namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>Replays entries to marks, and doubts whatever it cannot prove: a wrong checksum, writer or kind, a gap in the
/// sequence, no complete snapshot to start from, an end short of what was committed. Once in doubt, always in doubt. A core.</summary>
public sealed class MarkReplay(ulong incarnation, ulong generation)
{
    private MarkSet? _snapshot;
    private bool _hasBase;
    private ulong _last;

    /// <summary>What was doubtful first, for people; null if nothing was.</summary>
    public string? Doubt { get; private set; }

    /// <summary>The marks, complete only after <see cref="Finish"/> returned true.</summary>
    public MarkSet Marks { get; private set; } = new();

    /// <summary>Takes the next entry.</summary>
    /// <returns>False in doubt.</returns>
    public bool Take(ReadOnlySpan<byte> bytes)
    {
        if (Doubt is not null) return false;
        Doubt = DirtyLogEntry.TryRead(bytes, out var entry) ?? Check(entry);
        if (Doubt is not null) return false;
        _last = entry.Sequence;
        switch (entry.Kind)
        {
            case DirtyLogEntryKind.SnapshotBegin:
                _snapshot = new MarkSet();
                break;
            case DirtyLogEntryKind.SnapshotEnd:
                Marks = _snapshot!;
                _snapshot = null;
                _hasBase = true;
                break;
            default:
                (_snapshot ?? Marks).Apply(entry, bytes);
                break;
        }

        return true;
    }

    /// <summary>No more entries.</summary>
    /// <param name="lastSequence">The newest that was committed.</param>
    /// <returns>True if <see cref="Marks"/> is complete.</returns>
    public bool Finish(ulong lastSequence)
    {
        if (Doubt is null && _last != lastSequence) Doubt = $"entries end at {_last}, but {lastSequence} were committed";
        if (Doubt is null && !_hasBase) Doubt = "there is no complete snapshot to start from";
        return Doubt is null;
    }

    private string? Check(DirtyLogEntry entry)
    {
        if (entry.Incarnation != incarnation || entry.Generation != generation)
            return $"an entry is of incarnation {entry.Incarnation}, generation {entry.Generation}";
        if (_last != 0 && entry.Sequence != _last + 1) return $"entry {entry.Sequence} follows entry {_last}";
        if (entry.Kind == DirtyLogEntryKind.SnapshotEnd && _snapshot is null) return "a snapshot ends that did not begin";
        if (_snapshot is not null && entry.Kind is not (DirtyLogEntryKind.SnapshotEnd or DirtyLogEntryKind.Mark or DirtyLogEntryKind.MarkBits))
            return "a snapshot is interrupted";
        return null;
    }
}
