using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Everywhere that a signature can stand: the first 8 MiB, the last 4 MiB, and the blocks beyond where formats keep further copies.
/// A disk is blank only if all of that is zero. Pure.</summary>
internal static class SignaturePlaces
{
    /// <summary>Looked at from the start: up to LUKS2's last second header at 4 MiB, and to spare.</summary>
    public const long HeadBytes = 8 << 20;

    /// <summary>Looked at to the end: back to Promise's record at 1.5 MiB, ZFS' labels, bcachefs' copy at 1 MiB, and to spare.</summary>
    public const long TailBytes = 4 << 20;

    private const long BlockBytes = 4096;

    /// <summary>Copies beyond the head: btrfs at 64 MiB and 256 GiB, BlueStore at 1, 10, 100 and 1000 GiB.</summary>
    private static readonly long[] Copies = [64L << 20, 1L << 30, 10L << 30, 100L << 30, 256L << 30, 1000L << 30];

    /// <summary>The ranges of a disk, sorted, apart, in whole sectors. On a small disk start and end are one.</summary>
    /// <param name="sizeBytes">Of the disk, a multiple of the sector.</param>
    /// <param name="sectorBytes">Logical sector.</param>
    public static IReadOnlyList<ByteRange> Of(long sizeBytes, int sectorBytes)
    {
        var tail = Math.Max(0, sizeBytes - TailBytes) / sectorBytes * sectorBytes;
        var ranges = new List<ByteRange>();
        Add(ranges, 0, Math.Min(HeadBytes, sizeBytes));
        foreach (var copy in Copies)
        {
            if (!DiskMutants.CopiesUnseen) Add(ranges, copy, Math.Min(copy + BlockBytes, sizeBytes));
        }

        if (!DiskMutants.TailUnseen) Add(ranges, tail, sizeBytes);
        ranges.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        return Joined(ranges);
    }

    /// <summary>What was looked at, for a message.</summary>
    public static string Describe(long sizeBytes)
    {
        if (sizeBytes <= HeadBytes + TailBytes) return "all of it";
        var copies = Copies.Where(copy => copy >= HeadBytes && copy + BlockBytes <= sizeBytes - TailBytes).Select(Size).ToList();
        var beyond = copies.Count == 0 ? "" : $" and the copies' places at {string.Join(", ", copies)}";
        return $"its first {Size(HeadBytes)}, its last {Size(TailBytes)}{beyond}";
    }

    private static string Size(long bytes) => bytes >= 1L << 30 ? $"{bytes >> 30} GiB" : $"{bytes >> 20} MiB";

    private static void Add(List<ByteRange> ranges, long start, long end)
    {
        if (start < end) ranges.Add(new ByteRange(start, end - start));
    }

    private static List<ByteRange> Joined(List<ByteRange> sorted)
    {
        var joined = new List<ByteRange>();
        foreach (var range in sorted)
        {
            if (joined.Count == 0 || joined[^1].End < range.Start) joined.Add(range);
            else if (range.End > joined[^1].End) joined[^1] = new ByteRange(joined[^1].Start, range.End - joined[^1].Start);
        }

        return joined;
    }
}
