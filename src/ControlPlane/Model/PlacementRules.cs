using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>Where things lie on the disks of a set. Pure.</summary>
public static class PlacementRules
{
    /// <summary>Extents and the data area are aligned to this.</summary>
    public const long AlignmentBytes = 1 << 20;

    /// <summary>The label's tail copy at the very end of the disk.</summary>
    public const long TailLabelBytes = 4096;

    /// <summary>The smallest dirty-log slot.</summary>
    public const long MinSlotBytes = SlotFrameBytes + (8 * (BlockBytes + (4 * BlockBytes)));

    /// <summary>Regions whose marks share one page of a snapshot.</summary>
    public const long RegionsPerPage = 448 * 64;

    private const long BlockBytes = 4096;
    private const long SlotFrameBytes = 4 * BlockBytes;
    private const long MaxUsedSlotBytes = 32L << 20;

    /// <summary>First byte of the data area.</summary>
    public static long DataStart(long metadataBytes) => metadataBytes;

    /// <summary>First byte after the data area.</summary>
    public static long DataEnd(long diskSizeBytes) => (diskSizeBytes - TailLabelBytes) / AlignmentBytes * AlignmentBytes;

    /// <summary>Size of one dirty-log slot: what the label and the two set records (a sixteenth each) leave, in equal parts of
    /// whole blocks. The same arithmetic as the data plane's layout, which a test compares.</summary>
    public static long SlotBytes(long metadataBytes, int maxNodes) =>
        (metadataBytes - BlockBytes - (2 * (metadataBytes / 16 / BlockBytes * BlockBytes))) / maxNodes / BlockBytes * BlockBytes;

    /// <summary>Pages that a snapshot of all marks may take in a slot of that geometry: a quarter of the ring of segments (old and new
    /// snapshot lie side by side, and updates need room) but for three that frame it.</summary>
    public static long SnapshotPages(long metadataBytes, int maxNodes)
    {
        var ring = Math.Min(SlotBytes(metadataBytes, maxNodes), MaxUsedSlotBytes) - SlotFrameBytes;
        var bits = 14;
        while (ring / (BlockBytes + (2L << bits)) >= 8) bits++;
        return (ring / (BlockBytes + (1L << bits)) * (1L << bits) / 4 / BlockBytes) - 3;
    }

    /// <summary>Pages that the marks of one volume take at the worst: one bit a region, and no page holds two volumes.</summary>
    public static long SnapshotPagesOf(long regions) => ((regions - 1) / RegionsPerPage) + 1;

    /// <summary>The disks for a new dirty log of a node: the first two that are okay and that it can use, by name; fewer if there are no
    /// more.</summary>
    public static ImmutableArray<string> ChooseLogDisks(SetState set, MemberState member, ulong incarnation) =>
    [
        .. set.Disks.Values.Where(disk => disk.Status == DiskStatus.Okay && member.ComplaintOf(disk.Name, incarnation) is null)
            .Take(2).Select(static disk => disk.Name),
    ];

    /// <summary>Free pieces of a disk's data area, by offset.</summary>
    public static List<(long Offset, long Length)> FreeSpace(SetState set, DiskState disk)
    {
        var used = new List<(long Offset, long Length)>();
        foreach (var volume in set.Volumes.Values)
        {
            foreach (var submirror in volume.Submirrors)
            {
                foreach (var extent in submirror.Extents)
                {
                    if (extent.Disk == disk.Name) used.Add((extent.DiskOffsetBytes, extent.LengthBytes));
                }
            }
        }

        used.Sort();
        var free = new List<(long Offset, long Length)>();
        var at = DataStart(set.MetadataBytes);
        foreach (var (offset, length) in used)
        {
            if (offset > at) free.Add((at, offset - at));
            at = Math.Max(at, offset + length);
        }

        var end = DataEnd(disk.SizeBytes);
        if (end > at) free.Add((at, end - at));
        return free;
    }

    /// <summary>Extents for a submirror: the first hole that holds it whole, else holes in order.</summary>
    /// <returns>Null if it does not fit; <paramref name="freeBytes"/> then says what there is.</returns>
    public static ImmutableArray<ExtentState>? Allocate(SetState set, DiskState disk, long sizeBytes, out long freeBytes)
    {
        var holes = FreeSpace(set, disk);
        freeBytes = holes.Sum(static hole => hole.Length);
        foreach (var (offset, length) in holes)
        {
            if (length >= sizeBytes) return [new ExtentState(disk.Name, offset, 0, sizeBytes)];
        }

        if (freeBytes < sizeBytes) return null;
        var extents = ImmutableArray.CreateBuilder<ExtentState>();
        long done = 0;
        foreach (var (offset, length) in holes)
        {
            if (done == sizeBytes) break;
            var take = Math.Min(length, sizeBytes - done);
            extents.Add(new ExtentState(disk.Name, offset, done, take));
            done += take;
        }

        return extents.ToImmutable();
    }
}
