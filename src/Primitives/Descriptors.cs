using System.Runtime.InteropServices;

namespace RaftMirror.Primitives;

/// <summary>How many files and sockets this process may have open (RLIMIT_NOFILE).</summary>
public static partial class Descriptors
{
    private const int NoFile = 7;

    /// <summary>Raises the soft limit to the hard one, which needs no privilege.</summary>
    /// <returns>The limit that then holds.</returns>
    public static long RaiseLimit()
    {
        if (NativeGetLimit(NoFile, out var limit) != 0) return DescriptorTiers.Unlimited;
        if (limit.Soft < limit.Hard && NativeSetLimit(NoFile, new Limit { Soft = limit.Hard, Hard = limit.Hard }) == 0) limit.Soft = limit.Hard;
        return limit.Soft > int.MaxValue ? DescriptorTiers.Unlimited : (long)limit.Soft;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int NativeGetLimit(int resource, out Limit limit);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int NativeSetLimit(int resource, in Limit limit);

    // struct rlimit of 64-bit Linux.
    [StructLayout(LayoutKind.Sequential)]
    private struct Limit
    {
        public ulong Soft;
        public ulong Hard;
    }
}

/// <summary>Who may use which descriptors, so that clients cannot take those of the log, the disks and the peers. The system gives the lowest
/// number that is free: a connection whose number is at or beyond its tier's end stands for a process in which that many are in use, and is
/// closed again.</summary>
/// <param name="Limit">RLIMIT_NOFILE.</param>
/// <param name="NbdBelow">NBD connections have numbers below this.</param>
/// <param name="HttpBelow">So have HTTP connections: status must answer while NBD clients are refused.</param>
/// <param name="PeerBelow">So have connections of nodes; what is above is left to the log, snapshots, disks and the runtime.</param>
public sealed record DescriptorTiers(long Limit, int NbdBelow, int HttpBelow, int PeerBelow)
{
    /// <summary>No limit that matters.</summary>
    public const long Unlimited = int.MaxValue;

    /// <summary>A quarter of a small limit is kept from NBD clients, of a large one this many.</summary>
    private const long MaxReserve = 1024;

    /// <summary>Below this many the runtime itself and its libraries leave little for anybody.</summary>
    public const long SmallLimit = 1024;

    /// <summary>Divides a limit.</summary>
    public static DescriptorTiers Of(long limit)
    {
        var reserve = Math.Min(limit / 4, MaxReserve);
        return new DescriptorTiers(limit, (int)(limit - reserve), (int)(limit - (reserve / 2)), (int)(limit - (reserve / 4)));
    }
}
