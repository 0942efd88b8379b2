using System.Buffers.Binary;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>A nonce in a node's own slot, by which two nodes prove to each other that they see the same disk: each writes one and reads
/// the other's. It shares the slot's probe block, so a check of the disk may wipe it out: then the proof is tried again. 4 KiB: magic "RMPROOF\1"
/// (8), CRC-32C of bytes 12 to 4095 (4), zero (4), disk id (16), nonce (16), zero. Blocks; one thread per disk.</summary>
public static class SamenessProof
{
    private static ReadOnlySpan<byte> Magic => "RMPROOF\u0001"u8;

    /// <summary>Writes a nonce and makes it durable.</summary>
    /// <param name="device">The disk, past every cache.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="slot">Slot number of the node that writes.</param>
    /// <param name="disk">Id of the disk.</param>
    /// <param name="nonce">Random.</param>
    public static DeviceStatus Write(IBlockDevice device, DiskLayout layout, int slot, Guid disk, Guid nonce)
    {
        ArgumentNullException.ThrowIfNull(device);
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        bytes.Clear();
        Magic.CopyTo(bytes);
        disk.TryWriteBytes(bytes[16..], bigEndian: true, out _);
        nonce.TryWriteBytes(bytes[32..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Crc32C.Compute(bytes[12..]));
        var status = device.Write(OffsetOf(layout, slot), bytes);
        return status == DeviceStatus.Ok ? device.Flush() : status;
    }

    /// <summary>Reads the nonce of a node's slot.</summary>
    /// <param name="device">The disk, past every cache.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="slot">Slot number of the node that wrote it.</param>
    /// <param name="disk">Id of the disk.</param>
    /// <param name="nonce">Null if none is there.</param>
    public static DeviceStatus Read(IBlockDevice device, DiskLayout layout, int slot, Guid disk, out Guid? nonce)
    {
        ArgumentNullException.ThrowIfNull(device);
        nonce = null;
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        var status = device.Read(OffsetOf(layout, slot), bytes);
        if (status != DeviceStatus.Ok || !bytes[..8].SequenceEqual(Magic)) return status;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != Crc32C.Compute(bytes[12..])) return status;
        if (new Guid(bytes.Slice(16, 16), bigEndian: true) == disk) nonce = new Guid(bytes.Slice(32, 16), bigEndian: true);
        return status;
    }

    private static long OffsetOf(DiskLayout layout, int slot)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return layout.SlotOffset(slot) + SlotLayout.ProbeOffset;
    }
}
