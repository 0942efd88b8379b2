using RaftMirror.Consensus;

namespace RaftMirror.Cli.Daemon;

/// <summary>What this node knows of others whose data directories went back in time (design §14.24), for people.</summary>
internal static class LivesReport
{
    /// <summary>One sentence for each, and what to do; null if there is nothing to say.</summary>
    public static string? Of(RaftNode log, NodeDirectory directory)
    {
        var refused = log.RefusedPeers;
        if (refused.Count == 0) return null;
        var nodes = refused.OrderBy(pair => pair.Key).Select(pair => $"Node '{NameOf(pair.Key)}' takes no part: {pair.Value}.");
        return $"{string.Join(' ', nodes)} Start the voters that are down, or put the newer directories back; once a majority of the others is up: "
            + $"raftmirror raft reseed {NameOf(refused.Keys.Min())}. If they are lost for good: raft recover, on the node that has most.";

        string NameOf(NodeId id) => directory.NameOf(id) ?? id.ToString();
    }

    /// <summary>The peers' numbers as names.</summary>
    public static string Names(IReadOnlyList<NodeId> peers, NodeDirectory directory) =>
        string.Join(", ", peers.Select(peer => directory.NameOf(peer) ?? peer.ToString()));
}
