using System.Runtime.InteropServices;

namespace RaftMirror.Primitives;

/// <summary>What a path leads to, whatever its name: a regular file or a block device (statx(2), links followed). Any thread.</summary>
/// <param name="IsBlockDevice">Else a regular file.</param>
/// <param name="Device">Number of the block device, or of the file system that holds the file.</param>
/// <param name="Inode">Of the file; 0 for a block device.</param>
public readonly partial record struct FileIdentity(bool IsBlockDevice, ulong Device, ulong Inode)
{
    private const int CurrentDirectory = -100;
    private const uint BasicStats = 0x7ff;
    private const int StatxBytes = 256;
    private const int TypeMask = 0xF000;
    private const int BlockDevice = 0x6000;
    private const int RegularFile = 0x8000;

    /// <summary>Looks at a path without opening it: opening a tape, a terminal or a pipe may do something, or wait for ever.</summary>
    /// <returns>Null if nothing is there, or something that is neither file nor block device.</returns>
    public static unsafe FileIdentity? Of(string path)
    {
        // Offsets of struct statx: mode 28, inode 32, rdev 128 and 132, dev 136 and 140.
        Span<byte> statx = stackalloc byte[StatxBytes];
        fixed (byte* start = statx)
        {
            if (NativeStatx(CurrentDirectory, path, 0, BasicStats, start) != 0) return null;
        }

        ulong Number(ReadOnlySpan<byte> at) =>
            ((ulong)MemoryMarshal.Read<uint>(at) << 32) | MemoryMarshal.Read<uint>(at[4..]);
        return (MemoryMarshal.Read<ushort>(statx[28..]) & TypeMask) switch
        {
            BlockDevice => new FileIdentity(true, Number(statx[128..]), 0),
            RegularFile => new FileIdentity(false, Number(statx[136..]), MemoryMarshal.Read<ulong>(statx[32..])),
            _ => null,
        };
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int NativeStatx(int directory, string path, int flags, uint mask, byte* into);
}
