#if MUTANTS
namespace RaftMirror.Simulation.Consensus;

/// <summary>A seed for each mutant that was seen to find it, so that all of them can be tried in seconds. Only hints: code that changes
/// shifts what a seed does, and the hunt goes on from seed 1 then.</summary>
internal static class MutantSeeds
{
    public static readonly IReadOnlyDictionary<string, ulong> Known = new Dictionary<string, ulong>
    {
        ["CommitOlderTerm"] = 3,
        ["AckBeforeFlush"] = 1,
        ["LeaderCountsUnflushed"] = 1,
        ["VoteNotDurable"] = 1,
        ["EntriesBeforeTerm"] = 3,
        ["QuorumOfResponders"] = 1,
        ["ReadQuorumOffByOne"] = 19,
        ["TruncateWithoutConflict"] = 2,
        ["IndexBeforeTerm"] = 41,
        ["JointUnion"] = 2,
        ["JointSkipped"] = 1,
        ["ChangeBeforeOwnCommit"] = 3,
        ["ConfigurationNotRolledBack"] = 15,
        ["ConfigurationForgotten"] = 2,
        ["MembershipFromReplacedLog"] = 2,
        ["OlderSnapshotAccepted"] = 78,
        ["StaleWriteCounts"] = 7,
        ["AckByIndex"] = 7,
        ["CommitBeyondMatch"] = 12,
        ["ReadBeforeOwnCommit"] = 4,
        ["ReadWithoutRound"] = 27,
        ["ReadRoundIgnored"] = 215,
        ["ReadDuringTransfer"] = 48,
        ["LeaseFromReceive"] = 132,
        ["LeaseNotRechecked"] = 98,
        ["AppliesBeforeCommit"] = 3,
        ["AppliedIndexApart"] = 1,
        ["FlushErrorIgnored"] = 30,
        ["DamageTakenForTorn"] = 57,
        ["DamageUnnoticed"] = 225,
        ["StaleFramesReplayed"] = 89,
        ["ForgetsRequestsAfterRestart"] = 1,
        ["DecidesByHashOrder"] = 1,
        ["OldTermAccepted"] = 3,
        ["NoPreVote"] = 13,
        ["NoCheckQuorum"] = 7,
        ["NoStickiness"] = 392,
        ["PreVoteIgnoresTerms"] = 162,
        ["VotesForMembersOnly"] = 11,
        ["HungDiskLeads"] = 39,
        ["PipelineNeverRecovers"] = 9,
        ["NoSnapshotWhenPurged"] = 2,
        ["StaleRefusalRewinds"] = 2,
        ["TransferBeforeFlush"] = 2,
        ["TransferNeverEnds"] = 105,
        ["ReadsDropped"] = 2,
        ["RemovedLeaderLeads"] = 50,
    };
}
#endif
