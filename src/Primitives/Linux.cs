using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace RaftMirror.Primitives;

/// <summary>The few system calls that the framework does not offer, or offers with errors swallowed
/// (its flush ignores EROFS, EINVAL and ENOTSUP and is fsync, never fdatasync). Any thread. Each call
/// throws <see cref="IOException"/> with errno and path on failure.</summary>
public static partial class Linux
{
    private const int ReadOnly = 0;
    private const int ReadWrite = 2;
    private const int Create = 0x40;
    private const int CloseOnExec = 0x80000;
    private const int DirectoryFlag = 0x10000;
    private const int LockExclusive = 2;
    private const int LockNonBlocking = 4;
    private const int ClockBootTime = 7;
    private const int EIntr = 4;
    private const int EWouldBlock = 11;
    private const int NoSpace = 28;

    // O_DIRECT differs between architectures; O_DIRECTORY is swapped with it on arm64.
    private static int Direct => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    private static int OpenDirectoryFlag =>
        RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x4000 : DirectoryFlag;

    /// <summary>Opens a file or block device.</summary>
    /// <param name="path">An existing file, unless <paramref name="create"/>.</param>
    /// <param name="writable">Read and write, else read only.</param>
    /// <param name="direct">O_DIRECT: buffers, offsets and lengths must be multiples of the logical sector.</param>
    /// <param name="create">Create with mode 0600 if it is missing.</param>
    public static SafeFileHandle Open(string path, bool writable, bool direct = false, bool create = false)
    {
        var flags = (writable ? ReadWrite : ReadOnly) | CloseOnExec;
        if (direct) flags |= Direct;
        if (create) flags |= Create;
        var fd = NativeOpen(path, flags, 0x180);
        if (fd < 0) throw Failure("open", path);
        return new SafeFileHandle(fd, ownsHandle: true);
    }

    /// <summary>Makes a file's data (and its length) durable: fdatasync(2). After a failure the data must be
    /// treated as lost; the call must not be repeated in the hope of success.</summary>
    public static void DataSync(SafeFileHandle handle)
    {
        if (NativeFdatasync(handle) != 0) throw Failure("fdatasync", "the open file");
    }

    /// <summary>Makes names created in or removed from a directory durable.</summary>
    public static void SyncDirectory(string path)
    {
        var fd = NativeOpen(path, ReadOnly | OpenDirectoryFlag | CloseOnExec, 0);
        if (fd < 0) throw Failure("open", path);
        using var handle = new SafeFileHandle(fd, ownsHandle: true);
        if (NativeFsync(handle) != 0) throw Failure("fsync", path);
    }

    /// <summary>Exchanges the names of two files at once: renameat2(2) with RENAME_EXCHANGE.</summary>
    /// <returns>False if the file system cannot do it; nothing was changed.</returns>
    public static bool TryExchange(string path, string other)
    {
        const int here = -100, exchange = 2;
        if (NativeRename(here, path, here, other, exchange) == 0) return true;
        if (Marshal.GetLastPInvokeError() is 22 or 38 or 95) return false; // EINVAL, ENOSYS, EOPNOTSUPP.
        throw Failure("renameat2", path);
    }

    /// <summary>Takes an advisory lock for as long as the handle is open.</summary>
    /// <returns>False if another open file description holds it.</returns>
    public static bool TryLock(SafeFileHandle handle)
    {
        if (NativeFlock(handle, LockExclusive | LockNonBlocking) == 0) return true;
        if (Marshal.GetLastPInvokeError() == EWouldBlock) return false;
        throw Failure("flock", "the open file");
    }

    /// <summary>Frees the blocks of a range, which then reads as zeros: fallocate(2) with punch hole.</summary>
    /// <returns>False if the file system or device cannot do it; nothing was changed.</returns>
    public static bool TryPunchHole(SafeFileHandle handle, long offset, long lengthBytes)
    {
        const int keepSize = 1, punchHole = 2;
        while (NativeFallocate(handle, keepSize | punchHole, offset, lengthBytes) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == EIntr) continue;
            if (error is 95 or 19 or 22) return false; // EOPNOTSUPP, ENODEV, EINVAL: not this kind of file.
            throw Failure("fallocate", "the open file");
        }

