using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus;

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
