namespace RaftMirror.Consensus.Model;

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
