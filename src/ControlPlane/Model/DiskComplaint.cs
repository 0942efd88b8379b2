namespace RaftMirror.ControlPlane.Model;

/// <summary>What a node says of a disk that it cannot use.</summary>
/// <param name="Disk">Disk name.</param>
/// <param name="Reason">Kind of trouble, never <see cref="DiskLossReason.None"/>.</param>
/// <param name="Detail">For people: path, what was found there, errno.</param>
public sealed record DiskComplaint(string Disk, DiskLossReason Reason, string Detail)
{
    /// <summary>It is the disk and large enough, but what is on it is old or was cut: it may come back if all data is copied to it anew.</summary>
    public bool MayBeRefilled { get; init; }
}

/// <summary>An incarnation that may have I/O to a disk in its kernel. A kill of the process does not end such I/O, a reboot does.</summary>
/// <param name="Node">Name.</param>
/// <param name="Incarnation">Which.</param>
/// <param name="BootId">Of the machine it ran on; empty if it did not say.</param>
public sealed record DiskUser(string Node, ulong Incarnation, string BootId);
