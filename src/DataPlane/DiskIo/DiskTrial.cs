using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DiskIo;

/// <summary>Finds out whether a disk can be used: reads its label, writes the block of this node's slot that is there for that once more, flushes, and
/// reads the place where a call failed. Blocks for as long as the disk does; one thread per disk.</summary>
public static class DiskTrial
{
    /// <summary>Most of a place that is read: the largest request of a client.</summary>
    public const long MaxPlaceBytes = 64 << 20;

    private const int PieceBytes = 1 << 20;

    /// <summary>Tries a disk.</summary>
    /// <param name="device">The disk, past every cache.</param>
    /// <param name="pool">Buffers.</param>
    /// <param name="ownSlot">Offset of this node's slot in bytes; null to write nothing.</param>
    /// <param name="place">Bytes of the disk; empty for none. What does not lie on it fails.</param>
    /// <returns>Of the first step that failed; <see cref="DeviceStatus.Ok"/> if none did.</returns>
    public static DeviceStatus Run(IBlockDevice device, AlignedBufferPool pool, long? ownSlot, ByteRange place)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(pool);
        using var block = pool.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        var status = device.Read(0, bytes);
        if (status == DeviceStatus.Ok && ownSlot is { } slot)
        {
            // What stands there is written again: the proofs that all nodes see one disk lie in the same block. A block that cannot be read
            // may be mended by a write.
            if (device.Read(slot + SlotLayout.ProbeOffset, bytes) != DeviceStatus.Ok) bytes.Clear();
            status = device.Write(slot + SlotLayout.ProbeOffset, bytes);
        }

        if (status == DeviceStatus.Ok) status = device.Flush();
        return status == DeviceStatus.Ok ? ReadPlace(device, pool, place) : status;
    }

    /// <summary>A place in pieces, for callers that wait a bounded time for each.</summary>
    /// <param name="place">Bytes of the disk.</param>
    /// <returns>Pieces of 1 MiB and a rest; the place itself if it is longer than any request: it fails as a whole.</returns>
    public static IEnumerable<ByteRange> Pieces(ByteRange place)
    {
        if (place.Length > MaxPlaceBytes)
        {
            yield return place;
            yield break;
        }

        for (var at = place.Start; at < place.End; at += PieceBytes)
            yield return new ByteRange(at, Math.Min(PieceBytes, place.End - at));
    }

    /// <summary>Reads a place and nothing else.</summary>
    /// <param name="device">The disk, past every cache.</param>
    /// <param name="pool">Buffers.</param>
    /// <param name="place">Bytes of the disk; empty for none. What does not lie on it fails.</param>
    public static DeviceStatus ReadPlace(IBlockDevice device, AlignedBufferPool pool, ByteRange place)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(pool);
        if (place.Length <= 0) return DeviceStatus.Ok;
        var isThere = place.Start >= 0 && place.Length <= MaxPlaceBytes && place.Start <= device.SizeBytes - place.Length;
        if (!isThere) return DeviceStatus.IoError;
        // Whole blocks around it: the data area begins and ends with such.
        var first = place.Start / DiskLayout.LabelBytes * DiskLayout.LabelBytes;
        var end = Math.Min(device.SizeBytes, (place.End + DiskLayout.LabelBytes - 1) / DiskLayout.LabelBytes * DiskLayout.LabelBytes);
        using var piece = pool.Rent((int)Math.Min(PieceBytes, end - first));
        for (var at = first; at < end; at += PieceBytes)
        {
            var status = device.Read(at, piece.GetSpan()[..(int)Math.Min(PieceBytes, end - at)]);
            if (status != DeviceStatus.Ok) return status;
        }

        return DeviceStatus.Ok;
    }
}
