using System.Collections.Immutable;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Draws commands that make sense to the one who asks: a node does what its own state, perhaps a stale one, says is its duty;
/// operators create, move and delete. Now and then somebody is wrong about an incarnation, an epoch or a name.</summary>
internal sealed partial class CommandDrawer(IClusterAccess cluster, Xoshiro random)
{
    private static readonly string[] SetNames = ["s", "t"];
    private static readonly string[] DiskNames = ["d1", "d2", "d3", "d4"];
    private static readonly string[] VolumeNames = ["v", "w", "x"];

    /// <summary>A command, who asks for it, and on which node; null if whoever was drawn has nothing to ask.</summary>
    /// <param name="leader">Who would get it.</param>
    /// <param name="isWaiting">Whether a node still waits for the answer to what it asked before.</param>
    public (CommandBody Body, string By, NodeId Asker)? Draw(NodeId leader, Func<NodeId, bool> isWaiting)
    {
        var asker = random.Chance(0.3) ? leader : cluster.Members[random.Next(cluster.Members.Count)];
        if (cluster.IsPaused(asker) || (cluster.StateMachineOf(asker) as RecordingMachine)?.State is not { } state) return null;
        if (isWaiting(asker)) return null;
        if (!state.IsBootstrapped) return (new BootstrapCluster("sim", Id()), Name(asker), asker);
        if (Duty(state, asker) is { } duty && random.Chance(0.8)) return (duty, Name(asker), asker);
        return Operator(state) is { } wish ? (wish, RequestLedger.Operator, asker) : null;
    }

    private static string Name(NodeId node) => LeaseSimulation.NameOf(node);

    /// <summary>What a node's daemon does next, level-triggered. Each draw looks at the sets in another order.</summary>
    private CommandBody? Duty(ClusterState state, NodeId node)
    {
        var name = Name(node);
        var incarnation = cluster.IncarnationOf(node);
        if (state.Node(name) is not { } self || self.Incarnation != incarnation)
        {
            // Each second restart is one of the machine.
            return new RegisterNode(name, node.Value, incarnation, $"{name}:1", $"{name}:2", $"{name}:3") { BootId = $"boot {incarnation / 2}" };
        }

        if (self.Status is NodeStatus.Fenced or NodeStatus.Down) return null;
        if (!cluster.IsHealed && random.Chance(0.004)) return new StopNode(name, incarnation, [.. state.Sets.Keys.Where(_ => random.Chance(0.9))]);
        var sets = state.Sets.Values.ToList();
        if (sets.Count > 1 && random.Chance(0.5)) sets.Reverse();
        foreach (var set in sets)
        {
            if (set.Members.GetValueOrDefault(name) is not { } member) continue;
            if (MergeDuty(state, set, self) is { } merge) return merge;
            if (!self.IsLive) continue;
            if (member.JoinedIncarnation == 0 && !member.HasLeft) return Enter(set, name, incarnation);
            if (member.JoinedIncarnation != incarnation) continue;
            if (SetDuty(state, set, member, self) is { } duty) return duty;
            foreach (var volume in set.Volumes.Values)
            {
                if (VolumeDuty(state, set, volume, self) is { } task) return task;
            }
        }

        return null;
    }

    /// <summary>Sometimes a disk cannot be stamped in time.</summary>
    private StampLabels Beat(SetState set, NodeState self) => new(
        set.Name, set.Generation, self.Name, self.Incarnation, set.NextStamp!.Number,
        [.. Stamps.DisksToStamp(set).Where(_ => cluster.IsHealed || random.Chance(0.9))]);

    /// <summary>Sometimes no disk takes the label of an activation.</summary>
    private CommandBody Enter(SetState set, string node, ulong incarnation)
    {
        if (set.Activating is { } own && own.Node == node && own.Incarnation == incarnation && !cluster.IsHealed && random.Chance(0.2))
            return new GiveUpActivation(set.Name, own.Number, node, incarnation, "drawn", []);
        if (set.Activating is { } same && same.Node == node && same.Incarnation == incarnation)
            return new CompleteActivation(set.Name, same.Number, node, incarnation, Stamps.DisksToStamp(set));
        return Stamps.NeedsActivation(set) ? new StartActivation(set.Name, node, incarnation) : new JoinSet(set.Name, node, incarnation);
    }

    private MergeDirtyLog? MergeDuty(ClusterState state, SetState set, NodeState self)
    {
        foreach (var victim in set.Members.Values)
        {
            if (!victim.IsMergeOwed || Duties.MergeDuty(state, set.Name, victim.Node)?.Name != self.Name) continue;
            var isEverything = random.Chance(0.1);
            return new MergeDirtyLog(
                set.Name, victim.Node, victim.Slot!.Incarnation, self.Name, self.Incarnation, state.Index, isEverything,
                isEverything ? "drawn" : null, Marks(set));
        }

        return null;
    }

    private ImmutableArray<VolumeMarks> Marks(SetState set)
    {
        var marks = ImmutableArray.CreateBuilder<VolumeMarks>();
        foreach (var volume in set.Volumes.Values)
        {
            if (volume.Recovery != RecoveryMode.Log || random.Chance(0.4)) continue;
            var runs = ImmutableArray.CreateBuilder<RegionRun>();
            for (var i = random.Next(1, 4); i > 0; i--)
            {
                var start = random.NextInt64(volume.Regions);
                runs.Add(new RegionRun(start, 1 + random.NextInt64(volume.Regions - start)));
            }

            marks.Add(new VolumeMarks(volume.Number, runs.ToImmutable()));
        }

        return marks.ToImmutable();
    }

