using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Sets;

/// <summary>What the replicated state says, in the words of one node's data plane. Pure.</summary>
internal static class SetConfigurationMapper
{
    /// <summary>Named as target of a transfer whose target was struck out: the owner must release, to nobody.</summary>
    internal const string Nobody = "";

    /// <summary>The configuration of a set for one incarnation of a node.</summary>
    public static SetConfiguration Map(ClusterState cluster, SetState set, string self, ulong incarnation)
    {
        var own = set.Members.GetValueOrDefault(self);
        return new SetConfiguration(
            set.Name,
            set.Id,
            cluster.Id,
            cluster.Index,
            set.Generation,
            self,
            set.Master,
            set.MaxNodes,
            [.. set.Members.Values.Select(member => Map(cluster, member))],
            [.. set.Disks.Values.Select(disk => Map(set, disk, self))],
            own is { Slot: { } slot, IsMergeOwed: false } && slot.Incarnation == incarnation ? Map(slot) : null,
            [.. set.Volumes.Values.OrderBy(volume => volume.Number).Select(volume => Map(set, volume, self))])
        {
            DeviceTimeoutMs = set.DeviceTimeoutMs,
        };
    }

    /// <summary>A slot in the data plane's words.</summary>
    public static SlotConfiguration Map(SlotState slot) => new(slot.Incarnation, [.. slot.Disks], slot.Generation);

    /// <summary>A disk as a node reaches it.</summary>
    public static DiskConfiguration Map(SetState set, DiskState disk, string node) => new(
        disk.Name,
        disk.Id,
        disk.PathOn(node),
        disk.SizeBytes,
        disk.SectorBytes,
        set.MetadataBytes,
        disk.IsDirectIo,
        !Stamps.IsInUse(set, disk))
    {
        IsLost = disk.Status == DiskStatus.Lost,
    };

    private static MemberConfiguration Map(ClusterState cluster, ControlPlane.Model.MemberState member)
    {
        var node = cluster.Node(member.Node);
        // A member speaks of the incarnation that may have I/O or marks on the disks, which may be an older one than the node's.
        var incarnation = member.JoinedIncarnation != 0 ? member.JoinedIncarnation
            : member.IsMergeOwed ? member.Slot!.Incarnation
            : node?.Incarnation ?? 0;
        var state = StateOf(node, incarnation);
        var mayHaveMarks = member.Slot is not null && (member.IsMergeOwed || state is MemberPhase.Suspect or MemberPhase.Fenced);
        return new MemberConfiguration(
            member.Node, member.SlotNumber, incarnation, state, member.JoinedIncarnation != 0, mayHaveMarks);
    }

    private static MemberPhase StateOf(NodeState? node, ulong incarnation)
    {
        if (node is null) return MemberPhase.Down;
        if (incarnation == node.Incarnation)
        {
            return node.Status switch
            {
                // Starting waits for its predecessor's end: alive, not joined, no lease yet. It is not gone, and must not hear that it is:
                // a data plane that was told so has fenced itself for good.
                NodeStatus.Up or NodeStatus.Draining or NodeStatus.Starting => MemberPhase.Up,
                NodeStatus.Suspect => MemberPhase.Suspect,
                NodeStatus.Fenced => MemberPhase.Fenced,
                NodeStatus.Down => MemberPhase.Down,
            };
        }

        if (node.Predecessor is { } predecessor && predecessor.Incarnation == incarnation)
            return predecessor.Status == PredecessorStatus.Suspect ? MemberPhase.Suspect : MemberPhase.Fenced;
        return MemberPhase.Fenced; // Older than the predecessor: gone, and only its marks are left.
    }

    private static VolumeConfiguration Map(SetState set, VolumeState volume, string self) => new(
        volume.Number,
        $"{set.Name}/{volume.Name}",
        volume.SizeBytes,
        volume.RegionBytes,
        volume.Recovery,
        volume.Writers,
        volume.Read,
        [.. volume.Submirrors.Select(Map)],
        new OwnerConfiguration(
            volume.Owner.Node,
            volume.Owner.Incarnation,
            volume.Owner.Epoch,
            volume.Transfer is { } transfer ? transfer.To ?? Nobody : null),
        volume.Resync is { } resync ? Map(resync) : null,
        volume.IsReadPinned,
        [.. volume.Barriers.Select(barrier => Map(barrier, self))])
    {
        WaitsFor = WaitsFor(set, volume, self, out var isUnusableHere),
        IsDiskUnusableHere = isUnusableHere,
    };

    /// <summary>The first disk that a submirror in use needs and this node cannot use.</summary>
    private static string? WaitsFor(SetState set, VolumeState volume, string self, out bool isUnusableHere)
    {
        isUnusableHere = false;
        foreach (var name in volume.Submirrors.Where(leg => leg.IsWritable).SelectMany(leg => leg.Extents).Select(extent => extent.Disk))
        {
            var disk = set.Disks[name];
            if (disk.Status == DiskStatus.Lost) return $"disk '{name}' is lost: {disk.LossDetail}";
            if (set.Members.GetValueOrDefault(self) is not { } member || member.ComplaintOf(name, member.JoinedIncarnation) is not { } complaint) continue;
            isUnusableHere = true;
            return $"disk '{name}' cannot be used here: {complaint.Detail}";
        }

        return null;
    }

    private static ResyncConfiguration Map(ResyncState resync) => new(
        resync.IsEverythingOwed,
        [.. resync.OwedRuns.Select(run => new ByteRange(run.Start, run.Count))],
        resync.PositionBytes,
        resync.ChangedAtIndex);

    private static LegConfiguration Map(SubmirrorState submirror) => new(
        submirror.Name,
        submirror.Status,
        [.. submirror.Extents.Select(extent =>
            new ExtentConfiguration(extent.Disk, extent.DiskOffsetBytes, extent.VolumeOffsetBytes, extent.LengthBytes))]);

    private static BarrierConfiguration Map(BarrierState barrier, string self) => new(
        barrier.Id,
        barrier.Kind,
        barrier.Waiting.Any(waiting => waiting.Node == self));
}
