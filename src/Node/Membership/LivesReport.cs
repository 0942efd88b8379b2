using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Node.Peers;

namespace RaftMirror.Node.Membership;

/// <summary>What this node knows of others whose data directories went back in time (design §14.24), for people.</summary>
internal static class LivesReport
{
    private const string NewerDirectories = "Start the voters that are down, or put the newer directories back";

    private const string Recover = "If they are lost for good: raftmirror raft recover, on the node that has most; it leads out for the log, while disks that are newer than that node's state stay refused";

    /// <summary>One sentence for each, and what to do; null if there is nothing to say.</summary>
    public static string? Of(RaftNode log, NodeDirectory directory)
    {
        var refused = log.RefusedPeers;
        var missing = log.Status.Leader is null && log.MissingByDisks is { } known
            ? $"Nobody is elected here who lacks what was committed: {known}."
            : null;
        if (refused.Count == 0) return missing is null ? null : $"{missing} {NewerDirectories}. {Recover}.";
        var nodes = refused.OrderBy(pair => pair.Key).Select(pair => $"Node '{NameOf(pair.Key)}' takes no part: {pair.Value}.");
        if (missing is not null) nodes = nodes.Append(missing);
        return $"{string.Join(' ', nodes)} {NewerDirectories}; once a majority of the others is up: "
            + $"raftmirror raft reseed {NameOf(refused.Keys.Min())}. {Recover}.";

        string NameOf(NodeId id) => directory.NameOf(id) ?? id.ToString();
    }

    /// <summary>The peers' numbers as names.</summary>
    public static string Names(IReadOnlyList<NodeId> peers, NodeDirectory directory) =>
        string.Join(", ", peers.Select(peer => directory.NameOf(peer) ?? peer.ToString()));
}
