namespace RaftMirror.Simulation.Explorer;

/// <summary>What must hold, by the numbers of the reference's list (4.2). A test shows for each that something can break it.</summary>
internal enum Rule
{
    /// <summary>1: one leader in a term, ever.</summary>
    ElectionSafety,

    /// <summary>2: a leader only appends.</summary>
    LeaderAppendsOnly,

    /// <summary>3: equal ids mean equal entries and equal prefixes.</summary>
    LogMatching,

    /// <summary>4: who is elected has what was committed in earlier terms.</summary>
    LeaderCompleteness,

    /// <summary>5, 7: at each index one entry is committed, ever.</summary>
    StateMachineSafety,

    /// <summary>5: what a node applies was committed by a leader first, and in order.</summary>
    CommittedByLeader,

    /// <summary>6: what a leader commits is on the disks of a majority of each voter set.</summary>
    QuorumOnDisks,

    /// <summary>8: term, commit, applied and snapshot never fall, and a vote in a term is not taken back, while a node runs.</summary>
    Monotonic,

    /// <summary>9: compacted ≤ snapshot ≤ applied ≤ commit ≤ last.</summary>
    Ordered,

    /// <summary>9: the commit hint on disk speaks of entries on disk.</summary>
    HintIsDurable,

    /// <summary>10: a node gives one vote in a term, across restarts.</summary>
    OneVote,

    /// <summary>11: no message of a term leaves before the term is on disk.</summary>
    TermIsDurable,

    /// <summary>11: no vote leaves before it is on disk.</summary>
    VoteIsDurable,

    /// <summary>11: no acknowledgement leaves before the entry is on disk.</summary>
    AckIsDurable,

    /// <summary>11: what a core believes to be on its disk is.</summary>
    DurableIsOnDisk,

    /// <summary>12: one uncommitted configuration at a time, and none before a commit in the leader's term.</summary>
    OneChange,

    /// <summary>12: voters change through a joint configuration only.</summary>
    JointSteps,

    /// <summary>13: the configuration in force is the newest in log or snapshot.</summary>
    ConfigurationOfLog,

    /// <summary>14: a read sees what was committed before it began.</summary>
    ReadsAreCurrent,

    /// <summary>A read is answered once, at the latest when leadership ends.</summary>
    ReadsAreAnswered,

    /// <summary>The core's own invariants, or any other exception.</summary>
    CoreInvariant,
}

/// <summary>A rule is broken.</summary>
internal sealed class ViolationException(Rule rule, string message, Exception? inner = null) : Exception(message, inner)
{
    public Rule Rule => rule;
}
