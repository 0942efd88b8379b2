namespace RaftMirror.DataPlane.Mirroring;

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

    /// <summary>Time between two ticks of the cores.</summary>
    public long TickNs { get; init; } = 50_000_000;
}
