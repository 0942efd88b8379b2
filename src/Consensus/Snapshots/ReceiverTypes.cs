using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>Bounds of a <see cref="SnapshotReceiver"/>. Times in ms of the caller's monotonic clock.</summary>
internal sealed record SnapshotReceiverOptions
{
    /// <summary>Bytes asked for at once, at most <see cref="SnapshotStore.MaxChunkBytes"/>.</summary>
    public int ChunkBytes { get; init; } = SnapshotStore.MaxChunkBytes;

    /// <summary>After this a request counts as failed; a late answer is not used.</summary>
    public long RequestTimeoutMs { get; init; } = 5_000;

    /// <summary>Wait after a source's first failure; doubles with each, up to 32 times.</summary>
    public long BackoffMs { get; init; } = 100;

    /// <summary>Failures in a row after which a source is left out.</summary>
    public int MaxFailures { get; init; } = 5;

    /// <summary>How long a source is left out, whatever it offers meanwhile.</summary>
    public long PenaltyMs { get; init; } = 10_000;
}

/// <summary>What the shell is to do.</summary>
internal enum ReceiverStepKind
{
    /// <summary>Nothing, until somebody offers a snapshot.</summary>
    Idle,

    /// <summary>Nothing, until the time given or an input.</summary>
    Wait,

    /// <summary>Dispose (or discard, if told to start over) the present reception, begin this one, answer with
    /// <see cref="SnapshotReceiver.Began"/>.</summary>
    Begin,

    /// <summary>Ask the source, answer with <see cref="SnapshotReceiver.Answered"/> or <see cref="SnapshotReceiver.RequestFailed"/>.</summary>
    Request,

    /// <summary>Append the chunk, answer with <see cref="SnapshotReceiver.Appended"/>.</summary>
    Append,

    /// <summary>Commit the reception, answer with <see cref="SnapshotReceiver.Committed"/> or <see cref="SnapshotReceiver.CommitRefused"/>.</summary>
    Commit,
}

/// <summary>One thing to do.</summary>
/// <param name="Kind">What; it says which of the others have a meaning.</param>
/// <param name="Ticket">To be given back with the answer; answers with an old ticket are ignored.</param>
/// <param name="Offer">The snapshot.</param>
/// <param name="Source">Whom to ask.</param>
/// <param name="Request">What to ask for.</param>
/// <param name="Chunk">What to append.</param>
/// <param name="StartsOver">With <see cref="ReceiverStepKind.Begin"/>: discard what there is first.</param>
/// <param name="WakeMs">With <see cref="ReceiverStepKind.Wait"/> and <see cref="ReceiverStepKind.Request"/>: ask again at this time at the
/// latest; <see cref="long.MaxValue"/> if only an input changes anything.</param>
internal sealed record ReceiverStep(
    ReceiverStepKind Kind,
    ulong Ticket = 0,
    SnapshotOffer Offer = default,
    NodeId Source = default,
    ChunkRequest Request = default,
    ChunkAnswer? Chunk = null,
    bool StartsOver = false,
    long WakeMs = long.MaxValue);

/// <summary>What became of an offer.</summary>
internal enum OfferVerdict
{
    /// <summary>It changes nothing: an older one, a source that is left out, or the snapshot is complete and being checked.</summary>
    Ignored,

    /// <summary>The same snapshot as the one that is being received, and other bytes: one of the two nodes has diverged.</summary>
    Conflicting,

    /// <summary>One more node to get the present snapshot from.</summary>
    Joined,

    /// <summary>This one is received from now on.</summary>
    Started,
}

/// <summary>For people.</summary>
/// <param name="Offer">What is being received; null if nothing is.</param>
/// <param name="ReceivedBytes">Durable here.</param>
/// <param name="Source">Who was asked last; 0 if nobody.</param>
/// <param name="LastError">The last failure, until something succeeds.</param>
internal sealed record ReceiverProgress(SnapshotOffer? Offer, long ReceivedBytes, NodeId Source, string? LastError);
