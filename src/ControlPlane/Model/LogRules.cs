namespace RaftMirror.ControlPlane.Model;

/// <summary>Where a node's dirty log may lie (design §14.17). Pure.</summary>
public static class LogRules
{
    /// <summary>True if a node's open log lies on fewer disks than a new one would, and nothing speaks against opening it anew now: the set is
    /// at rest, and no other node is doing the same.</summary>
    public static bool MayLieOnMore(ClusterState state, SetState set, MemberState member, ulong incarnation) =>
        member is { Slot: { } slot, IsMergeOwed: false } && slot.Incarnation == incarnation
        && slot.Disks.Length < PlacementRules.ChooseLogDisks(set, member, incarnation).Length
        && set.Disks.Values.All(static disk => !disk.AwaitsStamp)
        && set.Members.Values.All(other => state.Node(other.Node) is not { } node || !Duties.IsJoined(node, other) || other.Slot is not null)
        && !set.IsMergeOwed
        && set.Volumes.Values.All(static volume => volume is { Resync: null, Transfer: null, Barriers.IsEmpty: true } or { Pass: 0, Transfer: null, Barriers.IsEmpty: true });
}
