namespace RaftMirror.Consensus.Model;

#if MUTANTS
/// <summary>Real bugs of other engines, by their numbers in docs/testing.md, put back one at a time to prove that the simulator finds them. They exist only in
/// builds of the configuration "Mutants"; elsewhere each is a constant false, which the compiler removes.</summary>
internal static class Mutants
{
    [ThreadStatic]
    private static string? _active;

    /// <summary>The names that <see cref="Active"/> takes, with the catalogue's number and what the bug is.</summary>
    public static IReadOnlyList<(string Name, int Number, string Bug)> All { get; } =
    [
        (nameof(CommitOlderTerm), 1, "commit counts replicas of an older-term entry"),
        (nameof(AckBeforeFlush), 2, "an append is acknowledged before it is durable"),
        (nameof(VoteNotDurable), 3, "a vote leaves before it is durable"),
        (nameof(EntriesBeforeTerm), 4, "entries are durable before the term they belong to"),
        (nameof(QuorumOfResponders), 5, "the quorum is taken from responders"),
        (nameof(ReadQuorumOffByOne), 6, "a read is confirmed by one voter fewer than a majority"),
        (nameof(TruncateWithoutConflict), 7, "an append truncates although nothing conflicts"),
        (nameof(IndexBeforeTerm), 8, "the up-to-date check compares the index before the term"),
        (nameof(JointUnion), 9, "a joint quorum is taken over the union of both sets, learners too"),
        (nameof(ChangeBeforeOwnCommit), 10, "a configuration is proposed before a commit in the own term, or during another change"),
        (nameof(ConfigurationNotRolledBack), 11, "a truncated configuration stays in force"),
        (nameof(ConfigurationForgotten), 11, "an uncommitted configuration is forgotten at restart"),
        (nameof(MembershipFromReplacedLog), 12, "the membership of log entries that a snapshot replaced stays in force"),
        (nameof(OlderSnapshotAccepted), 13, "an older snapshot is installed"),
        (nameof(StaleWriteCounts), 14, "a write's completion counts for entries that took the place of those it wrote"),
        (nameof(AckByIndex), 14, "an acknowledgement is released by a write that held other entries at the same indices"),
        (nameof(CommitBeyondMatch), 15, "a follower commits beyond what it knows to match"),
        (nameof(ReadBeforeOwnCommit), 16, "a read is served before the first commit of the term"),
        (nameof(ReadRoundIgnored), 17, "a read is confirmed by echoes of an earlier round"),
        (nameof(ReadWithoutRound), 17, "a read is confirmed without a round"),
        (nameof(ReadDuringTransfer), 18, "the lease outlives TimeoutNow"),
        (nameof(LeaseFromReceive), 19, "the lease is measured from the receipt of the echo"),
        (nameof(LeaseNotRechecked), 19, "the lease is not looked at again after a pause"),
        (nameof(OldTermAccepted), 27, "a message of an older term is accepted"),
        (nameof(NoPreVote), 28, "campaigns begin without a pre-vote"),
        (nameof(NoCheckQuorum), 28, "a leader without a majority leads on"),
        (nameof(NoStickiness), 28, "votes are granted against a live leader"),
        (nameof(PreVoteIgnoresTerms), 29, "a refused pre-vote does not tell of a higher term"),
        (nameof(VotesForMembersOnly), 30, "votes are refused to candidates of another configuration"),
        (nameof(HungDiskLeads), 31, "a leader with a hung disk leads on"),
        (nameof(PipelineNeverRecovers), 32, "what was lost from the pipeline is not sent again"),
        (nameof(NoSnapshotWhenPurged), 33, "a follower behind the purged log gets no snapshot"),
        (nameof(StaleRefusalRewinds), 34, "a late refusal rewinds progress"),
        (nameof(TransferBeforeFlush), 35, "the target of a transfer campaigns before it has everything"),
        (nameof(TransferNeverEnds), 35, "proposals stay blocked after a failed transfer"),
        (nameof(RemovedLeaderLeads), 36, "a removed leader leads on"),
        (nameof(ReadsDropped), 36, "reads are dropped without an answer when leadership ends"),
        (nameof(LeaderCountsUnflushed), 2, "the leader counts what it has not flushed"),
        (nameof(JointSkipped), 9, "voters change without a joint phase"),
        (nameof(AppliesBeforeCommit), 20, "after a restart the whole log counts as committed: reads see state that may never be"),
        (nameof(AppliedIndexApart), 21, "a snapshot's index is taken apart from its state"),
        (nameof(FlushErrorIgnored), 22, "a failed flush of the log is ignored"),
        (nameof(ShortageIsFatal), 22, "a log that cannot grow for want of space ends the process"),
        (nameof(ShortageForgotten), 22, "what did not fit into a log that cannot grow counts as written"),
        (nameof(DamageTakenForTorn), 23, "a durable frame that is damaged is cut off as if it were torn"),
        (nameof(DamageUnnoticed), 23, "the log's checksums of entries are not checked when it is read"),
        (nameof(StaleFramesReplayed), 24, "frames that a recycled segment held before are read again"),
        (nameof(EarlierStartBelieved), 37, "a node whose directory was put back is believed although its last start is unknown to it"),
        (nameof(ShorterLogBelieved), 37, "a node is believed although it had promised more than its log has"),
        (nameof(LifeNotDurable), 37, "a life is confirmed before it is remembered durably"),
        (nameof(VotesUnconfirmed), 37, "a node votes and acknowledges before its peers have confirmed its directory"),
        (nameof(OldNodeVotes), 37, "a node that knows that its directory is old goes on taking part"),
        (nameof(SeededVotesAtOnce), 37, "a node that was seeded anew votes for logs that lack what it had promised"),
        (nameof(MatchOutlivesLife), 37, "what a leader knew of a node's log outlives the node's directory"),
        (nameof(DisksIgnored), 39, "what the disks know of lives and of what was committed is not asked for"),
        (nameof(BehindTakenForOld), 39, "a node whose log lacks what a disk says was committed is taken for old, though it is merely behind"),
        (nameof(ConnectedNotAwaited), 40, "voters that are connected and slow to answer are waited for no longer than dead ones"),
        (nameof(PauseCountsAsWaiting), 40, "the time in which a node stood still counts as waiting for its peers' answers"),
        (nameof(ConflictCut), 38, "an entry that was committed here is cut off because a leader has another one"),
    ];

