using System.Buffers.Binary;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Who a disk belongs to. 4 KiB, little-endian, in two copies (head and tail):
/// <code>
///   0  8  magic "RMDISK\0\1"
///   8  4  CRC-32C of bytes 12 to 4095
///  12  4  format version, 2
///  16 16  cluster id (RFC 9562 byte order, as all ids)
///  32 16  disk set id
///  48 16  disk id
///  64  8  size of the device in bytes
///  72  8  metadata area in bytes
///  80  4  slots
///  84  4  flags, zero
///  88  8  bytes of a slot
///  96  8  generation: grows with every write
/// 104  8  epoch of the membership that wrote it
/// 112  8  stamp: number
/// 120 16  stamp: nonce
/// 136  8  stamp: activation
/// 144  2  bytes of the log position, at most 1024
/// 146     log position: how far the writer's log had come, opaque here; then zero to 4095
/// </code></summary>
public sealed record DiskLabel(
    Guid Cluster,
    Guid Set,
    Guid Disk,
    long SizeBytes,
    long MetadataBytes,
    int MaxNodes,
    uint Flags,
    long SlotBytes,
    ulong Generation,
    ulong Epoch,
    LabelStamp Stamp = default,
    ReadOnlyMemory<byte> LogPosition = default)
{
    /// <summary>The format that is written and read.</summary>
    public const uint FormatVersion = 2;

    /// <summary>Longest log position.</summary>
    public const int MaxLogPositionBytes = 1024;

    private const int LogPositionOffset = 146;

    private static ReadOnlySpan<byte> Magic => "RMDISK\0\u0001"u8;

    /// <summary>Fills a block of <see cref="DiskLayout.LabelBytes"/>.</summary>
    public void Write(Span<byte> block)
    {
        block[..DiskLayout.LabelBytes].Clear();
        Magic.CopyTo(block);
        BinaryPrimitives.WriteUInt32LittleEndian(block[12..], FormatVersion);
        Cluster.TryWriteBytes(block[16..], bigEndian: true, out _);
        Set.TryWriteBytes(block[32..], bigEndian: true, out _);
        Disk.TryWriteBytes(block[48..], bigEndian: true, out _);
        BinaryPrimitives.WriteInt64LittleEndian(block[64..], SizeBytes);
        BinaryPrimitives.WriteInt64LittleEndian(block[72..], MetadataBytes);
        BinaryPrimitives.WriteInt32LittleEndian(block[80..], MaxNodes);
        BinaryPrimitives.WriteUInt32LittleEndian(block[84..], Flags);
        BinaryPrimitives.WriteInt64LittleEndian(block[88..], SlotBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(block[96..], Generation);
        BinaryPrimitives.WriteUInt64LittleEndian(block[104..], Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(block[112..], Stamp.Number);
        Stamp.Nonce.TryWriteBytes(block[120..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt64LittleEndian(block[136..], Stamp.Activation);
        Invariant.Require(LogPosition.Length <= MaxLogPositionBytes, "A log position fits the label.");
        BinaryPrimitives.WriteUInt16LittleEndian(block[144..], (ushort)LogPosition.Length);
        LogPosition.Span.CopyTo(block[LogPositionOffset..]);
        BinaryPrimitives.WriteUInt32LittleEndian(block[8..], Crc32C.Compute(block[12..DiskLayout.LabelBytes]));
    }

    /// <summary>Reads a block that is not trusted.</summary>
    /// <returns>False if it is no label, is damaged, or has a newer format.</returns>
    public static bool TryRead(ReadOnlySpan<byte> block, out DiskLabel? label)
    {
        label = null;
        if (!HasMagic(block)) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(block[8..]) != Crc32C.Compute(block[12..DiskLayout.LabelBytes])) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(block[12..]) != FormatVersion) return false;
        var positionBytes = BinaryPrimitives.ReadUInt16LittleEndian(block[144..]);
        if (positionBytes > MaxLogPositionBytes) return false;
        label = new DiskLabel(
            new Guid(block.Slice(16, 16), bigEndian: true),
            new Guid(block.Slice(32, 16), bigEndian: true),
            new Guid(block.Slice(48, 16), bigEndian: true),
            BinaryPrimitives.ReadInt64LittleEndian(block[64..]),
            BinaryPrimitives.ReadInt64LittleEndian(block[72..]),
            BinaryPrimitives.ReadInt32LittleEndian(block[80..]),
            BinaryPrimitives.ReadUInt32LittleEndian(block[84..]),
            BinaryPrimitives.ReadInt64LittleEndian(block[88..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[96..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[104..]),
            new LabelStamp(
                BinaryPrimitives.ReadUInt64LittleEndian(block[112..]),
                new Guid(block.Slice(120, 16), bigEndian: true),
                BinaryPrimitives.ReadUInt64LittleEndian(block[136..])),
            block.Slice(LogPositionOffset, positionBytes).ToArray());
        return true;
    }

    /// <summary>True if this copy was written after the other one.</summary>
    public bool IsNewerThan(DiskLabel other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Stamp.Number != other.Stamp.Number ? Stamp.Number > other.Stamp.Number : Generation > other.Generation;
    }

    /// <summary>True if both say the same, the bytes of the log position included.</summary>
    public bool Equals(DiskLabel? other) => other is not null
        && (Cluster, Set, Disk, SizeBytes, MetadataBytes, MaxNodes, Flags) ==
            (other.Cluster, other.Set, other.Disk, other.SizeBytes, other.MetadataBytes, other.MaxNodes, other.Flags)
        && (SlotBytes, Generation, Epoch, Stamp) == (other.SlotBytes, other.Generation, other.Epoch, other.Stamp)
        && LogPosition.Span.SequenceEqual(other.LogPosition.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Disk, Stamp, Generation);

    /// <summary>True if the block was a label once.</summary>
    public static bool HasMagic(ReadOnlySpan<byte> block) => block[..8].SequenceEqual(Magic);
}