        return true;
    }

    /// <summary>Reads at an offset, without an exception: the path of every request.</summary>
    /// <returns>Bytes read (less than asked for only at the end), or a negated errno.</returns>
    public static unsafe int ReadAt(SafeFileHandle handle, Span<byte> buffer, long offset)
    {
        var done = 0;
        fixed (byte* start = buffer)
        {
            while (done < buffer.Length)
            {
                var count = NativePread(handle, start + done, (nuint)(buffer.Length - done), offset + done);
                if (count == 0) return done;
                if (count > 0) done += (int)count;
                else if (Marshal.GetLastPInvokeError() is var error && error != EIntr) return -error;
            }
        }

        return done;
    }

    /// <summary>Writes all bytes at an offset, without an exception: the path of every request.</summary>
    /// <returns>Zero, or a negated errno; then any part of the bytes may have been written.</returns>
    public static unsafe int WriteAt(SafeFileHandle handle, ReadOnlySpan<byte> buffer, long offset)
    {
        var done = 0;
        fixed (byte* start = buffer)
        {
            while (done < buffer.Length)
            {
                var count = NativePwrite(handle, start + done, (nuint)(buffer.Length - done), offset + done);
                if (count > 0) done += (int)count;
                else if (count == 0) return -NoSpace;
                else if (Marshal.GetLastPInvokeError() is var error && error != EIntr) return -error;
            }
        }

        return 0;
    }

    /// <summary>fdatasync(2) without an exception.</summary>
    /// <returns>Zero, or a negated errno; see <see cref="DataSync"/>.</returns>
    public static int TryDataSync(SafeFileHandle handle) =>
        NativeFdatasync(handle) == 0 ? 0 : -Marshal.GetLastPInvokeError();

    /// <summary>Frees the blocks of a range of a file or block device, which then surely reads as zeros.</summary>
    /// <returns>Zero, or a negated errno; <c>-95</c> (EOPNOTSUPP) if it cannot be done and nothing was changed.</returns>
    public static int PunchHole(SafeFileHandle handle, long offset, long lengthBytes)
    {
        const int keepSize = 1, punchHole = 2;
        while (NativeFallocate(handle, keepSize | punchHole, offset, lengthBytes) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error is 19 or 22) return -95; // ENODEV, EINVAL: not this kind of file.
            if (error != EIntr) return -error;
        }

        return 0;
    }

    /// <summary>The number of the mount that an open file lies on; 0 if it cannot be told.</summary>
    public static ulong MountOf(SafeFileHandle handle)
    {
        try
        {
            const string name = "mnt_id:";
            var line = File.ReadLines($"/proc/self/fdinfo/{handle.DangerousGetHandle()}").FirstOrDefault(text => text.StartsWith(name, StringComparison.Ordinal));
            return line is not null && ulong.TryParse(line.AsSpan(name.Length).Trim(), out var mount) ? mount : 0;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    /// <summary>Gives a range of a file its space, without changing what it reads as: fallocate(2).</summary>
    /// <returns>Zero, also where the file system cannot do it; else a negated errno.</returns>
    public static int Allocate(SafeFileHandle handle, long offset, long lengthBytes)
    {
        const int keepSize = 1;
        while (NativeFallocate(handle, keepSize, offset, lengthBytes) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error is 95 or 19 or 22) return 0; // EOPNOTSUPP, ENODEV, EINVAL: not this kind of file.
            if (error != EIntr) return -error;
        }

        return 0;
    }

    /// <summary>Position of the end: the length of a file or block device (for which the framework says 0).</summary>
    public static long SeekEnd(SafeFileHandle handle)
    {
        var end = NativeLseek(handle, 0, 2);
        return end >= 0 ? end : throw Failure("lseek", "the open file");
    }

    /// <summary>What a block device says of itself (BLKSSZGET, BLKGETSIZE64).</summary>
    /// <returns>False if the handle is no block device.</returns>
    public static unsafe bool TryGetBlockDevice(SafeFileHandle handle, out int sectorBytes, out long sizeBytes)
    {
        var sector = 0;
        ulong size = 0;
        var isBlockDevice = NativeIoctl(handle, 0x1268, &sector) == 0 && NativeIoctl(handle, 0x80081272, &size) == 0;
        sectorBytes = isBlockDevice ? sector : 0;
        sizeBytes = isBlockDevice ? (long)size : 0;
        return isBlockDevice;
    }

    /// <summary>True for a block device that the kernel itself uses: mounted, a member of an array or a volume group, swap (O_EXCL on a
    /// block device, open(2)).</summary>
    public static bool IsBlockDeviceBusy(string path)
    {
        const int exclusive = 0x80, busy = 16;
        var fd = NativeOpen(path, ReadOnly | CloseOnExec, 0);
        if (fd < 0) return false; // Whoever opens it next says why.
        using (var handle = new SafeFileHandle(fd, ownsHandle: true))
        {
            if (!TryGetBlockDevice(handle, out _, out _)) return false;
        }

        fd = NativeOpen(path, ReadOnly | CloseOnExec | exclusive, 0);
        if (fd < 0) return Marshal.GetLastPInvokeError() == busy;
        new SafeFileHandle(fd, ownsHandle: true).Dispose();
        return false;
    }

    /// <summary>Writes zeros on a block device, by the device itself where it can (BLKZEROOUT).</summary>
    /// <returns>Zero, or a negated errno.</returns>
    public static unsafe int ZeroOut(SafeFileHandle handle, long offset, long lengthBytes)
    {
        var range = stackalloc ulong[] { (ulong)offset, (ulong)lengthBytes };
        while (NativeIoctl(handle, 0x127F, range) != 0)
        {
            if (Marshal.GetLastPInvokeError() is var error && error != EIntr) return -error;
        }

        return 0;
    }

    /// <summary>True if a descriptor is open and survives exec(2): at the start of a process, those that it inherited and no others.</summary>
    public static bool IsInheritable(int descriptor)
    {
        const int getFlags = 1, closeOnExec = 1;
        var flags = NativeFcntl(descriptor, getFlags);
        return flags >= 0 && (flags & closeOnExec) == 0;
    }

    /// <summary>Nanoseconds since boot, time spent suspended included (CLOCK_BOOTTIME): the clock of leases.</summary>
    public static long BootTimeNanoseconds()
    {
        if (NativeClockGetTime(ClockBootTime, out var time) != 0) throw Failure("clock_gettime", "CLOCK_BOOTTIME");
        return (time.Seconds * 1_000_000_000) + time.Nanoseconds;
    }

    /// <summary>Nanoseconds since 1970, as the system's clock says, which may step (CLOCK_REALTIME).</summary>
    public static long RealTimeNanoseconds()
    {
        if (NativeClockGetTime(0, out var time) != 0) throw Failure("clock_gettime", "CLOCK_REALTIME");
        return (time.Seconds * 1_000_000_000) + time.Nanoseconds;
    }

    private static IOException Failure(string call, string path)
    {
        var error = Marshal.GetLastPInvokeError();
        return new IOException($"{call} {path}: {Marshal.GetPInvokeErrorMessage(error)} (errno {error})", error);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeOpen(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int NativeFdatasync(SafeFileHandle fd);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int NativeFsync(SafeFileHandle fd);

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeRename(int directory, string path, int otherDirectory, string other, uint flags);

    /// <summary>Type of the file system that a path lies on, as statfs(2) numbers them; null if it cannot be told. May block as long as the
    /// file system does.</summary>
    public static unsafe long? FileSystemType(string path)
    {
        const int more = 512; // The structure has 120 bytes.
        var buffer = stackalloc long[more / sizeof(long)];
        return NativeStatfs(path, buffer) == 0 ? buffer[0] : null;
    }

    [LibraryImport("libc", EntryPoint = "statfs", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int NativeStatfs(string path, long* buffer);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int NativeFlock(SafeFileHandle fd, int operation);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int NativeFallocate(SafeFileHandle fd, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static unsafe partial nint NativePread(SafeFileHandle fd, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static unsafe partial nint NativePwrite(SafeFileHandle fd, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long NativeLseek(SafeFileHandle fd, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static unsafe partial int NativeIoctl(SafeFileHandle fd, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int NativeFcntl(int fd, int command);

    [LibraryImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static partial int NativeClockGetTime(int clock, out TimeSpec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
