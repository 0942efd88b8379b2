using RaftMirror.DataPlane.DirtyRegions.Core;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>What a slot can always hold, for the admission check when a mirror is created or grown (design §14.17): a
/// snapshot of every region of every mirror of the set, at its worst, takes at most a quarter of the ring.</summary>
public static class LayoutLimits
{
    /// <summary>Regions of one mirror that share a snapshot entry, and so a 4 KiB page, at the worst.</summary>
    public const long RegionsPerEntry = DirtyLogEntry.MaxWords * 64;

    /// <summary>Pages that a snapshot of one mirror takes at most.</summary>
    /// <param name="regions">Regions of the mirror, at least one.</param>
    public static long PagesFor(long regions) => ((regions - 1) / RegionsPerEntry) + 1;

    /// <summary>Pages that all mirrors of the set may take together.</summary>
    public static long PagesOf(DiskLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);

        // Two pages for the snapshot's frame, one for the page it begins in.
        return (SlotLayout.For(layout.SlotBytes).SnapshotBytes / SlotLayout.BlockBytes) - 3;
    }

    /// <summary>Most regions that a single mirror, alone in its set, can have.</summary>
    public static long MaxRegions(DiskLayout layout) => PagesOf(layout) * RegionsPerEntry;

    /// <summary>True if mirrors of these sizes fit together.</summary>
    /// <param name="layout">Of the smallest disk that may hold a log; equal for all disks of a set.</param>
    /// <param name="regionsOfMirrors">Regions of each logged mirror of the set, the new one included.</param>
    public static bool Fits(DiskLayout layout, IEnumerable<long> regionsOfMirrors)
    {
        ArgumentNullException.ThrowIfNull(regionsOfMirrors);
        var left = PagesOf(layout);
        foreach (var regions in regionsOfMirrors) left -= PagesFor(regions);
        return left >= 0;
    }
}
