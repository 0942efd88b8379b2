using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>Where things lie in a dirty-log slot, from its size alone. Offsets count from the slot's start:
/// <code>
///      0  4096  slot header
///   4096  4096  commit record A
///   8192  4096  commit record B
///  12288  4096  zero, or nonces by which nodes prove that they see the same disk; its node writes it again to see whether the disk takes writes
///  16384        segment slots: [4096 header][2^k body], as many as fit, at least 8
/// </code></summary>
public sealed record SlotLayout
{
    /// <summary>Everything in a slot is a multiple of this; also the page size of the log.</summary>
    public const int BlockBytes = 4096;

    /// <summary>First commit record.</summary>
    public const int CommitAOffset = 4096;

    /// <summary>Second commit record.</summary>
    public const int CommitBOffset = 8192;

    /// <summary>Block that no log needs, written by its node when it must know whether the disk takes writes; nonces stand there.</summary>
    public const int ProbeOffset = 12288;

    /// <summary>First segment slot.</summary>
    public const int SegmentsOffset = 16384;

    /// <summary>Segment slots of a ring at least, so that compaction can always make room.</summary>
    public const int MinSegments = 8;

    /// <summary>Smallest slot.</summary>
    public const long MinSlotBytes = SegmentsOffset + (MinSegments * (BlockBytes + (4L * BlockBytes)));

    /// <summary>A larger slot's rest stays unused: recovery would take too long.</summary>
    public const long MaxUsedBytes = 32L << 20;

    private SlotLayout(int segmentBits, int segmentCount)
    {
        SegmentBits = segmentBits;
        SegmentCount = segmentCount;
    }

    /// <summary>Body of a segment: 2^this bytes.</summary>
    public int SegmentBits { get; }

    /// <summary>Segment slots in the ring.</summary>
    public int SegmentCount { get; }

    /// <summary>Body of a segment in bytes.</summary>
    public long SegmentBytes => 1L << SegmentBits;

    /// <summary>Bytes of the slot that are used.</summary>
    public long UsedBytes => SegmentsOffset + (SegmentCount * (BlockBytes + SegmentBytes));

    /// <summary>Bytes of log that a snapshot may take: a quarter of the ring.</summary>
    public long SnapshotBytes => SegmentCount * SegmentBytes / 4;

    /// <summary>The layout of a slot.</summary>
    /// <param name="slotBytes">At least <see cref="MinSlotBytes"/>.</param>
    public static SlotLayout For(long slotBytes)
    {
        Invariant.Require(slotBytes >= MinSlotBytes, "A slot too small is refused when the disk is added.");
        var ring = Math.Min(slotBytes, MaxUsedBytes) - SegmentsOffset;
        var bits = 14;
        while (ring / (BlockBytes + (2L << bits)) >= MinSegments) bits++;
        return new SlotLayout(bits, (int)(ring / (BlockBytes + (1L << bits))));
    }

    /// <summary>Where the header of a segment lies.</summary>
    public long SegmentHeaderOffset(long segment) =>
        SegmentsOffset + (segment % SegmentCount * (BlockBytes + SegmentBytes));

    /// <summary>Where a log address lies; it is there only while the segment's header names the segment.</summary>
    public long OffsetOf(long address) =>
        SegmentHeaderOffset(address >> SegmentBits) + BlockBytes + (address & (SegmentBytes - 1));
}
