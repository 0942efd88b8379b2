namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>Bounds and times of a volume. Times in nanoseconds.</summary>
public sealed record MirrorOptions
{
    /// <summary>A request that waits this long for a lease, an owner or a merge loses its connection, so that its client can
    /// try another node.</summary>
    public long ParkNs { get; init; } = 30_000_000_000;

    /// <summary>Reports and peer messages that had no effect yet are repeated after this.</summary>
    public long RepeatNs { get; init; } = 500_000_000;

    /// <summary>Time between two passes of region cleaning; a region clears after two idle passes.</summary>
    public long CleanNs { get; init; } = 10_000_000_000;

    /// <summary>Time between two resync positions; each costs a flush of all legs.</summary>
    public long ProgressNs { get; init; } = 5_000_000_000;

    /// <summary>Wait before a copy that failed is tried again.</summary>
    public long CopyRetryNs { get; init; } = 1_000_000_000;

    /// <summary>Bytes copied at once, and the size of a window; a power of two, at most 4 MiB.</summary>
    public int CopyBytes { get; init; } = 4 << 20;

    /// <summary>Copies (and windows) in flight, 1 to 4.</summary>
    public int CopiesInFlight { get; init; } = 2;

    /// <summary>Client requests of one volume in flight on this node; more wait at the door.</summary>
    public int MaxRequests { get; init; } = 1024;

    /// <summary>H of ADR 0019: a node's answer that it has no older write of a client left is good for this long.</summary>
    public long AnswerAgeNs { get; init; } = 300_000_000;

    /// <summary>A of ADR 0019: writes that a node has had for less are not listed in its answers.</summary>
    public long WriteAgeNs { get; init; } = 300_000_000;

    /// <summary>D of ADR 0019: how long the bytes of a request may be on their way to the node's host. Nothing here measures it: it is the
    /// part of the safe client time-out that the network and the client's host may use up.</summary>
    public long OnTheWayNs { get; init; } = 400_000_000;

    /// <summary>Time between two questions whether another node has older writes left, while both have client connections.</summary>
    public long AskNs { get; init; } = 100_000_000;

    /// <summary>A client that has waited this long for a write may give it up and write the same bytes through another node.</summary>
    public long SafeClientTimeoutNs => AnswerAgeNs + WriteAgeNs + OnTheWayNs;

    /// <summary>Time between two ticks of the cores.</summary>
    public long TickNs { get; init; } = 50_000_000;
}
