namespace RaftMirror.ControlPlane.Model;

/// <summary>Who has to do what next: read from the state alone, so that every node names the same one. Pure.</summary>
public static class Duties
{
    /// <summary>Who merges a sealed slot: the set's master if it is up and joined, else the joined up node with the lowest id, else
    /// the up member with the lowest id, else the starting member with the lowest id (the victim's own successor included, so
    /// that a cluster that was killed whole recovers by itself).</summary>
    /// <returns>Null if nothing is owed, or nobody can do it now.</returns>
    public static NodeState? MergeDuty(ClusterState state, string set, string victim)
    {
        if (state.Set(set) is not { } theSet || theSet.Members.GetValueOrDefault(victim) is not { IsMergeOwed: true }) return null;
        return LiveMaster(state, theSet)
            ?? Lowest(state, theSet, (node, member) => IsJoined(node, member))
            ?? Lowest(state, theSet, static (node, _) => node.IsLive)
            ?? Lowest(state, theSet, static (node, _) => node.Status == NodeStatus.Starting);
    }

    /// <summary>Who does the set's other duties (set records, labels): the master if live, else as for a merge.</summary>
    public static NodeState? SetDuty(ClusterState state, SetState set) =>
        LiveMaster(state, set) ?? Lowest(state, set, (node, member) => IsJoined(node, member));

    /// <summary>True if the node's current incarnation is live and has joined the set.</summary>
    public static bool IsJoined(NodeState node, MemberState member) =>
        node.IsLive && member.JoinedIncarnation == node.Incarnation;

    /// <summary>True if a volume without owner may get one: no sealed slot waits (design §14.7), it is not being deleted. Volumes without
    /// a dirty log owe nothing to slots.</summary>
    public static bool IsGrantable(SetState set, VolumeState volume) =>
        volume.Owner.Node is null
        && volume.Transfer is null
        && !volume.IsDeleting
        && (volume.Recovery == RecoveryMode.App || !set.IsMergeOwed);

    /// <summary>Oban's rule: the master stays while it is joined (a suspect one too: only its fencing hands over); then the joined node with
    /// the lowest id; then the last one stays; then the member with the lowest id.</summary>
    public static string? ChooseMaster(ClusterState state, SetState set)
    {
        if (set.Disks.IsEmpty) return null;
        if (set.Master is { } master && set.Members[master].JoinedIncarnation != 0) return master;
        return Lowest(state, set, (node, member) => IsJoined(node, member))?.Name
            ?? set.Master
            ?? Lowest(state, set, static (_, _) => true)?.Name;
    }

    /// <summary>The up and joined member with the lowest id, or null; draining ones are no candidates for ownership.</summary>
    internal static NodeState? LowestUpJoined(ClusterState state, SetState set) =>
        Lowest(state, set, static (node, member) => node.Status == NodeStatus.Up && IsJoined(node, member));

    private static NodeState? LiveMaster(ClusterState state, SetState set) =>
        set.Master is { } name && state.Node(name) is { } node && IsJoined(node, set.Members[name]) ? node : null;

    private static NodeState? Lowest(ClusterState state, SetState set, Func<NodeState, MemberState, bool> isCandidate)
    {
        NodeState? lowest = null;
        foreach (var (name, member) in set.Members)
        {
            var node = state.Nodes[name];
            if (isCandidate(node, member) && (lowest is null || node.Id < lowest.Id)) lowest = node;
        }

        return lowest;
    }
}