    private CommandBody? SetDuty(ClusterState state, SetState set, MemberState member, NodeState self)
    {
        // As the daemon: where it can use no disk for a log it does not ask for one, and goes on with its other duties.
        if (member.Slot is null && PlacementRules.ChooseLogDisks(set, member, self.Incarnation) is { Length: > 0 } logDisks)
            return new OpenSlot(set.Name, self.Name, self.Incarnation, logDisks);
        if (Stamps.IsDue(set, sinceLastMs: 0) && Duties.SetDuty(state, set)?.Name == self.Name)
            return Beat(set, self);
        if (DiskDuty(state, set, member, self) is { } disk) return disk;
        if (cluster.IsHealed) return null;
        if (Duties.SetDuty(state, set)?.Name == self.Name && !set.Disks.IsEmpty && random.Chance(0.02)) return Beat(set, self);
        if (member.Slot is { } slot && !member.IsMergeOwed && random.Chance(0.01))
        {
            var failed = random.Chance(0.2) ? slot.Disks[0] : null;
            return new AbandonSlot(set.Name, self.Name, self.Incarnation, slot.Generation, "drawn", failed);
        }

        return random.Chance(0.005) ? new LeaveSet(set.Name, self.Name, self.Incarnation, IsClosed: random.Chance(0.8)) : null;
    }

    private CommandBody? VolumeDuty(ClusterState state, SetState set, VolumeState volume, NodeState self)
    {
        var owns = volume.Owner.Node == self.Name && volume.Owner.Incarnation == self.Incarnation;
        foreach (var barrier in volume.Barriers)
        {
            if (!barrier.Waiting.Contains(new NodeIncarnation(self.Name, self.Incarnation))) continue;
            // As the data plane: marks are told from an open log only.
            var hasLog = set.Members[self.Name] is { Slot: not null, IsMergeOwed: false };
            if (barrier.Kind == BarrierKind.LegReturn && volume.Recovery == RecoveryMode.Log && !hasLog) continue;
            return new ConfirmBarrier(set.Name, volume.Name, barrier.Id, self.Name, self.Incarnation)
            {
                Runs = barrier.Kind == BarrierKind.LegReturn && random.Chance(0.5) ? [new RegionRun(random.NextInt64(volume.Regions), 1)] : [],
            };
        }

        if (owns && volume.Transfer is { } transfer)
            return new ReleaseOwner(set.Name, volume.Name, self.Name, self.Incarnation, transfer.Epoch, random.Chance(0.2) ? [new RegionRun(0, 1)] : []);
        if (!owns || volume.Resync is null) return null;
        if (random.Chance(0.5))
        {
            return new ReportResync(set.Name, volume.Name, volume.Owner.Epoch, self.Name, self.Incarnation, state.Index,
                random.NextInt64((volume.SizeBytes >> 20) + 1) << 20);
        }

        return new FinishResync(set.Name, volume.Name, volume.Owner.Epoch, self.Name, self.Incarnation, state.Index, 1, 2, 3);
    }

    /// <summary>Disks that are lost come back, and nodes see them or not.</summary>
    private CommandBody? DiskDuty(ClusterState state, SetState set, MemberState member, NodeState self)
    {
        foreach (var disk in set.Disks.Values)
        {
            if (disk.Users.FirstOrDefault(user => user.Node == self.Name) is { } user)
                return new ReportDiskIoEnded(set.Name, disk.Name, disk.LostAtIndex, user.Incarnation, self.Name, self.Incarnation);
            var mayReturn = cluster.IsHealed ? Duties.SetDuty(state, set)?.Name == self.Name : random.Chance(0.05);
            if (disk.Status == DiskStatus.Lost && mayReturn && (random.Chance(0.5) || !cluster.IsHealed))
            {
                // As the daemon: everything is owed if a node says that what is there is old; and sometimes whatever it says.
                var isEverything = random.Chance(0.1) || DiskLossRules.NeedsRefill(set, disk.Name) == random.Chance(0.9);
                return new ReturnDisk(set.Name, disk.Name, isEverything, "drawn", self.Name, self.Incarnation, Evidence(state, set));
            }
        }

        if (cluster.IsHealed ? member.DisksBy == self.Incarnation && !member.Disks.IsEmpty : random.Chance(0.01) && !set.Disks.IsEmpty)
        {
            return new ReportDisks(set.Name, self.Name, self.Incarnation, cluster.IsHealed || random.Chance(0.5)
                ? []
                : [Complaint(set, self)]);
        }

        return null;
    }

    private DiskComplaint Complaint(SetState set, NodeState self)
    {
        var lost = set.Disks.Values.Where(static disk => disk.Status == DiskStatus.Lost).Select(static disk => disk.Name).ToList();
        return lost.Count > 0 && random.Chance(0.8)
            ? new DiskComplaint(Pick(lost), DiskLossReason.Older, "drawn") { MayBeRefilled = true }
            : new DiskComplaint(Pick(set.Disks.Keys), self.Incarnation % 2 == 0 ? DiskLossReason.TimedOut : DiskLossReason.Absent, "drawn");
    }

    private Guid Id()
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 0; i < 16; i++) bytes[i] = (byte)random.Next(256);
        return new Guid(bytes);
    }
}
