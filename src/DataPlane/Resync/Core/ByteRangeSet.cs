using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Resync.Core;

/// <summary>A set of bytes as sorted, disjoint, non-touching ranges. One owning thread.</summary>
internal sealed class ByteRangeSet
{
    private readonly List<ByteRange> _ranges = [];

    /// <summary>The ranges, ascending.</summary>
    public IReadOnlyList<ByteRange> Ranges => _ranges;

    public bool IsEmpty => _ranges.Count == 0;

    /// <summary>Number of bytes.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Smallest byte; the set must not be empty.</summary>
    public long First => _ranges[0].Start;

    public void Clear()
    {
        _ranges.Clear();
        TotalBytes = 0;
    }

    public void Add(ByteRange range)
    {
        if (range.Length <= 0) return;
        // Everything that touches the new range melts into it.
        var from = FirstEndingAtOrAfter(range.Start);
        var to = from;
        var (start, end) = (range.Start, range.End);
        while (to < _ranges.Count && _ranges[to].Start <= range.End)
        {
            start = Math.Min(start, _ranges[to].Start);
            end = Math.Max(end, _ranges[to].End);
            TotalBytes -= _ranges[to].Length;
            to++;
        }

        _ranges.RemoveRange(from, to - from);
        _ranges.Insert(from, new ByteRange(start, end - start));
        TotalBytes += end - start;
    }

    public void Remove(ByteRange range)
    {
        if (range.Length <= 0) return;
        var index = FirstEndingAtOrAfter(range.Start);
        while (index < _ranges.Count && _ranges[index].Start < range.End)
        {
            var old = _ranges[index];
            if (!old.Overlaps(range))
            {
                index++;
                continue;
            }

            _ranges.RemoveAt(index);
            TotalBytes -= old.Length;
            if (old.Start < range.Start) Keep(ref index, old.Start, range.Start);
            if (old.End > range.End) Keep(ref index, range.End, old.End);
        }
    }

    public bool Overlaps(ByteRange range) => TryFirst(range, out _);

    /// <summary>The lowest part of the set inside <paramref name="within"/>, clipped to it.</summary>
    public bool TryFirst(ByteRange within, out ByteRange part)
    {
        part = default;
        for (var i = FirstEndingAtOrAfter(within.Start); i < _ranges.Count && _ranges[i].Start < within.End; i++)
        {
            if (!_ranges[i].Overlaps(within)) continue;
            var start = Math.Max(_ranges[i].Start, within.Start);
            part = new ByteRange(start, Math.Min(_ranges[i].End, within.End) - start);
            return true;
        }

        return false;
    }

    private void Keep(ref int index, long start, long end)
    {
        _ranges.Insert(index++, new ByteRange(start, end - start));
        TotalBytes += end - start;
    }

    private int FirstEndingAtOrAfter(long offset)
    {
        var (low, high) = (0, _ranges.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_ranges[middle].End < offset) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
