using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Where things lie on a disk, from (size, metadata bytes, slots) alone; no I/O. In bytes from the start:
/// <code>
/// 0                    4096   label, head copy
/// 4096                 r      set record A    r = metadata/16, whole blocks
/// 4096 + r             r      set record B
/// 4096 + 2r            s each one dirty-log slot per node, equal sizes, whole blocks
/// metadata                    data area, a multiple of 1 MiB long
/// size - 4096          4096   label, tail copy
/// </code></summary>
public sealed record DiskLayout
{
    /// <summary>Size of a label copy, and the unit of everything in the metadata area.</summary>
    public const int LabelBytes = 4096;

    /// <summary>The data area starts at, and is long, a multiple of this.</summary>
    public const long DataAlignmentBytes = 1L << 20;

    /// <summary>Metadata area unless asked otherwise.</summary>
    public const long DefaultMetadataBytes = 64L << 20;

    /// <summary>Smallest metadata area, for small test disks.</summary>
    public const long MinMetadataBytes = 4L << 20;

    /// <summary>Largest metadata area.</summary>
    public const long MaxMetadataBytes = 256L << 20;

    /// <summary>Slots unless asked otherwise.</summary>
    public const int DefaultMaxNodes = 16;

    /// <summary>Most slots.</summary>
    public const int LimitMaxNodes = 128;

    private DiskLayout(long sizeBytes, long metadataBytes, int maxNodes)
    {
        SizeBytes = sizeBytes;
        MetadataBytes = metadataBytes;
        MaxNodes = maxNodes;
    }

    /// <summary>Size of the device.</summary>
    public long SizeBytes { get; }

    /// <summary>Head label, set records and slots; the data area starts here.</summary>
    public long MetadataBytes { get; }

    /// <summary>Number of slots.</summary>
    public int MaxNodes { get; }

    /// <summary>Size of each of the two set records.</summary>
    public long SetRecordBytes => SetRecordBytesOf(MetadataBytes);

    /// <summary>Where set record A lies.</summary>
    public static long SetRecordAOffset => LabelBytes;

    /// <summary>Where set record B lies.</summary>
    public long SetRecordBOffset => LabelBytes + SetRecordBytes;

    /// <summary>Size of a dirty-log slot.</summary>
    public long SlotBytes => SlotBytesOf(MetadataBytes, MaxNodes);

    /// <summary>First byte of the data area.</summary>
    public long DataOffset => MetadataBytes;

    /// <summary>Length of the data area.</summary>
    public long DataBytes => (SizeBytes - LabelBytes - MetadataBytes) / DataAlignmentBytes * DataAlignmentBytes;

    /// <summary>Where the tail label lies.</summary>
    public long TailLabelOffset => TailLabelOffsetOf(SizeBytes);

    /// <summary>Where the tail label of a device of that size lies.</summary>
    public static long TailLabelOffsetOf(long sizeBytes) => (sizeBytes - LabelBytes) / LabelBytes * LabelBytes;

    /// <summary>The layout, or why there is none.</summary>
    /// <param name="sizeBytes">Size of the device.</param>
    /// <param name="metadataBytes">4 to 256 MiB, a multiple of 1 MiB.</param>
    /// <param name="maxNodes">1 to 128 slots.</param>
    /// <param name="layout">The layout, or null.</param>
    /// <param name="refusal">For people: what does not fit and what would; null if all is well.</param>
    public static bool TryCreate(
        long sizeBytes,
        long metadataBytes,
        int maxNodes,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out DiskLayout? layout,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out string? refusal)
    {
        layout = null;
        refusal = null;
        if (metadataBytes is < MinMetadataBytes or > MaxMetadataBytes || metadataBytes % DataAlignmentBytes != 0)
        {
            refusal = $"a metadata area of {metadataBytes} bytes is not possible: choose 4 to 256 MiB, whole MiB";
        }
        else if (maxNodes is < 1 or > LimitMaxNodes)
        {
            refusal = $"{maxNodes} slots are not possible: choose 1 to {LimitMaxNodes}";
        }
        else if (SlotBytesOf(metadataBytes, maxNodes) < SlotLayout.MinSlotBytes)
        {
            refusal = $"a metadata area of {metadataBytes >> 20} MiB has no room for {maxNodes} dirty-log slots of at least "
                + $"{SlotLayout.MinSlotBytes >> 10} KiB: use a larger one or fewer slots";
        }
        else if (sizeBytes < metadataBytes + DataAlignmentBytes + LabelBytes)
        {
            refusal = $"the disk is too small: it has {sizeBytes} bytes, and a metadata area of {metadataBytes >> 20} MiB, 1 MiB of "
                + $"data and a label need {metadataBytes + DataAlignmentBytes + LabelBytes}; use a larger disk or a smaller metadata area";
        }
        else
        {
            layout = new DiskLayout(sizeBytes, metadataBytes, maxNodes);
        }

        return layout is not null;
    }

    /// <summary>Where a node's dirty-log slot lies.</summary>
    /// <param name="slot">0 to <see cref="MaxNodes"/> - 1.</param>
    public long SlotOffset(int slot)
    {
        Invariant.Require(slot >= 0 && slot < MaxNodes, "A set has as many slots as it was created with.");
        return SetRecordBOffset + SetRecordBytes + (slot * SlotBytes);
    }

    private static long SetRecordBytesOf(long metadataBytes) => metadataBytes / 16 / LabelBytes * LabelBytes;

    private static long SlotBytesOf(long metadataBytes, int maxNodes) =>
        (metadataBytes - LabelBytes - (2 * SetRecordBytesOf(metadataBytes))) / maxNodes / LabelBytes * LabelBytes;
}
