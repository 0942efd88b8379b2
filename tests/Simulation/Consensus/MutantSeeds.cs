#if MUTANTS
namespace RaftMirror.Simulation.Consensus;

/// <summary>A seed for each mutant that was seen to find it, so that all of them can be tried in seconds. Only hints: code that changes
/// shifts what a seed does, and the hunt goes on from seed 1 then.</summary>
internal static class MutantSeeds
{
    public static readonly IReadOnlyDictionary<string, ulong> Known = new Dictionary<string, ulong>
    {
        ["CommitOlderTerm"] = 1,
        ["AckBeforeFlush"] = 1,
        ["LeaderCountsUnflushed"] = 1,
        ["VoteNotDurable"] = 1,
        ["EntriesBeforeTerm"] = 1,
        ["QuorumOfResponders"] = 1,
        ["ReadQuorumOffByOne"] = 48,
        ["TruncateWithoutConflict"] = 2,
        ["IndexBeforeTerm"] = 156,
        ["JointUnion"] = 2,
        ["JointSkipped"] = 1,
        ["ChangeBeforeOwnCommit"] = 3,
        ["ConfigurationNotRolledBack"] = 15,
        ["ConfigurationForgotten"] = 3,
        ["MembershipFromReplacedLog"] = 1,
        ["OlderSnapshotAccepted"] = 111,
        ["StaleWriteCounts"] = 2,
        ["AckByIndex"] = 2,
        ["CommitBeyondMatch"] = 1,
        ["ReadBeforeOwnCommit"] = 3,
        ["ReadWithoutRound"] = 21,
        ["ReadRoundIgnored"] = 679,
        ["ReadDuringTransfer"] = 48,
        ["LeaseFromReceive"] = 243,
        ["LeaseNotRechecked"] = 914,
        ["AppliesBeforeCommit"] = 1,
        ["AppliedIndexApart"] = 1,
        ["FlushErrorIgnored"] = 14,
        ["DamageTakenForTorn"] = 7,
        ["DamageUnnoticed"] = 182,
        ["StaleFramesReplayed"] = 875,
        ["ForgetsRequestsAfterRestart"] = 1,
        ["DecidesByHashOrder"] = 1,
        ["OldTermAccepted"] = 2,
        ["NoPreVote"] = 2,
        ["NoCheckQuorum"] = 2,
        ["NoStickiness"] = 337,
        ["PreVoteIgnoresTerms"] = 311,
        ["VotesForMembersOnly"] = 36,
        ["HungDiskLeads"] = 16,
        ["PipelineNeverRecovers"] = 11,
        ["NoSnapshotWhenPurged"] = 1,
        ["StaleRefusalRewinds"] = 1,
        ["TransferBeforeFlush"] = 2,
        ["TransferNeverEnds"] = 86,
        ["ReadsDropped"] = 1,
        ["RemovedLeaderLeads"] = 53,
    };
}
#endif
