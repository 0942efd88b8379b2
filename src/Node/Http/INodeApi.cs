using RaftMirror.Contracts;
using RaftMirror.Node.Status;

namespace RaftMirror.Node.Http;

/// <summary>What the HTTP API needs of a node; the daemon implements it, <see cref="ApiServer"/> calls it from pool
/// threads, concurrently. A read that no leader confirms throws <see cref="Consensus.NoLeaderException"/>.</summary>
internal interface INodeApi
{
    /// <summary>This node's name.</summary>
    string Name { get; }

    /// <summary>The local view for the answer's headers. Cheap, asks nobody.</summary>
    ApiPosition Position { get; }

    /// <summary>Why this node is not ready; empty if it is. Asks no peer and no disk.</summary>
    IReadOnlyList<string> UnreadyReasons();

    /// <summary>The cluster's time for a request id made now, unix ms. Without a leader that knows it: <see cref="Consensus.NoLeaderException"/>.</summary>
    ValueTask<long> ReadRequestTimeAsync(CancellationToken cancellationToken);

    /// <summary>Forwards, checks and proposes a command; waits until it is applied here. Never throws for an expected
    /// failure: the four outcomes tell. When <paramref name="cancellationToken"/> ends before the outcome is known, the
    /// outcome is <see cref="ApiOutcome.Unknown"/>.</summary>
    ValueTask<ApiResult> SubmitAsync(CommandRequest request, CancellationToken cancellationToken);

    /// <summary>The replicated state with the live figures of the nodes that answered in time.</summary>
    ValueTask<StateView> ReadStateAsync(ReadConsistency consistency, CancellationToken cancellationToken);

    /// <summary>Events with an index above <paramref name="since"/>, oldest first, whole indices only.</summary>
    /// <param name="since">0 for all that are kept.</param>
    /// <param name="limit">Most events to return, 1 and up; exceeded only to keep an index whole.</param>
    /// <param name="wait">How long to wait if there is none yet; zero to return at once.</param>
    /// <param name="cancellationToken">Ends the wait with an exception.</param>
    ValueTask<EventPage> ReadEventsAsync(ulong since, int limit, TimeSpan wait, CancellationToken cancellationToken);

    /// <summary>The engine's members, as the leader sees them if it can be asked.</summary>
    ValueTask<RaftPeersDocument> ReadRaftPeersAsync(CancellationToken cancellationToken);

    /// <summary>Hands leadership over; the best follower if <paramref name="to"/> is null.</summary>
    ValueTask<ApiResult> TransferLeadershipAsync(string? to, CancellationToken cancellationToken);

    /// <summary>Changes who takes part in the log; forwards to the leader.</summary>
    ValueTask<ApiResult> ChangeMembersAsync(MemberRequest request, CancellationToken cancellationToken);

    /// <summary>Lets a new node take part, as a learner; forwards to the leader. Data: <see cref="JoinDocument"/>.</summary>
    ValueTask<ApiResult> JoinAsync(JoinRequest request, CancellationToken cancellationToken);

    /// <summary>Replaces a quarantined node's state by another's.</summary>
    ValueTask<ApiResult> ReseedAsync(ReseedBody request, CancellationToken cancellationToken);

    /// <summary>A part of this node's own log, committed or not.</summary>
    /// <param name="from">First index; 0 for the last <paramref name="count"/>.</param>
    /// <param name="count">Most entries, 1 to 10000.</param>
    /// <param name="cancellationToken">Gives up.</param>
    ValueTask<RaftLogDocument> ReadRaftLogAsync(ulong from, int count, CancellationToken cancellationToken);

    /// <summary>The snapshots of all nodes that answered in time.</summary>
    ValueTask<RaftSnapshotsDocument> ReadSnapshotsAsync(CancellationToken cancellationToken);

    /// <summary>Spans of all nodes that answered in time (<see cref="Telemetry.TraceFanIn"/>).</summary>
    ValueTask<SpanPage> ReadSpansAsync(SpanQuery query, CancellationToken cancellationToken);
}

/// <summary>This node's state is not to be trusted, or is of the past: it answers nothing that rests on it. Others do.</summary>
/// <param name="code">nodeQuarantined, nodeOutdated, nodeConflicting or nodeRemoved.</param>
/// <param name="message">For people.</param>
/// <param name="help">What to do.</param>
internal sealed class NodeBarredException(string code, string message, string help) : Exception(message)
{
    public string Code => code;

    public string Help => help;
}

/// <summary>Where an answering node stands.</summary>
/// <param name="Index">Applied log index.</param>
/// <param name="Term">Term.</param>
/// <param name="Leader">Name, or null.</param>
internal readonly record struct ApiPosition(ulong Index, ulong Term, string? Leader);
