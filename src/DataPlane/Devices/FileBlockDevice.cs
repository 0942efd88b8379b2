using Microsoft.Win32.SafeHandles;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Devices;

/// <summary>A disk that this host sees as a block device or a file. Any thread.
/// <para>Direct I/O is the rule. The page cache is only for disks whose openers are all on one host and open the same file
/// that way: a second cache, or a mix with direct I/O, would show stale data (design §14.11).</para></summary>
public sealed class FileBlockDevice : IBlockDevice
{
    private const int InvalidArgument = 22;
    private const int NotSupported = 95;
    private readonly SafeFileHandle _handle;
    private readonly bool _isBlockDevice;
    private readonly bool _isDirect;
    private readonly string _path;
    private readonly FileIdentity? _opened;
    private volatile bool _hasFlushFailed;
    private volatile bool _isShrunk;

    /// <summary>The device for somebody who does not own it: disposing of the loan closes nothing.</summary>
    public IBlockDevice Lend() => new BorrowedDevice(this);

    private FileBlockDevice(
        string name, string path, SafeFileHandle handle, bool isDirect, bool isBlockDevice, int sectorBytes, long sizeBytes, long? limitBytes)
    {
        Name = name;
        _path = path;
        _opened = FileIdentity.Of(path);
        _handle = handle;
        _isDirect = isDirect;
        _isBlockDevice = isBlockDevice;
        SectorBytes = sectorBytes;
        SizeBytes = Math.Min(sizeBytes, limitBytes ?? sizeBytes) / sectorBytes * sectorBytes;
        SpaceId = isBlockDevice ? 0 : Linux.MountOf(handle);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long SizeBytes { get; }

    /// <inheritdoc/>
    public int SectorBytes { get; }

    /// <summary>Its size now: files and logical units are resized under those who use them.</summary>
    /// <exception cref="IOException">It cannot be asked.</exception>
    public long CurrentSizeBytes => Linux.TryGetBlockDevice(_handle, out _, out var sizeBytes) ? sizeBytes : Linux.SeekEnd(_handle);

    /// <summary>True if neither the path that it was opened by nor another one leads to it any more: the file was deleted, moved or replaced, and
    /// a deleted one lasts only as long as somebody has it open. May block.</summary>
    public bool IsGoneFrom(string path) => FileIdentity.Of(_path) != _opened && FileIdentity.Of(path) != _opened;

    /// <summary>True once an I/O met the end of the device before its own, and for good.</summary>
    public bool IsShrunk => _isShrunk;

    /// <inheritdoc/>
    public ulong SpaceId { get; }

    /// <summary>Opens an existing file or block device.</summary>
    /// <param name="name">Name for messages.</param>
    /// <param name="path">Path on this node.</param>
    /// <param name="isDirect">O_DIRECT; false for the page cache.</param>
    /// <param name="writable">False for reading only: every write then ends with <see cref="DeviceStatus.IoError"/>.</param>
    /// <param name="limitBytes">Use no more than that much, if it has grown.</param>
    /// <exception cref="IOException">It cannot be opened; the message is for people.</exception>
    public static FileBlockDevice Open(string name, string path, bool isDirect, bool writable = true, long? limitBytes = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var handle = OpenHandle(path, isDirect, writable);
        try
        {
            if (!Linux.TryGetBlockDevice(handle, out var sectorBytes, out var sizeBytes))
            {
                if (Directory.Exists(path)) throw new IOException($"{path} is a directory, not a disk.");
                sizeBytes = Linux.SeekEnd(handle);
                sectorBytes = isDirect ? ProbeSector(handle, path) : 512;
                return new FileBlockDevice(name, path, handle, isDirect, isBlockDevice: false, sectorBytes, sizeBytes, limitBytes);
            }

            if (sectorBytes is < 512 or > 4096)
                throw new IOException($"{path} has sectors of {sectorBytes} bytes; 512 to 4096 are supported.");
            return new FileBlockDevice(name, path, handle, isDirect, isBlockDevice: true, sectorBytes, sizeBytes, limitBytes);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        RequireRange(offset, buffer.Length);
        if (_isShrunk) return DeviceStatus.Unreachable; // It may be long again by now, with a hole that reads as zeros.
        if (!NeedsBounce(buffer)) return ReadAligned(offset, buffer);
        using var bounce = AlignedBufferPool.Shared.Rent(buffer.Length);
        var aligned = bounce.GetSpan()[..buffer.Length];
        var status = ReadAligned(offset, aligned);
        aligned.CopyTo(buffer);
        return status;
    }

    /// <inheritdoc/>
    /// <remarks>A regular file would grow under a write behind its end, and the hole before it would read as zeros: a file that was cut
    /// takes no write any more.</remarks>
    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        RequireRange(offset, buffer.Length);
        if (WouldGrow()) return DeviceStatus.Unreachable;
        if (!NeedsBounce(buffer)) return StatusOf(Linux.WriteAt(_handle, buffer, offset));
        using var bounce = AlignedBufferPool.Shared.Rent(buffer.Length);
        var aligned = bounce.GetSpan()[..buffer.Length];
        buffer.CopyTo(aligned);
        return StatusOf(Linux.WriteAt(_handle, aligned, offset));
    }

    /// <inheritdoc/>
    /// <remarks>A failed flush is final for this opening: the kernel reports an error once, and a later success would
    /// say nothing about what was lost.</remarks>
    public DeviceStatus Flush()
    {
        if (_hasFlushFailed) return DeviceStatus.IoError;
        var status = StatusOf(Linux.TryDataSync(_handle));
        if (status == DeviceStatus.NoSpace) status = DeviceStatus.IoError; // It had taken the bytes, and now has not got them.
        if (status != DeviceStatus.Ok) _hasFlushFailed = true;

        // A flush that ran beside a failing one may have been told nothing: the error is reported once.
        return _hasFlushFailed && status == DeviceStatus.Ok ? DeviceStatus.IoError : status;
    }

    /// <inheritdoc/>
    /// <remarks>Punch hole, on block devices as well: unlike BLKDISCARD it promises zeros, so that the legs of a mirror
    /// stay equal.</remarks>
    public DeviceStatus Trim(long offset, long lengthBytes)
    {
        RequireRange(offset, lengthBytes);
        var result = Linux.PunchHole(_handle, offset, lengthBytes);
        return result == -NotSupported ? DeviceStatus.Ok : StatusOf(result);
    }

    /// <inheritdoc/>
    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        RequireRange(offset, lengthBytes);
        if (lengthBytes == 0) return DeviceStatus.Ok;
        if (WouldGrow()) return DeviceStatus.Unreachable;
        if (mayUnmap)
        {
            var result = Linux.PunchHole(_handle, offset, lengthBytes);
            if (result != -NotSupported) return StatusOf(result);
        }

        if (_isBlockDevice)
        {
            var result = Linux.ZeroOut(_handle, offset, lengthBytes);
            if (result is not (-NotSupported or -InvalidArgument)) return StatusOf(result);
        }

        return ZeroSource.Write(this, offset, lengthBytes);
    }

