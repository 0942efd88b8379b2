using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>Folds events into the state: total and boring; every decision was made before. Pure.</summary>
public static class Evolver
{
    /// <summary>The state after an event.</summary>
    public static ClusterState Evolve(ClusterState state, EventRecord record)
    {
        var (index, at) = (record.Index, record.AtMs);
        switch (record.Event)
        {
            case ClusterBootstrapped e: return state with { Name = e.Name, Id = e.ClusterId };
            case ClockCorrected e:
                return state with
                {
                    LogTimeMs = e.ToMs,
                    Requests = e.ToMs < e.FromMs ? state.Requests.SetBack(e.ToMs) : state.Requests,
                };
            case NodeRegistered e: return Registered(state, e, index, at);
            case NodeUp e:
                return WithNode(state, e.Node, n => Enter(n, NodeStatus.Up, index, at) with { HasServed = true })
                    with
                { MembershipEpoch = state.MembershipEpoch + 1 };
            case NodeSuspected e:
                return WithNode(state, e.Node, n => n.Incarnation == e.Incarnation ? Enter(n, NodeStatus.Suspect, index, at) : n);
            case SuspicionCleared e:
                return WithNode(state, e.Node, n => Enter(n, n.HasServed ? NodeStatus.Up : NodeStatus.Starting, index, at));
            case NodeFenced e:
                return WithNode(state, e.Node, n => n.Incarnation == e.Incarnation
                    ? Enter(n, NodeStatus.Fenced, index, at)
                    : n with { Predecessor = n.Predecessor! with { Status = PredecessorStatus.Fenced, SinceMs = at, SinceIndex = index } })
                    with
                { MembershipEpoch = e.MembershipEpoch };
            case NodeStopped e:
                return WithNode(state, e.Node, n => Enter(n, NodeStatus.Fenced, index, at)) with { MembershipEpoch = e.MembershipEpoch };
            case PredecessorSettled e: return WithNode(state, e.Node, static n => n with { Predecessor = null });
            case NodeDown e: return WithNode(state, e.Node, n => Enter(n, NodeStatus.Down, index, at));
            case SetCreated e: return Created(state, e, index, record.CommandId);
            case NodeJoinedSet e:
                return WithMember(state, e.Set, e.Node, index, m => m with { JoinedIncarnation = e.Incarnation, HasLeft = false });
            case NodeLeftSet e:
                return WithMember(state, e.Set, e.Node, index, m => m with { JoinedIncarnation = 0, HasLeft = m.HasLeft || e.IsByOperator });
            case NodeReturned e: return WithMember(state, e.Set, e.Node, index, static m => m with { HasLeft = false });
            case SetMasterChanged e: return WithSet(state, e.Set, index, s => s with { Master = e.To });
            case DiskAdded e:
                return WithSet(state, e.Set, index, s => StampEvolution.Open(s, StampEvolution.AfterAdding(s.NextStamp, e.Stamp, record.CommandId)) with
                {
                    Disks = s.Disks.Add(e.Disk, new DiskState(
                        e.Disk, e.DiskId, e.SizeBytes, e.SectorBytes, e.IsDirectIo, e.Path, e.Paths, DiskStatus.Okay, e.Stamp)),
                });
            case DiskFailed e:
                return WithDisk(state, e.Set, e.Disk, index, (d, _) => d with { Status = DiskStatus.Failed });
            case DiskLost e:
                return LeaveSlots(e.Set, e.Disk, index, WithDisk(state, e.Set, e.Disk, index, (d, s) => d with
                {
                    Status = DiskStatus.Lost,
                    LossReason = e.Reason,
                    LossDetail = e.Detail,
                    LostAtIndex = index,
                    Users = e.Users,
                    LeftAt = d.LeftAt ?? s.NextStamp,
                    AwaitsStamp = false,
                }));
            case LogDiskLeft e:
                return WithMember(state, e.Set, e.Node, index, m => m with { Slot = m.Slot! with { Disks = m.Slot.Disks.Remove(e.Disk) } });
            case DiskReturned e: return WithSet(state, e.Set, index, s => ReturnEvolution.After(s, e, index));
            case DiskIoEnded e:
                return WithDisk(state, e.Set, e.Disk, index, (d, _) => d with
                {
                    Users = d.Users.RemoveAll(user => user.Node == e.Node && user.Incarnation == e.Incarnation),
                });
            case DiskPathChanged e:
                return WithDisk(state, e.Set, e.Disk, index, (d, _) => d with { Path = e.Path, Paths = e.Paths });
            case DisksReported e:
                return WithMember(state, e.Set, e.Node, index, m => m with { Disks = e.Disks, DisksBy = e.Incarnation });
            case SlotOpened e:
                return WithMember(state, e.Set, e.Node, index, m => m with
                {
                    Slot = new SlotState(e.Incarnation, e.Disks, e.Generation),
                    SlotGeneration = e.Generation,
                    SealedAtIndex = 0,
                });
            case SlotSealed e: return WithMember(state, e.Set, e.Node, index, m => m with { SealedAtIndex = index });
            case SlotRetired e: return WithMember(state, e.Set, e.Node, index, static m => m with { Slot = null, SealedAtIndex = 0 });
            case DirtyLogMerged e: return WithMember(state, e.Set, e.Node, index, static m => m with { Slot = null, SealedAtIndex = 0 });
            case MirrorCreated e:
                return WithSet(state, e.Set, index, s => s with
                {
                    NextVolumeNumber = e.Number + 1,
                    Volumes = s.Volumes.Add(e.Volume, new VolumeState(
                        e.Number, e.Volume, e.SizeBytes, e.RegionBytes, e.Recovery, e.Writers, e.Read, e.Write, e.Pass,
                        e.Submirrors, new OwnerState(null, 0, 0), null, null, null, [])),
                });
            case MirrorDeleting e:
                return WithBarrier(state, e.Set, e.Volume, index, new BarrierState(e.Barrier, BarrierKind.Delete, null, 0, e.Waiting));
            case MirrorDeleted e: return WithSet(state, e.Set, index, s => s with { Volumes = s.Volumes.Remove(e.Volume) });
            case OwnershipTransferStarted e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Transfer = new TransferState(e.To, e.ToIncarnation, e.Epoch, e.Reason, at, record.Traceparent),
                });
            case TransferCancelled e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Transfer = v.Transfer! with { To = null, ToIncarnation = 0, Epoch = e.Epoch },
                });
            case OwnerChanged e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Owner = new OwnerState(e.To, e.ToIncarnation, e.Epoch),
                    Transfer = null,
                });
            case ResyncStarted e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Resync = new ResyncState(e.IsEverything, e.OwedRuns, 0, e.Kind, index, at),
                });
            case ResyncExtended e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Resync = v.Resync! with
                    {
                        // A resync of everything starts anew if everything became owed again: nothing below the position counts.
                        PositionBytes = e.IsEverything ? 0 : v.Resync!.PositionBytes,
                        IsEverythingOwed = v.Resync!.IsEverythingOwed || e.IsEverything,
                        OwedRuns = e.OwedRuns,
                        ChangedAtIndex = index,
                    },
                });
            case ResyncProgressed e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Resync = v.Resync! with { PositionBytes = e.PositionBytes, OwedRuns = e.OwedRuns },
                });
            case ResyncFinished e: return WithVolume(state, e.Set, e.Volume, index, static v => v with { Resync = null });
            case ResyncCancelled e: return WithVolume(state, e.Set, e.Volume, index, static v => v with { Resync = null });
            case SubmirrorStateChanged e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Submirrors = [.. v.Submirrors.Select(s => s.Name != e.Submirror ? s : s with
                    {
                        Status = e.To,
                        // Whoever leaves this state has been given what was kept.
                        KeptRuns = e.To == LegState.Offline ? s.KeptRuns : [],
                        IsEverythingKept = e.To == LegState.Offline && s.IsEverythingKept,
                    })],
                });
            case MarksKept e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Submirrors = [.. v.Submirrors.Select(s => s.Name != e.Submirror ? s : s with
                    {
                        KeptRuns = e.Runs,
                        IsEverythingKept = e.IsEverything,
                    })],
                });
            case LegReturning e:
                return WithBarrier(
                    state, e.Set, e.Volume, index, new BarrierState(e.Barrier, BarrierKind.LegReturn, e.Submirror, 0, e.Waiting));
            case BarrierStarted e:
                state = WithSet(state, e.Set, index, s => s with { Generation = Math.Max(s.Generation, e.Generation) });
                return WithBarrier(
                    state, e.Set, e.Volume, index, new BarrierState(e.Barrier, BarrierKind.LegLoss, e.Submirror, e.Generation, e.Waiting));
            case BarrierConfirmed e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    Barriers = [.. v.Barriers.Select(b => b.Id != e.Barrier ? b : b with
                    {
                        Waiting = b.Waiting.Remove(new NodeIncarnation(e.Node, e.Incarnation)),
                    })],
                });
            case BarrierCompleted e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with { Barriers = [.. v.Barriers.Where(b => b.Id != e.Barrier)] });
            case ActivationStarted e: return WithSet(state, e.Set, index, s => StampEvolution.After(s, e));
            case ActivationGivenUp e: return WithSet(state, e.Set, index, s => StampEvolution.After(s, e));
            case ActivationCompleted e: return WithSet(state, e.Set, index, s => StampEvolution.After(s, e, at));
            case BeatCompleted e: return WithSet(state, e.Set, index, s => StampEvolution.After(s, e, at));
            case LabelsStamped e:
                return WithSet(state, e.Set, index, s => s with { StampedGeneration = Math.Max(s.StampedGeneration, e.Generation) });
            case ReadsPinned e:
                return WithVolume(state, e.Set, e.Volume, index, v => v with
                {
                    ReadPin = new ReadPinState(v.ReadPin?.SinceIndex ?? index, v.ReadPin?.SinceMs ?? at, e.Node, index, at),
                });
            case MirrorRecovered e: return WithVolume(state, e.Set, e.Volume, index, static v => v with { ReadPin = null });
            default:
                Invariant.Fail($"No event of type {record.Event.GetType().Name} is known to this version.");
                return state;
        }
    }

    /// <summary>Dirty logs that have another disk go on without a lost one: an acknowledged mark is on each disk that the state lists, so
    /// those that stay have all. The generation stays, since nothing that was written before is to be ignored.</summary>
    private static ClusterState LeaveSlots(string set, string disk, ulong index, ClusterState state)
    {
        foreach (var member in state.Sets[set].Members.Values)
        {
            if (member.Slot is not { } slot || !slot.Disks.Contains(disk)) continue;
            var left = slot.Disks.RemoveAll(other => other == disk || state.Sets[set].Disks[other].Status == DiskStatus.Lost);
            if (left.IsEmpty) continue; // The only one: its log ends with it.
            state = WithMember(state, set, member.Node, index, m => m with { Slot = slot with { Disks = left } });
        }

        return state;
    }

    private static NodeState Enter(NodeState node, NodeStatus status, ulong index, long at) =>
        node with { Status = status, SinceIndex = index, SinceMs = at };

    private static ClusterState Registered(ClusterState state, NodeRegistered e, ulong index, long at)
    {
        if (state.Node(e.Node) is { } same && same.Incarnation == e.Incarnation)
            return WithNode(state, e.Node, n => n with { Api = e.Api, Peer = e.Peer, Nbd = e.Nbd, BootId = e.BootId });

        PredecessorState? predecessor = null;
        if (e.PredecessorStatus is { } status)
        {
            var former = state.Nodes[e.Node];
            predecessor = former.Predecessor is { } kept && kept.Incarnation == e.PredecessorIncarnation
                ? kept
                : new PredecessorState(e.PredecessorIncarnation, status, at, index) { BootId = former.BootId };
        }

        var node = new NodeState(
            e.Node, e.NodeId, e.Incarnation, NodeStatus.Starting, at, index, false, e.Api, e.Peer, e.Nbd, predecessor)
        {
            BootId = e.BootId,
            Start = e.Start,
        };
        return state with { Nodes = state.Nodes.SetItem(e.Node, node) };
    }

    private static ClusterState Created(ClusterState state, SetCreated e, ulong index, Guid nonce)
    {
        var members = OrdinalMap.Empty<MemberState>();
        for (var slot = 0; slot < e.Nodes.Length; slot++)
            members = members.Add(e.Nodes[slot], new MemberState(e.Nodes[slot], slot, 0, false, 0, null, 0));
        var set = new SetState(
            e.Set, e.SetId, index, index, 1, 1, e.MaxNodes, e.MetadataBytes, e.Fencing, null, members,
            OrdinalMap.Empty<DiskState>(), OrdinalMap.Empty<VolumeState>(), 1, NextStamp: new StampState(1, nonce, 0))
        {
            DeviceTimeoutMs = e.DeviceTimeoutMs,
        };
        return state with { Sets = state.Sets.Add(e.Set, set with { OpenedStamps = [set.NextStamp!] }) };
    }

    private static ClusterState WithNode(ClusterState state, string node, Func<NodeState, NodeState> change) =>
        state with { Nodes = state.Nodes.SetItem(node, change(state.Nodes[node])) };

    private static ClusterState WithSet(ClusterState state, string set, ulong index, Func<SetState, SetState> change) =>
        state with { Sets = state.Sets.SetItem(set, change(state.Sets[set]) with { ChangedAtIndex = index }) };

    private static ClusterState WithMember(
        ClusterState state, string set, string node, ulong index, Func<MemberState, MemberState> change) =>
        WithSet(state, set, index, s => s with { Members = s.Members.SetItem(node, change(s.Members[node])) });

    private static ClusterState WithDisk(ClusterState state, string set, string disk, ulong index, Func<DiskState, SetState, DiskState> change) =>
        WithSet(state, set, index, s => s with { Disks = s.Disks.SetItem(disk, change(s.Disks[disk], s)) });

    private static ClusterState WithVolume(
        ClusterState state, string set, string volume, ulong index, Func<VolumeState, VolumeState> change) =>
        WithSet(state, set, index, s => s with { Volumes = s.Volumes.SetItem(volume, change(s.Volumes[volume])) });

    private static ClusterState WithBarrier(ClusterState state, string set, string volume, ulong index, BarrierState barrier) =>
        WithVolume(state, set, volume, index, v => v with { Barriers = v.Barriers.Add(barrier) })
            with
        { NextBarrierId = barrier.Id + 1 };
}
