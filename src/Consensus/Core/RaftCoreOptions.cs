namespace RaftMirror.Consensus.Core;

/// <summary>Times and bounds of the core.</summary>
internal sealed record RaftCoreOptions
{
    public int HeartbeatMs { get; init; } = 50;

    /// <summary>A follower waits a random time in [min, max) without a leader before it campaigns. Within min of the last
    /// contact it refuses votes (stickiness).</summary>
    public int ElectionTimeoutMinMs { get; init; } = 300;

    public int ElectionTimeoutMaxMs { get; init; } = 600;

    /// <summary>Bytes of entries in one append, unless a single entry is larger.</summary>
    public int MaxAppendBytes { get; init; } = 512 * 1024;

    public int MaxAppendEntries { get; init; } = 1024;

    /// <summary>Appends in flight to one follower, by number and by bytes.</summary>
    public int MaxInflightMessages { get; init; } = 64;

    public int MaxInflightBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>Proposals are refused while this much is uncommitted.</summary>
    public long MaxUncommittedBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Reads waiting for a round; more are refused, never dropped.</summary>
    public int MaxPendingReads { get; init; } = 65536;
}