    /// <summary>The bug that this thread's cores have; null for none.</summary>
    public static string? Active
    {
        get => _active;
        set => _active = value;
    }

    public static bool CommitOlderTerm => _active == nameof(CommitOlderTerm);

    public static bool AckBeforeFlush => _active == nameof(AckBeforeFlush);

    public static bool VoteNotDurable => _active == nameof(VoteNotDurable);

    public static bool EntriesBeforeTerm => _active == nameof(EntriesBeforeTerm);

    public static bool QuorumOfResponders => _active == nameof(QuorumOfResponders);

    public static bool ReadQuorumOffByOne => _active == nameof(ReadQuorumOffByOne);

    public static bool TruncateWithoutConflict => _active == nameof(TruncateWithoutConflict);

    public static bool IndexBeforeTerm => _active == nameof(IndexBeforeTerm);

    public static bool JointUnion => _active == nameof(JointUnion);

    public static bool ChangeBeforeOwnCommit => _active == nameof(ChangeBeforeOwnCommit);

    public static bool ConfigurationNotRolledBack => _active == nameof(ConfigurationNotRolledBack);

    public static bool ConfigurationForgotten => _active == nameof(ConfigurationForgotten);

    public static bool MembershipFromReplacedLog => _active == nameof(MembershipFromReplacedLog);

    public static bool OlderSnapshotAccepted => _active == nameof(OlderSnapshotAccepted);

    public static bool StaleWriteCounts => _active == nameof(StaleWriteCounts);

    public static bool AckByIndex => _active == nameof(AckByIndex);

    public static bool CommitBeyondMatch => _active == nameof(CommitBeyondMatch);

    public static bool ReadBeforeOwnCommit => _active == nameof(ReadBeforeOwnCommit);

    public static bool ReadRoundIgnored => _active == nameof(ReadRoundIgnored);

    public static bool ReadWithoutRound => _active == nameof(ReadWithoutRound);

    public static bool ReadDuringTransfer => _active == nameof(ReadDuringTransfer);

    public static bool LeaseFromReceive => _active == nameof(LeaseFromReceive);

    public static bool LeaseNotRechecked => _active == nameof(LeaseNotRechecked);

    public static bool OldTermAccepted => _active == nameof(OldTermAccepted);

    public static bool NoPreVote => _active == nameof(NoPreVote);

    public static bool NoCheckQuorum => _active == nameof(NoCheckQuorum);

    public static bool NoStickiness => _active == nameof(NoStickiness);

    public static bool PreVoteIgnoresTerms => _active == nameof(PreVoteIgnoresTerms);

    public static bool VotesForMembersOnly => _active == nameof(VotesForMembersOnly);

    public static bool HungDiskLeads => _active == nameof(HungDiskLeads);

    public static bool PipelineNeverRecovers => _active == nameof(PipelineNeverRecovers);

    public static bool NoSnapshotWhenPurged => _active == nameof(NoSnapshotWhenPurged);

    public static bool StaleRefusalRewinds => _active == nameof(StaleRefusalRewinds);

    public static bool TransferBeforeFlush => _active == nameof(TransferBeforeFlush);

    public static bool TransferNeverEnds => _active == nameof(TransferNeverEnds);

    public static bool RemovedLeaderLeads => _active == nameof(RemovedLeaderLeads);

