namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Bugs that a run can be given, to prove that its checks find them.</summary>
internal enum SeededBug
{
    /// <summary>The product as it is.</summary>
    None,

    /// <summary>A node that restarted has lost the results of earlier requests (a snapshot without the table).</summary>
    ForgetsRequestsAfterRestart,

    /// <summary>All nodes execute a repeated request again.</summary>
    AppliesDuplicates,

    /// <summary>A request id is answered whatever is asked under it.</summary>
    AnswersByIdAlone,

    /// <summary>A leader stamps commands with its own wall clock.</summary>
    StampsItsOwnClock,

    /// <summary>The cluster's own commands are refused for the time in their ids, as clients' are.</summary>
    RefusesOwnCommandsForTime,

    /// <summary>Log time that a wrong clock carried ahead stays there.</summary>
    NeverCorrectsLogTime,

    /// <summary>A node leads whatever its clock shows.</summary>
    LeadsWithAWrongClock,

    /// <summary>Who gets an orphaned volume depends on a hash that each process salts differently.</summary>
    DecidesByHashOrder,

    /// <summary>Ownership is granted although a lost node's dirty log is not merged.</summary>
    GrantsWhileMergeOwed,

    /// <summary>A leg-loss barrier ends one confirmation early.</summary>
    EndsBarrierEarly,

    /// <summary>What a dead node's log told is not kept for submirrors that are offline.</summary>
    ForgetsKeptMarks,

    /// <summary>A returned submirror is owed one run less than was kept for it.</summary>
    OwesTooLittleOnReturn,

    /// <summary>An older copy of a disk is owed what was kept for the disk, and no more.</summary>
    OwesOldDiskItsKeptMarks,

    /// <summary>A resync to a disk that came back ends before the disk carries a stamp that tells it from older copies.</summary>
    EndsResyncBeforeTheStamp,

    /// <summary>Pinned reads end although a writer died after the repair began.</summary>
    RecoversFromLaterCrash,

    /// <summary>Leaders wait out the lease, but neither the device's time nor the margin.</summary>
    FencesBeforeTheHorizon,

    /// <summary>A new leader counts from the beginning of time, not from its own election.</summary>
    NewLeaderForgetsGrants,

    /// <summary>Nodes that ask for leases and do not follow the log get them.</summary>
    GrantsToThoseWhoDoNotFollow,
}
