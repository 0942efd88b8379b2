using System.Buffers.Binary;
using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>A set record: the set's configuration at a position of the log.</summary>
/// <param name="Index">Log position.</param>
/// <param name="Sequence">Grows with every write to this disk.</param>
/// <param name="Content">UTF-8 JSON.</param>
public sealed record SetRecord(ulong Index, ulong Sequence, byte[] Content);

/// <summary>The two set records of a disk; the older one is overwritten. The set's master alone writes; blocks. Header, little-endian:
/// <code>
///  0  8  magic "RMSETR\0\1"
///  8  4  CRC-32C of bytes 12 to the content's end
/// 12  4  length of the content
/// 16  8  sequence
/// 24  8  log index
/// 32 16  disk set id
/// 48 16  zero
/// 64     content
/// </code></summary>
public sealed class SetRecordStore(IBlockDevice device, DiskLayout layout, Guid set)
{
    private const int HeaderBytes = 64;

    private static ReadOnlySpan<byte> Magic => "RMSETR\0\u0001"u8;

    /// <summary>Largest content.</summary>
    public int MaxContentBytes => (int)layout.SetRecordBytes - HeaderBytes;

    /// <summary>Writes a record over the older of the two, and flushes.</summary>
    /// <returns>Not Ok if it may not be durable; the newer of the old two is then still whole.</returns>
    public DeviceStatus Write(ReadOnlySpan<byte> content, ulong index)
    {
        Invariant.Require(content.Length <= MaxContentBytes, "The configuration's size was checked against the metadata area.");
        var status = ReadOne(DiskLayout.SetRecordAOffset, out var a);
        if (status != DeviceStatus.Ok) return status;
        status = ReadOne(layout.SetRecordBOffset, out var b);
        return status == DeviceStatus.Ok ? WriteOver(a, b, content, index) : status;
    }

    /// <summary>The newest whole record, or null if there is none.</summary>
    /// <returns>Not Ok if no record is whole and one could not be read.</returns>
    public DeviceStatus ReadNewest(out SetRecord? record)
    {
        var statusA = ReadOne(DiskLayout.SetRecordAOffset, out record);
        var statusB = ReadOne(layout.SetRecordBOffset, out var b);
        if (b is not null && (record is null || b.Sequence > record.Sequence)) record = b;
        if (record is not null) return DeviceStatus.Ok;
        return statusA != DeviceStatus.Ok ? statusA : statusB;
    }

    private DeviceStatus WriteOver(SetRecord? a, SetRecord? b, ReadOnlySpan<byte> content, ulong index)
    {
        var isIntoA = a is null || (b is not null && b.Sequence > a.Sequence);
        var length = RoundUp(HeaderBytes + content.Length);
        using var buffer = AlignedBufferPool.Shared.Rent(length);
        var bytes = buffer.GetSpan()[..length];
        bytes.Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[12..], content.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], Math.Max(a?.Sequence ?? 0, b?.Sequence ?? 0) + 1);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], index);
        set.TryWriteBytes(bytes[32..], bigEndian: true, out _);
        content.CopyTo(bytes[HeaderBytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Crc32C.Compute(bytes[12..(HeaderBytes + content.Length)]));
        var status = device.Write(isIntoA ? DiskLayout.SetRecordAOffset : layout.SetRecordBOffset, bytes);
        return status == DeviceStatus.Ok ? device.Flush() : status;
    }

    private DeviceStatus ReadOne(long offset, out SetRecord? record)
    {
        record = null;
        using var head = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var first = head.GetSpan()[..DiskLayout.LabelBytes];
        var status = device.Read(offset, first);
        if (status != DeviceStatus.Ok || !first[..8].SequenceEqual(Magic)) return status;
        var length = BinaryPrimitives.ReadInt32LittleEndian(first[12..]);
        if (length < 0 || length > MaxContentBytes) return DeviceStatus.Ok;
        using var whole = AlignedBufferPool.Shared.Rent(RoundUp(HeaderBytes + length));
        var bytes = whole.GetSpan()[..RoundUp(HeaderBytes + length)];
        status = device.Read(offset, bytes);
        if (status != DeviceStatus.Ok) return status;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != Crc32C.Compute(bytes[12..(HeaderBytes + length)])) return status;
        if (new Guid(bytes.Slice(32, 16), bigEndian: true) != set) return status;
        record = new SetRecord(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            bytes.Slice(HeaderBytes, length).ToArray());
        return status;
    }

    private static int RoundUp(int bytes) => (bytes + DiskLayout.LabelBytes - 1) / DiskLayout.LabelBytes * DiskLayout.LabelBytes;
}
