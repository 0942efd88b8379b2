using System.Buffers.Binary;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>How far the log of a slot has come.</summary>
public enum SlotPhase : byte
{
    /// <summary>Being formatted: the log was not open yet, so nothing was ever marked.</summary>
    Formatting = 1,

    /// <summary>Open: a commit record must be there. The mount flag of the node (design §14.16).</summary>
    Open = 2,

    /// <summary>Closed in order by its writer.</summary>
    Closed = 3,
}

/// <summary>First block of a slot, outside the log: tells a new slot from one whose metadata is lost. Little-endian:
/// <code>
///  0  8  magic "RMSLOT\0\1"
///  8  4  CRC-32C of bytes 12 to 4095
/// 12  1  phase
/// 13  3  zero
/// 16 16  disk set id (as RFC 9562 bytes)
/// 32  4  slot number
/// 36  4  segment bits
/// 40  4  segment count
/// 44  4  zero
/// 48  8  incarnation
/// 56  8  generation of the list of log disks
/// 64     zero to 4095
/// </code></summary>
public readonly record struct SlotHeader(
    SlotPhase Phase, Guid Set, int Slot, ulong Incarnation, ulong Generation, int SegmentBits, int SegmentCount)
{
    private static ReadOnlySpan<byte> Magic => "RMSLOT\0\u0001"u8;

    /// <summary>Fills a block.</summary>
    public void Write(Span<byte> block)
    {
        block[..SlotLayout.BlockBytes].Clear();
        Magic.CopyTo(block);
        block[12] = (byte)Phase;
        Set.TryWriteBytes(block[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteInt32LittleEndian(block[32..], Slot);
        BinaryPrimitives.WriteInt32LittleEndian(block[36..], SegmentBits);
        BinaryPrimitives.WriteInt32LittleEndian(block[40..], SegmentCount);
        BinaryPrimitives.WriteUInt64LittleEndian(block[48..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(block[56..], Generation);
        BinaryPrimitives.WriteUInt32LittleEndian(block[8..], Crc32C.Compute(block[12..SlotLayout.BlockBytes]));
    }

    /// <summary>Reads a block that is not trusted.</summary>
    public static bool TryRead(ReadOnlySpan<byte> block, out SlotHeader header)
    {
        header = default;
        if (!block[..8].SequenceEqual(Magic)) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(block[8..]) != Crc32C.Compute(block[12..SlotLayout.BlockBytes])) return false;
        header = new SlotHeader(
            (SlotPhase)block[12],
            new Guid(block.Slice(16, 16), bigEndian: true),
            BinaryPrimitives.ReadInt32LittleEndian(block[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[48..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[56..]),
            BinaryPrimitives.ReadInt32LittleEndian(block[36..]),
            BinaryPrimitives.ReadInt32LittleEndian(block[40..]));
        return header.Phase is SlotPhase.Formatting or SlotPhase.Open or SlotPhase.Closed;
    }
}

/// <summary>What a commit made durable; written alternately to the two commit blocks. Little-endian:
/// <code>
///  0  8  magic "RMCOMM\0\1"
///  8  4  CRC-32C of bytes 12 to 4095
/// 12  4  length of FasterLog's own metadata
/// 16  8  commit number, growing; the higher of two valid records counts
/// 24  8  begin address: where reading starts, a page start or 64
/// 32  8  until address: all before it is durable
/// 40  8  sequence of the newest entry before the until address
/// 48  8  incarnation
/// 56  8  generation of the list of log disks
/// 64     FasterLog's metadata, then zero to 4095
/// </code></summary>
public readonly record struct CommitRecord(
    ulong Number, long Begin, long Until, ulong LastSequence, ulong Incarnation, ulong Generation)
{
    /// <summary>Most bytes of FasterLog's metadata.</summary>
    public const int MaxMetadataBytes = SlotLayout.BlockBytes - 64;

    private static ReadOnlySpan<byte> Magic => "RMCOMM\0\u0001"u8;

    /// <summary>Fills a block.</summary>
    public void Write(Span<byte> block, ReadOnlySpan<byte> metadata)
    {
        Invariant.Require(metadata.Length <= MaxMetadataBytes, "FasterLog's metadata has no iterators here and stays small.");
        block[..SlotLayout.BlockBytes].Clear();
        Magic.CopyTo(block);
        BinaryPrimitives.WriteInt32LittleEndian(block[12..], metadata.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(block[16..], Number);
        BinaryPrimitives.WriteInt64LittleEndian(block[24..], Begin);
        BinaryPrimitives.WriteInt64LittleEndian(block[32..], Until);
        BinaryPrimitives.WriteUInt64LittleEndian(block[40..], LastSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(block[48..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(block[56..], Generation);
        metadata.CopyTo(block[64..]);
        BinaryPrimitives.WriteUInt32LittleEndian(block[8..], Crc32C.Compute(block[12..SlotLayout.BlockBytes]));
    }

    /// <summary>Reads a block that is not trusted.</summary>
    public static bool TryRead(ReadOnlySpan<byte> block, out CommitRecord record)
    {
        record = default;
        if (!block[..8].SequenceEqual(Magic)) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(block[8..]) != Crc32C.Compute(block[12..SlotLayout.BlockBytes])) return false;
        record = new CommitRecord(
            BinaryPrimitives.ReadUInt64LittleEndian(block[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(block[24..]),
            BinaryPrimitives.ReadInt64LittleEndian(block[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[40..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[48..]),
            BinaryPrimitives.ReadUInt64LittleEndian(block[56..]));
        return true;
    }
}

/// <summary>Head of a segment slot. Little-endian: magic "RMSEGM\0\1" (8), CRC-32C of bytes 12 to 4095 (4), zero (4),
/// segment number (8), incarnation (8), zero to 4095.</summary>
public readonly record struct SegmentHeader(long Segment, ulong Incarnation)
{
    private static ReadOnlySpan<byte> Magic => "RMSEGM\0\u0001"u8;

    /// <summary>Fills a block.</summary>
    public void Write(Span<byte> block)
    {
        block[..SlotLayout.BlockBytes].Clear();
        Magic.CopyTo(block);
        BinaryPrimitives.WriteInt64LittleEndian(block[16..], Segment);
        BinaryPrimitives.WriteUInt64LittleEndian(block[24..], Incarnation);
        BinaryPrimitives.WriteUInt32LittleEndian(block[8..], Crc32C.Compute(block[12..SlotLayout.BlockBytes]));
    }

    /// <summary>Reads a block that is not trusted.</summary>
    public static bool TryRead(ReadOnlySpan<byte> block, out SegmentHeader header)
    {
        header = new SegmentHeader(
            BinaryPrimitives.ReadInt64LittleEndian(block[16..]), BinaryPrimitives.ReadUInt64LittleEndian(block[24..]));
        return block[..8].SequenceEqual(Magic)
            && BinaryPrimitives.ReadUInt32LittleEndian(block[8..]) == Crc32C.Compute(block[12..SlotLayout.BlockBytes]);
    }
}
