namespace RaftMirror.Contracts;

/// <summary>Where a node stands in the cluster: the words of status, and what an operator does about each.</summary>
internal static class NodeStandings
{
    /// <summary>The node takes part, and nothing stands against it.</summary>
    public const string Member = "member";

    /// <summary>The node's state differs from the majority's.</summary>
    public const string Quarantined = "quarantined";

    /// <summary>The node's data directory is an older copy (design §14.24).</summary>
    public const string Outdated = "outdated";

    /// <summary>The node's committed history and others' contradict each other (design §14.24).</summary>
    public const string Conflicting = "conflicting";

    /// <summary>The node was taken out of the cluster.</summary>
    public const string Removed = "removed";

    /// <summary>What an operator does about a node that is still a member; null if there is nothing to do.</summary>
    public static string? HelpFor(string? word, string node) => word switch
    {
        Quarantined => $"raftmirror raft reseed {node}",
        Outdated => $"raftmirror raft reseed {node} (a majority of the others must be up; else name the node whose history counts: --from NODE), "
            + "or stop it, put its newer directory back and start it; if every newer directory is lost for good: raftmirror raft recover, on the node that has most (for the log: disks that are newer than its state stay refused)",
        Conflicting => $"choose whose history counts; for each node whose history does not: raftmirror raft reseed NODE --from NODE-THAT-COUNTS",
        _ => null,
    };
}
