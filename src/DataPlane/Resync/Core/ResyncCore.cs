using RaftMirror.DataPlane.Configuration;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Resync.Core;

/// <summary>What a volume's resync still owes, in which order it is worked on, and the figures of its progress. Pure; part of the
/// volume's core. Ranges of the volume in bytes.</summary>
internal sealed class ResyncCore
{
    private const int MaxPriorities = 1024;
    private readonly ByteRangeSet _todo = new();
    private readonly Queue<ByteRange> _priorities = new();
    private long _sizeBytes;

    /// <summary>Not done; parts of it may be under way.</summary>
    public ByteRangeSet Owed { get; } = new();

    /// <summary>Whole volume, or only owed regions (the optimized kind).</summary>
    public bool IsEverything { get; private set; }

    /// <summary>Work in all at <see cref="Load"/>.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Work done.</summary>
    public long DoneBytes => TotalBytes - Owed.TotalBytes;

    /// <summary>Written to legs that differed.</summary>
    public long CopiedBytes { get; private set; }

    /// <summary>Found equal.</summary>
    public long ComparedBytes { get; private set; }

    /// <summary>Starts over from the committed state.</summary>
    public void Load(ResyncConfiguration? resync, long sizeBytes, int regionBytes)
    {
        Owed.Clear();
        _todo.Clear();
        _priorities.Clear();
        _sizeBytes = sizeBytes;
        IsEverything = resync is { IsEverythingOwed: true };
        if (resync is { IsEverythingOwed: true })
        {
            Owe(resync.PositionBytes, sizeBytes);
        }

        if (resync is not null)
        {
            foreach (var run in resync.OwedRegions) Owe(run.Start * regionBytes, Math.Min(run.End * regionBytes, sizeBytes));
        }

        TotalBytes = Owed.TotalBytes;
        CopiedBytes = 0;
        ComparedBytes = 0;
    }

    /// <summary>A read waits for these bytes: they come next.</summary>
    public void Prioritize(ByteRange range)
    {
        if (_priorities.Count < MaxPriorities) _priorities.Enqueue(range);
    }

    /// <summary>The next range to copy; it is under way until <see cref="Done"/> or <see cref="GiveBack"/>.</summary>
    /// <param name="maxBytes">At most this much, and within one multiple of it.</param>
    /// <param name="range">The range.</param>
    public bool TryTake(int maxBytes, out ByteRange range)
    {
        while (_priorities.TryPeek(out var wanted))
        {
            if (_todo.TryFirst(wanted, out var part))
            {
                range = Clip(part.Start, maxBytes);
                return true;
            }

            _priorities.Dequeue();
        }

        range = default;
        if (_todo.IsEmpty) return false;
        range = Clip(_todo.First, maxBytes);
        return true;
    }

    /// <summary>The legs are equal there.</summary>
    public void Done(ByteRange range, long copiedBytes, long comparedBytes)
    {
        Owed.Remove(range);
        CopiedBytes += copiedBytes;
        ComparedBytes += comparedBytes;
    }

    /// <summary>The copy did not come to its end.</summary>
    public void GiveBack(ByteRange range) => _todo.Add(range);

    /// <summary>The owner says that the legs are equal there.</summary>
    public void KnownDone(ByteRange range)
    {
        Owed.Remove(range);
        _todo.Remove(range);
    }

    /// <summary>Fewer than two legs are left: no leg can differ from another.</summary>
    public void NothingToCompare()
    {
        Owed.Clear();
        _todo.Clear();
    }

    private ByteRange Clip(long start, int maxBytes)
    {
        var end = Math.Min(((start / maxBytes) + 1) * maxBytes, _sizeBytes);
        Invariant.Require(_todo.TryFirst(new ByteRange(start, end - start), out var range), "The start is to be done.");
        _todo.Remove(range);
        return range;
    }

    private void Owe(long start, long end)
    {
        if (end <= start) return;
        Owed.Add(new ByteRange(start, end - start));
        _todo.Add(new ByteRange(start, end - start));
    }
}
