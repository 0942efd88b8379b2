namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>Turns updates and snapshots into entries, in sequence, and keeps the marks that they lead to. Neighbouring
/// regions become one run; many scattered ones become bits. A core: one owner, one thread.</summary>
public sealed class EntryWriter(ulong incarnation, ulong generation)
{
    private const long RunsPerPage = 56; // FasterLog's header included; LayoutLimits counts on a page per block.
    private readonly byte[] _entry = new byte[DirtyLogEntry.MaxBytes];
    private readonly ulong[] _words = new ulong[DirtyLogEntry.MaxWords];

    /// <summary>Takes an entry; the bytes are valid during the call only.</summary>
    public delegate void Sink(ReadOnlySpan<byte> entry);

    /// <summary>What a reader of all entries so far would find.</summary>
    public MarkSet Marks { get; } = new();

    /// <summary>Sequence of the newest entry.</summary>
    public ulong LastSequence { get; private set; }

    /// <summary>Writes updates in order.</summary>
    public void Append(ReadOnlySpan<RegionUpdate> updates, Sink sink)
    {
        while (updates.Length > 0)
        {
            var length = GroupLength(updates, out var runs);
            var group = updates[..length];
            var first = group[0].Region / 64 * 64;
            var words = (int)(((group[^1].Region - first) / 64) + 1);
            if (runs * (DirtyLogEntry.HeaderBytes + 12) <= DirtyLogEntry.HeaderBytes + 12 + (words * 8)) AppendRuns(group, sink);
            else AppendBits(group, first, words, sink);
            updates = updates[length..];
        }
    }

    /// <summary>Writes a snapshot of all marks.</summary>
    public void Snapshot(Sink sink)
    {
        Emit(DirtyLogEntryKind.SnapshotBegin, 0, 0, 0, [], sink);
        foreach (var (volume, marks) in Marks.Volumes())
        {
            // Runs first: those that reach over whole blocks, as after a loss of everything, stay one entry.
            var runs = 0L;
            foreach (var _ in marks.Runs()) runs++;
            if (runs <= RunsPerPage * BlockCount(marks))
            {
                foreach (var run in marks.Runs()) Emit(DirtyLogEntryKind.Mark, volume, run.Start, run.Length, [], sink);
                continue;
            }

            foreach (var (first, words) in marks.Blocks())
            {
                var used = words.AsSpan().LastIndexOfAnyExcept(0UL) + 1;
                Emit(DirtyLogEntryKind.MarkBits, volume, first, used * 64L, words.AsSpan(0, used), sink);
            }
        }

        Emit(DirtyLogEntryKind.SnapshotEnd, 0, 0, 0, [], sink);
    }

    // A stretch of the updates with one volume, one kind and ascending regions that fit the bits of one entry.
    private static int GroupLength(ReadOnlySpan<RegionUpdate> updates, out int runs)
    {
        var first = updates[0];
        var end = (first.Region / 64 * 64) + (DirtyLogEntry.MaxWords * 64L);
        var length = 1;
        runs = 1;
        while (length < updates.Length)
        {
            var next = updates[length];
            var previous = updates[length - 1].Region;
            if (next.Volume != first.Volume || next.IsDirty != first.IsDirty || next.Region <= previous) break;
            if (next.Region >= end && (runs > 1 || next.Region != previous + 1)) break;
            if (next.Region != previous + 1) runs++;
            length++;
        }

        return length;
    }

    private static long BlockCount(RegionBitmap marks)
    {
        var count = 0L;
        foreach (var _ in marks.Blocks()) count++;
        return count;
    }

    private void AppendRuns(ReadOnlySpan<RegionUpdate> group, Sink sink)
    {
        var start = 0;
        for (var i = 1; i <= group.Length; i++)
        {
            if (i < group.Length && group[i].Region == group[i - 1].Region + 1) continue;
            var (volume, region, isDirty) = group[start];
            Marks.Set(volume, region, i - start, isDirty);
            Emit(isDirty ? DirtyLogEntryKind.Mark : DirtyLogEntryKind.Clear, volume, region, i - start, [], sink);
            start = i;
        }
    }

    private void AppendBits(ReadOnlySpan<RegionUpdate> group, long first, int words, Sink sink)
    {
        var bits = _words.AsSpan(0, words);
        bits.Clear();
        foreach (var update in group)
        {
            bits[(int)((update.Region - first) / 64)] |= 1UL << (int)(update.Region % 64);
            Marks.Set(update.Volume, update.Region, 1, update.IsDirty);
        }

        var kind = group[0].IsDirty ? DirtyLogEntryKind.MarkBits : DirtyLogEntryKind.ClearBits;
        Emit(kind, group[0].Volume, first, words * 64L, bits, sink);
    }

    private void Emit(DirtyLogEntryKind kind, uint volume, long first, long count, ReadOnlySpan<ulong> words, Sink sink)
    {
        var entry = new DirtyLogEntry(kind, incarnation, generation, ++LastSequence, volume, first, count, words.Length);
        entry.Write(_entry, words);
        sink(_entry.AsSpan(0, entry.SizeBytes));
    }
}
