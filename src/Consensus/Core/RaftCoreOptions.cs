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

    /// <summary>While so many appends are in flight to a follower, one that is not full waits: what is proposed until an answer comes shares it.</summary>
    public int MaxPartialInflight { get; init; } = 1;

    /// <summary>Appends in flight to one follower, by number and by bytes.</summary>
    public int MaxInflightMessages { get; init; } = 64;

    public int MaxInflightBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>Proposals are refused while this much is uncommitted.</summary>
    public long MaxUncommittedBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Reads waiting for a round; more are refused, never dropped.</summary>
    public int MaxPendingReads { get; init; } = 65536;

    /// <summary>A write that takes longer than this is a hung disk: this node does not campaign, and hands leadership over.</summary>
    public int DiskStallMs { get; init; } = 1000;

    /// <summary>A learner is promoted only if it lacks no more entries than this.</summary>
    public ulong MaxPromotionLag { get; init; } = 1024;

    /// <summary>Entries kept in memory behind the newest snapshot, for followers that are a little behind.</summary>
    public long MaxRetainedBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>A caught-up voter of higher priority is handed leadership once this leader has led for so long.</summary>
    public int PriorityStableMs { get; init; } = 5000;

    /// <summary>Reads may be answered without a round while a majority cannot have elected anybody else (thesis 6.4.1). Rests on clocks
    /// that run at nearly the same rate, so it is off unless asked for. All nodes of a cluster must agree on it.</summary>
    public bool LeaseReads { get; init; }

    /// <summary>What is known of peers' lives, and told of this node's, is brought up to date so often.</summary>
    public int LivesMs { get; init; } = 1000;

    /// <summary>How long a node that starts waits for voters that do not answer, once a majority has confirmed it.</summary>
    public int GraceMs => 2 * ElectionTimeoutMaxMs;

    /// <summary>How much faster one node's clock may run than another's, in parts per thousand.</summary>
    public int ClockDriftPermille { get; init; } = 10;
}