    /// <summary>Makes sure that a range of a sparse file has its space, so that writing it later cannot lack any. The content stays as it is.</summary>
    /// <returns>Ok too where that cannot be had, as on block devices.</returns>
    public DeviceStatus Allocate(long offset, long lengthBytes)
    {
        RequireRange(offset, lengthBytes);
        return _isBlockDevice ? DeviceStatus.Ok : StatusOf(Linux.Allocate(_handle, offset, lengthBytes));
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private static SafeFileHandle OpenHandle(string path, bool isDirect, bool writable)
    {
        try
        {
            return Linux.Open(path, writable, isDirect);
        }
        catch (IOException e) when (isDirect && e.HResult == InvalidArgument)
        {
            throw new IOException(
                $"{path} does not support direct I/O (O_DIRECT), as some file systems do not. Put the disk elsewhere, or, only if "
                + "every node that opens it runs on this host, use the page cache (--io cached).",
                e);
        }
    }

    // A file's alignment is that of the device below it, which stat(2) does not tell: try.
    private static int ProbeSector(SafeFileHandle handle, string path)
    {
        using var buffer = AlignedBufferPool.Shared.Rent(4096);
        foreach (var sectorBytes in (ReadOnlySpan<int>)[512, 4096])
        {
            // From 512 on: an offset of 0 is aligned to anything.
            var result = Linux.ReadAt(handle, buffer.GetSpan()[..sectorBytes], sectorBytes);
            if (result >= 0) return sectorBytes;
            if (result != -InvalidArgument) throw new IOException($"{path} cannot be read (errno {-result}).");
        }

        throw new IOException($"{path} takes no direct reads of 512 or 4096 bytes.");
    }

    private static DeviceStatus StatusOf(int result)
    {
        if (result != 0) DeviceErrno.Last = -result;
        return Classify(-result);
    }

    private static DeviceStatus Classify(int errno) => errno switch
    {
        0 => DeviceStatus.Ok,
        ErrnoText.NoSpace or ErrnoText.QuotaExceeded => DeviceStatus.NoSpace,
        6 or 19 or 67 or 110 or 112 or 113 or 116 => DeviceStatus.Unreachable, // ENXIO ENODEV ENOLINK ETIMEDOUT EHOST… ESTALE
        52 => DeviceStatus.Fenced, // EBADE: SCSI and NVMe reservation conflict.
        _ => DeviceStatus.IoError,
    };

    private DeviceStatus ReadAligned(long offset, Span<byte> buffer)
    {
        var result = Linux.ReadAt(_handle, buffer, offset);
        if (result < 0) return StatusOf(result);
        if (result == buffer.Length) return DeviceStatus.Ok;
        _isShrunk = true; // Shorter: it was cut below us.
        return DeviceStatus.Unreachable;
    }

    /// <summary>For good: what lay behind the cut is lost, even if somebody makes the file long again.</summary>
    private bool WouldGrow()
    {
        if (_isBlockDevice) return false; // The kernel refuses a write behind the end.
        // fstat(2): lseek(2) takes the lock of the handle's position, for which all threads of the disk would wait.
        if (!_isShrunk && RandomAccess.GetLength(_handle) < SizeBytes) _isShrunk = true;
        return _isShrunk;
    }

    private unsafe bool NeedsBounce(ReadOnlySpan<byte> buffer)
    {
        if (!_isDirect) return false;
        fixed (byte* start = buffer) return (nuint)start % (nuint)SectorBytes != 0;
    }

    private void RequireRange(long offset, long lengthBytes) =>
        Invariant.Require(
            offset >= 0 && lengthBytes >= 0 && offset <= SizeBytes - lengthBytes
                && offset % SectorBytes == 0 && lengthBytes % SectorBytes == 0,
            "Callers pass whole sectors inside the device.");
}
