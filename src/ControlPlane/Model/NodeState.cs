namespace RaftMirror.ControlPlane.Model;

/// <summary>A registered node.</summary>
/// <param name="Name">Unique; matches <see cref="Names"/>.</param>
/// <param name="Id">Raft's number of it, unique.</param>
/// <param name="Incarnation">Of the newest process that registered; grows with each.</param>
/// <param name="Status">State of that incarnation.</param>
/// <param name="SinceMs">Log time at which the status was entered, unix ms.</param>
/// <param name="SinceIndex">Log index at which the status was entered.</param>
/// <param name="HasServed">True once this incarnation was <see cref="NodeStatus.Up"/>: from then on it may hold a lease, so
/// that a later incarnation has to wait for its fencing.</param>
/// <param name="Api">HOST:PORT of its HTTP API.</param>
/// <param name="Peer">HOST:PORT of its peer listener.</param>
/// <param name="Nbd">HOST:PORT of its NBD server.</param>
/// <param name="Predecessor">The older incarnation that has served and is not yet both fenced and merged; else null. There is
/// never more than one, since an incarnation with a predecessor does not serve.</param>
public sealed record NodeState(
    string Name,
    ushort Id,
    ulong Incarnation,
    NodeStatus Status,
    long SinceMs,
    ulong SinceIndex,
    bool HasServed,
    string Api,
    string Peer,
    string Nbd,
    PredecessorState? Predecessor)
{
    /// <summary>Identifies the boot of the machine that the current incarnation runs on; empty if it did not say.</summary>
    public string BootId { get; init; } = "";

    /// <summary>Random identity of that process, 16 hexadecimal digits; empty if it did not say.</summary>
    public string Start { get; init; } = "";

    /// <summary>May hold a lease now.</summary>
    public bool IsLive => Status is NodeStatus.Up or NodeStatus.Draining;
}

/// <summary>An older incarnation of a node.</summary>
/// <param name="Incarnation">Which.</param>
/// <param name="Status">Whether it is proven gone.</param>
/// <param name="SinceMs">Log time at which the status was entered, unix ms.</param>
/// <param name="SinceIndex">Log index at which the status was entered.</param>
public sealed record PredecessorState(ulong Incarnation, PredecessorStatus Status, long SinceMs, ulong SinceIndex)
{
    /// <summary>Identifies the boot of the machine that it ran on; empty if it did not say.</summary>
    public string BootId { get; init; } = "";
}
