using System.Numerics;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>The marks of all volumes of a set, and how entries change them. A core: one owner, one thread.</summary>
public sealed class MarkSet
{
    private readonly SortedDictionary<uint, RegionBitmap> _volumes = [];

    /// <summary>Number of marked regions of all volumes.</summary>
    public long Count
    {
        get
        {
            long count = 0;
            foreach (var bitmap in _volumes.Values) count += bitmap.Count;
            return count;
        }
    }

    /// <summary>True if a region is marked.</summary>
    public bool Contains(uint volume, long region) => _volumes.TryGetValue(volume, out var bitmap) && bitmap.Contains(region);

    /// <summary>Marks or clears a run of regions.</summary>
    public void Set(uint volume, long first, long count, bool isDirty)
    {
        if (!_volumes.TryGetValue(volume, out var bitmap))
        {
            if (!isDirty) return;
            _volumes.Add(volume, bitmap = new RegionBitmap());
        }

        bitmap.Set(first, count, isDirty);
        if (bitmap.Count == 0) _volumes.Remove(volume);
    }

    /// <summary>Applies a mark or clear of any kind that was checked by <see cref="DirtyLogEntry.TryRead"/>.</summary>
    public void Apply(DirtyLogEntry entry, ReadOnlySpan<byte> bytes)
    {
        switch (entry.Kind)
        {
            case DirtyLogEntryKind.Mark or DirtyLogEntryKind.Clear:
                Set(entry.Volume, entry.FirstRegion, entry.RegionCount, entry.Kind == DirtyLogEntryKind.Mark);
                break;
            case DirtyLogEntryKind.MarkBits or DirtyLogEntryKind.ClearBits:
                for (var i = 0; i < entry.Words; i++)
                {
                    var word = DirtyLogEntry.WordAt(bytes, i);
                    var first = entry.FirstRegion + (i * 64L);
                    while (word != 0)
                    {
                        var at = BitOperations.TrailingZeroCount(word);
                        var length = BitOperations.TrailingZeroCount(~(word >> at));
                        Set(entry.Volume, first + at, length, entry.Kind == DirtyLogEntryKind.MarkBits);
                        word = at + length >= 64 ? 0 : word & (ulong.MaxValue << (at + length));
                    }
                }

                break;
            default:
                Invariant.Fail("Snapshot frames change no marks.");
                break;
        }
    }

    /// <summary>Adds every mark of <paramref name="other"/>.</summary>
    public void Union(MarkSet other)
    {
        foreach (var (volume, bitmap) in other._volumes)
        {
            foreach (var run in bitmap.Runs()) Set(volume, run.Start, run.Length, isDirty: true);
        }
    }

    /// <summary>True if both hold the same marks.</summary>
    public bool IsSame(MarkSet other)
    {
        if (_volumes.Count != other._volumes.Count) return false;
        foreach (var (volume, bitmap) in _volumes)
        {
            if (!other._volumes.TryGetValue(volume, out var theirs) || !bitmap.Runs().SequenceEqual(theirs.Runs())) return false;
        }

        return true;
    }

    /// <summary>Volumes with marks, by number.</summary>
    public IEnumerable<(uint Volume, RegionBitmap Marks)> Volumes()
    {
        foreach (var (volume, bitmap) in _volumes) yield return (volume, bitmap);
    }

    /// <summary>Region numbers by volume, as <see cref="RecoveredMarks"/> has them.</summary>
    public IReadOnlyDictionary<uint, IReadOnlyList<long>> ToLists()
    {
        var lists = new SortedDictionary<uint, IReadOnlyList<long>>();
        foreach (var (volume, bitmap) in _volumes) lists.Add(volume, bitmap.ToList());
        return lists;
    }
}
