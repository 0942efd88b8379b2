using RaftMirror.Primitives;

namespace RaftMirror.Consensus;

/// <summary>A voter's number in one cluster: 1 and up, given once, never reused. Names live above the seam.</summary>
public readonly record struct NodeId(ushort Value) : IComparable<NodeId>
{
    /// <inheritdoc/>
    public int CompareTo(NodeId other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
}

/// <summary>A place in the replicated log: opaque, monotonic, comparable. Raft's log index here.</summary>
public readonly record struct LogPosition(ulong Value) : IComparable<LogPosition>
{
    /// <inheritdoc/>
    public int CompareTo(LogPosition other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString();
}

/// <summary>What became of a proposal. There are three outcomes and no others.</summary>
public enum ProposalOutcome
{
    /// <summary>On stable storage of a majority, applied here; the result is the state machine's.</summary>
    Committed,

    /// <summary>It is not in the log and never will be.</summary>
    NotCommitted,

    /// <summary>It may or may not be committed: repeat it with the same command id.</summary>
    Unknown,
}

/// <summary>The outcome of a proposal, with the state machine's result if it was committed.</summary>
/// <param name="Outcome">What became of it.</param>
/// <param name="Position">Where it stands; meaningful if committed.</param>
/// <param name="Result">The bytes that <see cref="IStateMachine.Apply"/> returned; empty unless committed.</param>
/// <param name="Reason">For people, unless committed: "no leader", "the leader changed", …</param>
public sealed record CommitResult(ProposalOutcome Outcome, LogPosition Position, ReadOnlyMemory<byte> Result, string? Reason);

/// <summary>One member as this node sees it.</summary>
/// <param name="Id">The node.</param>
/// <param name="Address">HOST:PORT of its peer listener.</param>
/// <param name="IsVoter">False for a learner.</param>
/// <param name="Match">Highest log index known to be durable there; 0 if unknown (only the leader knows).</param>
/// <param name="IsRecentlyActive">The leader heard from it within an election timeout.</param>
/// <param name="Name">For people; may be empty.</param>
/// <param name="Priority">0 to 255; see <see cref="Member"/>.</param>
public sealed record MemberStatus(
    NodeId Id, string Address, bool IsVoter, ulong Match, bool IsRecentlyActive, string Name = "", byte Priority = Member.DefaultPriority);

/// <summary>What is to be done to the membership.</summary>
public enum MembershipAction
{
    /// <summary>A new node receives the log and does not vote yet.</summary>
    AddLearner,

    /// <summary>A learner that has caught up becomes a voter.</summary>
    Promote,

    /// <summary>A voter becomes a learner.</summary>
    Demote,

    /// <summary>A member leaves; its number is never given again.</summary>
    Remove,

    /// <summary>A member's address, name or priority changes.</summary>
    Update,
}

/// <summary>One change of membership.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Member">Whom; for <see cref="MembershipAction.Promote"/>, <see cref="MembershipAction.Demote"/> and
/// <see cref="MembershipAction.Remove"/> only the number counts. Number 0 with <see cref="MembershipAction.AddLearner"/>: the next free one.</param>
public sealed record MembershipChange(MembershipAction Action, Member Member);

/// <summary>Who a member is.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Name">For people, 1 to 64 characters; may be empty in clusters that name their nodes elsewhere.</param>
/// <param name="Address">HOST:PORT of its peer listener.</param>
/// <param name="Priority">0 to 255: leadership goes to the highest priority that is caught up; 0 leads only while nobody else can.</param>
public sealed record Member(NodeId Id, string Name, string Address, byte Priority = Member.DefaultPriority)
{
    /// <summary>What members have unless told otherwise.</summary>
    public const byte DefaultPriority = 100;
}

/// <summary>A snapshot of the engine's view, never torn. Taken on any thread.</summary>
/// <param name="Self">This node.</param>
/// <param name="IsLeader">True while this node leads and has applied an entry of its own term.</param>
/// <param name="Epoch">Leadership epoch: Raft's term. Grows with each leader.</param>
/// <param name="Leader">Who leads, if known.</param>
/// <param name="Committed">Highest committed position known here.</param>
/// <param name="Applied">Highest position applied to the state machine here.</param>
/// <param name="Last">Last position in the local log.</param>
/// <param name="Members">All members, by id.</param>
public sealed record LogStatus(
    NodeId Self,
    bool IsLeader,
    ulong Epoch,
    NodeId? Leader,
    LogPosition Committed,
    LogPosition Applied,
    LogPosition Last,
    IReadOnlyList<MemberStatus> Members);

/// <summary>The seam between the control plane and whatever replicates its commands. Committed means: on stable
/// storage of a majority. No terms, truncation or log reads are visible here. All members are safe on any thread.</summary>
public interface IReplicatedLog : IAsyncDisposable
{
    /// <summary>The current view.</summary>
    LogStatus Status { get; }

    /// <summary>Raised after leadership, epoch or membership changed; on a thread of the engine, so return soon.</summary>
    event Action<LogStatus>? StatusChanged;

    /// <summary>Proposes a command; a follower forwards it to the leader. Returns once it is applied on this node
    /// (so that a read here sees it) or has one of the other outcomes.</summary>
    /// <param name="command">Opaque bytes, 1 to 1 MiB.</param>
    /// <param name="expectedEpoch">If given: refuse (NotCommitted) unless the entry is appended in exactly this epoch.</param>
    /// <param name="cancellationToken">Gives up waiting: the outcome is then Unknown, not an exception.</param>
    ValueTask<CommitResult> ProposeAsync(
        ReadOnlyMemory<byte> command, ulong? expectedEpoch, CancellationToken cancellationToken);

    /// <summary>A linearizable read barrier (ReadIndex, Raft thesis 6.4): when it returns, the local state machine has
    /// applied everything that was committed anywhere before the call. A quorum round that began after it confirms that; or, where the
    /// backend was set up for lease reads, a lease that still held when the answer was given, which rests on clocks.</summary>
    /// <exception cref="NoLeaderException">No leader confirmed it in time.</exception>
    ValueTask<LogPosition> ReadBarrierAsync(CancellationToken cancellationToken);

    /// <summary>Hands leadership to a node (the best follower if none is named); waits until it leads or time is up.</summary>
    /// <returns>Null if done, else why not.</returns>
    ValueTask<string?> TransferLeadershipAsync(NodeId? target, CancellationToken cancellationToken);

    /// <summary>Changes who takes part; waits until the change is committed (and, for voters, the old majority released).</summary>
    /// <returns>Null if done, else why not; nothing was changed then unless the text says that the outcome is unknown.</returns>
    ValueTask<string?> ChangeMembersAsync(MembershipChange change, CancellationToken cancellationToken);

    /// <summary>Waits until the local state machine has applied <paramref name="position"/>.</summary>
    ValueTask WaitAppliedAsync(LogPosition position, CancellationToken cancellationToken);
}

/// <summary>No leader could confirm a read or take a proposal before the caller's deadline. Nothing was applied.</summary>
public sealed class NoLeaderException : Exception
{
    /// <summary>Creates the exception with what was tried.</summary>
    public NoLeaderException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with what was tried and why it failed.</summary>
    public NoLeaderException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception without a text.</summary>
    public NoLeaderException()
    {
    }
}

/// <summary>Requests and answers between the nodes of one cluster, beside the log: each method name has one handler
/// on each node. Transport errors and time-outs are exceptions at the caller; the callee may or may not have run.</summary>
public interface IPeerRpc
{
    /// <summary>Calls <paramref name="method"/> on <paramref name="node"/> (this node included).</summary>
    /// <exception cref="PeerUnreachableException">No connection, connection lost, or the handler failed.</exception>
    ValueTask<ReadOnlyMemory<byte>> CallAsync(
        NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken);

    /// <summary>Sets the handler of a method; called concurrently, on pool threads. Once per method, before start.</summary>
    void Handle(string method, Func<NodeId, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>> handler);
}

/// <summary>A peer did not answer. Whether it acted is unknown.</summary>
public sealed class PeerUnreachableException : Exception
{
    /// <summary>Creates the exception with who and why.</summary>
    public PeerUnreachableException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with who and why.</summary>
    public PeerUnreachableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception without a text.</summary>
    public PeerUnreachableException()
    {
    }
}
