using RaftMirror.Primitives;

namespace RaftMirror.Node.Disks;

/// <summary>Whether the end of a process proves that its I/O has ended. A thread that waits for a local disk cannot be killed: its process is gone
/// only when the call has come back. File systems with a server behind them let a killed thread go while the request is still under way.</summary>
internal static class KernelWaits
{
    private static readonly HashSet<long> Killable =
    [
        0x6969, // NFS
        0x65735546, // FUSE
        0xFF534D42, 0xFE534D42, 0x517B, // CIFS, SMB2, SMB
        0x01021997, // 9p
        0x00C36400, // Ceph
        0x0BD00BD0, // Lustre
        0x5346414F, // AFS
    ];

    /// <summary>True if no call on what lies under the path outlives its process. False too where that is not known.</summary>
    public static bool OutlastAKill(string path) => Linux.FileSystemType(path) is { } type && !Killable.Contains(type);
}