    public static bool ReadsDropped => _active == nameof(ReadsDropped);

    public static bool LeaderCountsUnflushed => _active == nameof(LeaderCountsUnflushed);

    public static bool JointSkipped => _active == nameof(JointSkipped);

    public static bool AppliesBeforeCommit => _active == nameof(AppliesBeforeCommit);

    public static bool AppliedIndexApart => _active == nameof(AppliedIndexApart);

    public static bool FlushErrorIgnored => _active == nameof(FlushErrorIgnored);

    public static bool ShortageIsFatal => _active == nameof(ShortageIsFatal);

    public static bool ShortageForgotten => _active == nameof(ShortageForgotten);

    public static bool DamageTakenForTorn => _active == nameof(DamageTakenForTorn);

    public static bool DamageUnnoticed => _active == nameof(DamageUnnoticed);

    public static bool StaleFramesReplayed => _active == nameof(StaleFramesReplayed);

    public static bool EarlierStartBelieved => _active == nameof(EarlierStartBelieved);

    public static bool ShorterLogBelieved => _active == nameof(ShorterLogBelieved);

    public static bool LifeNotDurable => _active == nameof(LifeNotDurable);

    public static bool VotesUnconfirmed => _active == nameof(VotesUnconfirmed);

    public static bool OldNodeVotes => _active == nameof(OldNodeVotes);

    public static bool SeededVotesAtOnce => _active == nameof(SeededVotesAtOnce);

    public static bool MatchOutlivesLife => _active == nameof(MatchOutlivesLife);

    public static bool DisksIgnored => _active == nameof(DisksIgnored);

    public static bool BehindTakenForOld => _active == nameof(BehindTakenForOld);

    public static bool ConnectedNotAwaited => _active == nameof(ConnectedNotAwaited);

    public static bool PauseCountsAsWaiting => _active == nameof(PauseCountsAsWaiting);

    public static bool ConflictCut => _active == nameof(ConflictCut);
}
#else
/// <summary>The places of the bugs that builds of the configuration "Mutants" can put back; here there are none.</summary>
internal static class Mutants
{
    public const bool CommitOlderTerm = false;
    public const bool AckBeforeFlush = false;
    public const bool VoteNotDurable = false;
    public const bool EntriesBeforeTerm = false;
    public const bool QuorumOfResponders = false;
    public const bool ReadQuorumOffByOne = false;
    public const bool TruncateWithoutConflict = false;
    public const bool IndexBeforeTerm = false;
    public const bool JointUnion = false;
    public const bool ChangeBeforeOwnCommit = false;
    public const bool ConfigurationNotRolledBack = false;
    public const bool ConfigurationForgotten = false;
    public const bool MembershipFromReplacedLog = false;
    public const bool OlderSnapshotAccepted = false;
    public const bool StaleWriteCounts = false;
    public const bool AckByIndex = false;
    public const bool CommitBeyondMatch = false;
    public const bool ReadBeforeOwnCommit = false;
    public const bool ReadRoundIgnored = false;
    public const bool ReadWithoutRound = false;
    public const bool ReadDuringTransfer = false;
    public const bool LeaseFromReceive = false;
    public const bool LeaseNotRechecked = false;
    public const bool OldTermAccepted = false;
    public const bool NoPreVote = false;
    public const bool NoCheckQuorum = false;
    public const bool NoStickiness = false;
    public const bool PreVoteIgnoresTerms = false;
    public const bool VotesForMembersOnly = false;
    public const bool HungDiskLeads = false;
    public const bool PipelineNeverRecovers = false;
    public const bool NoSnapshotWhenPurged = false;
    public const bool StaleRefusalRewinds = false;
    public const bool TransferBeforeFlush = false;
    public const bool TransferNeverEnds = false;
    public const bool RemovedLeaderLeads = false;
    public const bool ReadsDropped = false;
    public const bool LeaderCountsUnflushed = false;
    public const bool JointSkipped = false;
    public const bool AppliesBeforeCommit = false;
    public const bool AppliedIndexApart = false;
    public const bool FlushErrorIgnored = false;
    public const bool ShortageIsFatal = false;
    public const bool ShortageForgotten = false;
    public const bool DamageTakenForTorn = false;
    public const bool DamageUnnoticed = false;
    public const bool StaleFramesReplayed = false;
    public const bool EarlierStartBelieved = false;
    public const bool ShorterLogBelieved = false;
    public const bool LifeNotDurable = false;
    public const bool VotesUnconfirmed = false;
    public const bool OldNodeVotes = false;
    public const bool SeededVotesAtOnce = false;
    public const bool MatchOutlivesLife = false;
    public const bool DisksIgnored = false;
    public const bool BehindTakenForOld = false;
    public const bool ConnectedNotAwaited = false;
    public const bool PauseCountsAsWaiting = false;
    public const bool ConflictCut = false;
}
#endif
