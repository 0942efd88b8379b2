using System.Buffers.Binary;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Nonces in a node's own slot, by which two nodes prove to each other that they see the same disk: each writes one and reads
/// the other's. The newest few stand there, since a node may ask and be asked at the same time. They share the slot's probe block: a check of the
/// disk writes there what it has just read, so one that meets the writing of a nonce may take it away; then the proof is tried again. 4 KiB: magic "RMPROOF\2" (8), CRC-32C of bytes 12 to 4095 (4), zero (4), disk id (16), 16
/// nonces (16 each, zero: none), zero. Blocks; one thread per disk.</summary>
public static class SamenessProof
{
    /// <summary>How many nonces a slot shows.</summary>
    public const int Nonces = 16;

    private static ReadOnlySpan<byte> Magic => "RMPROOF\u0002"u8;

    /// <summary>Writes nonces and makes them durable.</summary>
    /// <param name="device">The disk, past every cache.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="slot">Slot number of the node that writes.</param>
    /// <param name="disk">Id of the disk.</param>
    /// <param name="nonces">Random, the newest first; those beyond <see cref="Nonces"/> are left out.</param>
    public static DeviceStatus Write(IBlockDevice device, DiskLayout layout, int slot, Guid disk, IEnumerable<Guid> nonces)
    {
        ArgumentNullException.ThrowIfNull(device);
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        bytes.Clear();
        Magic.CopyTo(bytes);
        disk.TryWriteBytes(bytes[16..], bigEndian: true, out _);
        foreach (var (index, nonce) in nonces.Take(Nonces).Index())
            nonce.TryWriteBytes(bytes[(32 + (index * 16))..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Crc32C.Compute(bytes[12..]));
        var status = device.Write(OffsetOf(layout, slot), bytes);
        return status == DeviceStatus.Ok ? device.Flush() : status;
    }

    /// <summary>Looks for a nonce in a node's slot.</summary>
    /// <param name="device">The disk, past every cache.</param>
    /// <param name="layout">Its layout.</param>
    /// <param name="slot">Slot number of the node that wrote it.</param>
    /// <param name="disk">Id of the disk.</param>
    /// <param name="nonce">Not zero.</param>
    /// <param name="isThere">True if it is one of those.</param>
    public static DeviceStatus Read(IBlockDevice device, DiskLayout layout, int slot, Guid disk, Guid nonce, out bool isThere)
    {
        ArgumentNullException.ThrowIfNull(device);
        isThere = false;
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        var status = device.Read(OffsetOf(layout, slot), bytes);
        if (status != DeviceStatus.Ok || !bytes[..8].SequenceEqual(Magic)) return status;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != Crc32C.Compute(bytes[12..])) return status;
        if (new Guid(bytes.Slice(16, 16), bigEndian: true) != disk) return status;
        for (var index = 0; index < Nonces; index++) isThere |= new Guid(bytes.Slice(32 + (index * 16), 16), bigEndian: true) == nonce;
        return status;
    }

    private static long OffsetOf(DiskLayout layout, int slot)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return layout.SlotOffset(slot) + SlotLayout.ProbeOffset;
    }
}
