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
        var slot = theSet.Members[victim].Slot!;
        return Lowest(state, theSet, (node, member) => IsJoined(node, member) && node.Name == theSet.Master && SeesAll(theSet, member, node, slot.Disks))
            ?? Lowest(state, theSet, (node, member) => IsJoined(node, member) && SeesAll(theSet, member, node, slot.Disks))
            ?? LiveMaster(state, theSet)
            ?? Lowest(state, theSet, (node, member) => IsJoined(node, member))
            ?? Lowest(state, theSet, static (node, _) => node.IsLive)
            ?? Lowest(state, theSet, static (node, _) => node.Status == NodeStatus.Starting);
    }

    /// <summary>Who does the set's other duties (set records, labels): the master if live, else as for a merge; one that can use every disk
    /// first, then one that can stamp what the losses under way wait for: others' writes wait for that.</summary>
    public static NodeState? SetDuty(ClusterState state, SetState set) =>
        Lowest(state, set, (node, member) => IsJoined(node, member) && node.Name == set.Master && SeesAll(set, member, node, set.Disks.Keys))
        ?? Lowest(state, set, (node, member) => IsJoined(node, member) && SeesAll(set, member, node, set.Disks.Keys))
        ?? Lowest(state, set, (node, member) => IsJoined(node, member) && CanEndLosses(set, member, node))
        ?? LiveMaster(state, set)
        ?? Lowest(state, set, (node, member) => IsJoined(node, member));

    /// <summary>True if a node can stamp what the losses under way wait for.</summary>
    private static bool CanEndLosses(SetState set, MemberState member, NodeState node)
    {
        foreach (var volume in set.Volumes.Values)
        {
            var survivors = Stamps.Survivors(set, volume);
            if (!survivors.IsEmpty && !survivors.Any(disk => SeesAll(set, member, node, [disk]))) return false;
        }

        return true;
    }

    /// <summary>True if a node can use each disk that the submirrors in use of a volume need: else it serves the volume not at all, since
    /// what it writes would be missing there.</summary>
    public static bool CanServe(ClusterState state, SetState set, VolumeState volume, string node)
    {
        if (set.Members.GetValueOrDefault(node) is not { } member || state.Node(node) is not { } known) return false;
        foreach (var leg in volume.Submirrors)
        {
            if (leg.IsWritable && !SeesAll(set, member, known, leg.Extents.Select(static extent => extent.Disk))) return false;
        }

        return true;
    }

    /// <summary>True if the node's current incarnation complains of none of these disks; lost ones do not count.</summary>
    private static bool SeesAll(SetState set, MemberState member, NodeState node, IEnumerable<string> disks)
    {
        foreach (var disk in disks)
        {
            if (set.Disks[disk].Status != DiskStatus.Lost && member.ComplaintOf(disk, node.Incarnation) is not null) return false;
        }

        return true;
    }

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

    /// <summary>True if a volume's owner is up and cannot use a disk of it, so that another is to take over what the owner has to do. While a sealed
    /// slot waits no ownership moves (design §14.7); a silent owner is fenced first.</summary>
    public static bool IsStuck(ClusterState state, SetState set, VolumeState volume) =>
        volume is { Owner.Node: { } owner, Transfer: null, IsDeleting: false }
        && state.Node(owner) is { IsLive: true } node && node.Incarnation == volume.Owner.Incarnation
        && (volume.Recovery == RecoveryMode.App || !set.IsMergeOwed)
        && !CanServe(state, set, volume, owner);

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

    /// <summary>The up and joined member with the lowest id that can serve the volume, or null; draining ones are no candidates for
    /// ownership.</summary>
    internal static NodeState? LowestUpJoined(ClusterState state, SetState set, VolumeState volume) =>
        Lowest(state, set, (node, member) =>
            node.Status == NodeStatus.Up && IsJoined(node, member) && CanServe(state, set, volume, node.Name));

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
