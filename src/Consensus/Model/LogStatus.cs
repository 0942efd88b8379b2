namespace RaftMirror.Consensus.Model;

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
