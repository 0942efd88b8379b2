namespace RaftMirror.DataPlane.Devices;

/// <summary>How a device call ended. Path failure, media failure and fencing are different things and stay apart.</summary>
public enum DeviceStatus
{
    /// <summary>Done. A write is in the device, durable only after a <see cref="IBlockDevice.Flush"/> that ended well.</summary>
    Ok,

    /// <summary>The device answered with an error (EIO, …): media failure until a vote says otherwise.</summary>
    IoError,

    /// <summary>The device cannot be reached from this node.</summary>
    Unreachable,

    /// <summary>The storage refuses this node's key: this incarnation is fenced for good. Never a disk error.</summary>
    Fenced,

    /// <summary>There is no space for these bytes (ENOSPC, EDQUOT: a sparse file, a thin volume). The device is sound: what it had it has, and bytes that
    /// lie in allocated space can still be written. Never of a flush, whose failure loses what was written before.</summary>
    NoSpace,
}

/// <summary>The narrow waist between mirrors and disks. Calls block and are safe from many threads at once; the caller
/// orders overlapping ones. Offsets and lengths are multiples of <see cref="SectorBytes"/> and lie inside the device;
/// buffers come from <see cref="AlignedBufferPool"/>. A call that fails may have written any part of its range.</summary>
public interface IBlockDevice : IDisposable
{
    /// <summary>Name for messages: the disk's name or path.</summary>
    string Name { get; }

    /// <summary>Bytes, a multiple of <see cref="SectorBytes"/>.</summary>
    long SizeBytes { get; }

    /// <summary>Logical sector: alignment of every call, a power of two from 512 to 4096.</summary>
    int SectorBytes { get; }

    /// <summary>Where its space comes from: files on one mounted file system have the same number, which lets a lack of space that hits two disks
    /// by turns be told from one that only one of them has. 0 if that is not known.</summary>
    ulong SpaceId => 0;

    /// <summary>Fills <paramref name="buffer"/> from <paramref name="offset"/>; on any failure its content is undefined.</summary>
    DeviceStatus Read(long offset, Span<byte> buffer);

    /// <summary>Writes <paramref name="buffer"/> at <paramref name="offset"/>.</summary>
    DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer);

    /// <summary>Makes durable every write that ended before the call. After a failure everything since the last good
    /// flush counts as lost: a later success proves nothing about it (the kernel reports the error once).</summary>
    DeviceStatus Flush();

    /// <summary>The range's content becomes undefined-but-stable zeros where the device can free it; a hint otherwise.</summary>
    DeviceStatus Trim(long offset, long lengthBytes);

    /// <summary>The range reads as zeros afterwards.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="lengthBytes">Bytes; any length, done in slices.</param>
    /// <param name="mayUnmap">True if freeing the blocks is allowed.</param>
    DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap);
}
