using System.Buffers.Binary;
using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>A nonce at a disk's head and tail, by which nodes prove to each other that they see the same disk before it is
/// labelled. One node writes it, all others read it, the first one takes it back. 4 KiB each: magic "RMSTAMP\1" (8), CRC-32C of bytes 12 to
/// 4095 (4), zero (4), nonce (16), zero. Blocks; one thread.</summary>
public sealed class ProbeStamp
{
    private readonly IBlockDevice _device;
    private readonly byte[] _head;
    private readonly byte[] _tail;

    private ProbeStamp(IBlockDevice device, byte[] head, byte[] tail)
    {
        _device = device;
        _head = head;
        _tail = tail;
    }

    private static ReadOnlySpan<byte> Magic => "RMSTAMP\u0001"u8;

    /// <summary>Keeps what is there and writes the stamp: tail, flush, head, flush.</summary>
    /// <param name="device">A disk that was probed as blank, or as stamped by a try that was interrupted.</param>
    /// <param name="nonce">Random, not zero.</param>
    /// <param name="stamp">To restore what was there; null if it could not be read. Set even if writing failed halfway.</param>
    public static DeviceStatus Write(IBlockDevice device, Guid nonce, out ProbeStamp? stamp)
    {
        ArgumentNullException.ThrowIfNull(device);
        stamp = null;
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        var status = device.Read(0, bytes);
        if (status != DeviceStatus.Ok) return status;
        var head = bytes.ToArray();
        status = device.Read(DiskLayout.TailLabelOffsetOf(device.SizeBytes), bytes);
        if (status != DeviceStatus.Ok) return status;
        stamp = new ProbeStamp(device, head, bytes.ToArray());
        bytes.Clear();
        Magic.CopyTo(bytes);
        nonce.TryWriteBytes(bytes[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Crc32C.Compute(bytes[12..]));
        return WriteBoth(device, bytes, bytes);
    }

    /// <summary>Reads a stamp that another node wrote.</summary>
    /// <param name="device">This node's view of the disk; a cache must not stand between.</param>
    /// <param name="nonce">The nonce, or null if there is no stamp at both places.</param>
    public static DeviceStatus Read(IBlockDevice device, out Guid? nonce)
    {
        ArgumentNullException.ThrowIfNull(device);
        nonce = null;
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        var status = device.Read(0, bytes);
        if (status != DeviceStatus.Ok || !IsStamp(bytes)) return status;
        var head = new Guid(bytes.Slice(16, 16), bigEndian: true);
        status = device.Read(DiskLayout.TailLabelOffsetOf(device.SizeBytes), bytes);
        if (status == DeviceStatus.Ok && IsStamp(bytes) && new Guid(bytes.Slice(16, 16), bigEndian: true) == head) nonce = head;
        return status;
    }

    /// <summary>What was there: the head block, then the tail block.</summary>
    public byte[] Kept => [.. _head, .. _tail];

    /// <summary>The stamp's undoing, from what <see cref="Kept"/> said.</summary>
    /// <returns>Null if that is no head and tail block.</returns>
    public static ProbeStamp? From(IBlockDevice device, byte[] kept)
    {
        ArgumentNullException.ThrowIfNull(kept);
        return kept.Length == 2 * DiskLayout.LabelBytes
            ? new ProbeStamp(device, kept[..DiskLayout.LabelBytes], kept[DiskLayout.LabelBytes..])
            : null;
    }

    /// <summary>Puts back exactly what was there, tail first.</summary>
    public DeviceStatus Restore() => WriteBoth(_device, _tail, _head);

    internal static bool IsStamp(ReadOnlySpan<byte> block) =>
        block[..8].SequenceEqual(Magic)
        && BinaryPrimitives.ReadUInt32LittleEndian(block[8..]) == Crc32C.Compute(block[12..DiskLayout.LabelBytes]);

    private static DeviceStatus WriteBoth(IBlockDevice device, ReadOnlySpan<byte> tail, ReadOnlySpan<byte> head)
    {
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        tail.CopyTo(bytes);
        var status = device.Write(DiskLayout.TailLabelOffsetOf(device.SizeBytes), bytes);
        if (status == DeviceStatus.Ok) status = device.Flush();
        if (status != DeviceStatus.Ok) return status;
        head.CopyTo(bytes);
        status = device.Write(0, bytes);
        return status == DeviceStatus.Ok ? device.Flush() : status;
    }
}
