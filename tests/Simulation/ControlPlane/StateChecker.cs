using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Judges every applied entry: on each node that it is the same as everywhere (I-DET), and, when it is applied for the first
/// time anywhere, that the step from the state before to the state after is allowed.</summary>
/// <param name="requests">For I-ONCE.</param>
/// <param name="fenced">Told when an incarnation's fencing is applied first.</param>
/// <param name="clocks">For I-CLOCK.</param>
internal sealed class StateChecker(RequestLedger requests, Action<NodeId, ulong> fenced, Func<ClockSimulation> clocks)
{
    private const ulong HashEvery = 32; // The whole state costs more than the chain.

    private readonly Dictionary<ulong, string> _chain = [];
    private readonly Dictionary<ulong, string> _hashes = [];
    private readonly Dictionary<(string Set, uint Volume, ulong Epoch), NodeIncarnation> _owners = [];
    private readonly HashSet<NodeIncarnation> _gone = [];
    private readonly BarrierChecker _barriers = new();
    private readonly KeptMarksChecker _kept = new();
    private readonly ReadPinChecker _pins = new();
    private ulong _frontier;

    public int Entries { get; private set; }

    public int Effective { get; private set; }

    public int Merges { get; private set; }

    public int OwnerChanges => _owners.Count;

    public int Barriers => _barriers.Count;

    public int DisksLost => _kept.Losses;

    public int DisksReturned => _kept.Returns;

    public int DisksRefilled => _kept.Refills;

    public int Recoveries => _pins.Recoveries;

    public void Applied(RecordingMachine machine, ulong index, ReadOnlyMemory<byte> command, ReadOnlyMemory<byte> result)
    {
        var state = machine.State;
        CheckSame(_chain, index, state.ChainHash, $"I-DET: the chain of node {machine.Node} differs at {index}");
        if (index % HashEvery == 0)
            CheckSame(_hashes, index, StateCodec.Hash(state), $"I-DET: the state of node {machine.Node} differs at {index}");
        if (index <= _frontier) return;
        _frontier = index;
        Entries++;
        if (!machine.Events.IsEmpty) Effective++;
        var envelope = CommandCodec.Decode(command.Span);
        requests.Applied(envelope, index, result.ToArray(), state, !machine.Events.IsEmpty);
        clocks().Applied(index, machine.Before, state, machine.Events, CommandCodec.DecodeResult(result.Span), envelope);
        if (machine.Events.IsEmpty && ReferenceEquals(machine.Before.Sets, state.Sets) && ReferenceEquals(machine.Before.Nodes, state.Nodes)) return;
        foreach (var record in machine.Events) CheckEvent(record, envelope.Body, machine);
        var outcome = CommandCodec.DecodeResult(result.Span);
        _barriers.Applied(machine, envelope.Body, outcome, index);
        _kept.Applied(machine, envelope.Body, index);
        _pins.Applied(machine, envelope.Body, outcome, index);
        foreach (var node in state.Nodes.Values)
        {
            ClusterChecker.Require(
                !node.IsLive || !_gone.Contains(new NodeIncarnation(node.Name, node.Incarnation)),
                $"I-FENCE: {node.Name} is {node.Status} at {index} in incarnation {node.Incarnation}, which was fenced or stopped");
        }

        WaitChecker.Check(state, index);
        foreach (var (name, set) in state.Sets) CheckSet(machine.Before.Set(name), set, state, envelope.Body, index);
    }

    private static void CheckSame(Dictionary<ulong, string> known, ulong index, string value, string invariant) =>
        ClusterChecker.Require(known.TryAdd(index, value) || known[index] == value, invariant);

    private void CheckEvent(EventRecord record, CommandBody body, RecordingMachine machine)
    {
        switch (record.Event)
        {
            case NodeFenced e:
                _gone.Add(new NodeIncarnation(e.Node, e.Incarnation));
                fenced(new NodeId(machine.State.Nodes[e.Node].Id), e.Incarnation);
                break;
            case NodeStopped e:
                _gone.Add(new NodeIncarnation(e.Node, e.Incarnation));
                break;
            case OwnerChanged { From: { } from, To: { } to } e:
                ClusterChecker.Require(
                    machine.Before.Volume(e.Set, e.Volume)?.Transfer?.To == to,
                    $"I-OWN: {e.Set}/{e.Volume} went from {from} to {to} without a transfer at {record.Index}");
                break;
            case DirtyLogMerged when body is MergeDirtyLog merge:
                Merges++;
                CheckMarksAreOwed(merge, machine.State, record.Index);
                break;
            case DirtyLogMerged:
                ClusterChecker.Require(false, $"§14.7: {body.GetType().Name} merged a dirty log at {record.Index}");
                break;
        }
    }

    private void CheckSet(SetState? before, SetState set, ClusterState state, CommandBody body, ulong index)
    {
        foreach (var member in set.Members.Values) CheckSlot(before?.Members.GetValueOrDefault(member.Node), member, body, index);
        CheckExtents(set, index);
        foreach (var (name, volume) in set.Volumes)
        {
            var where = $"{set.Name}/{name} at {index}";
            ClusterChecker.Require(volume.Submirrors.Any(static leg => leg.IsReadable), $"no readable submirror: {where}");
            var old = before?.Volumes.GetValueOrDefault(name);
            CheckOwner(old?.Number == volume.Number ? old : null, volume, set, state, where);
        }
    }

    private void CheckOwner(VolumeState? old, VolumeState volume, SetState set, ClusterState state, string where)
    {
        var owner = volume.Owner;
        if (owner.Node is { } name)
        {
            var who = new NodeIncarnation(name, owner.Incarnation);
            var key = (set.Name, volume.Number, owner.Epoch);
            ClusterChecker.Require(
                _owners.TryAdd(key, who) || _owners[key] == who, $"I-OWN: {_owners[key]} and {who} own in epoch {owner.Epoch}: {where}");
            ClusterChecker.Require(!_gone.Contains(who), $"I-FENCE: {who} is fenced and owns {where}");
            ClusterChecker.Require(
                set.Members[name].JoinedIncarnation == owner.Incarnation, $"I-OWN: {who} has not joined and owns {where}");
        }

        if (old is null || old.Owner == owner) return;
        ClusterChecker.Require(owner.Epoch > old.Owner.Epoch, $"I-OWN: the owner changed and the epoch did not grow: {where}");
        ClusterChecker.Require(
            owner.Node is null || volume.Recovery != RecoveryMode.Log || !set.IsMergeOwed,
            $"§14.7: {owner.Node} was made owner while a merge is owed: {where}");
        ClusterChecker.Require(
            owner.Node is null || state.Nodes[owner.Node].Status == NodeStatus.Up, $"I-OWN: {owner.Node} is not up and was made owner of {where}");
    }

    /// <summary>Marks never vanish: an open slot is given up clean by its own node or sealed; a sealed one is merged by who read it after that.</summary>
    private static void CheckSlot(MemberState? old, MemberState now, CommandBody body, ulong index)
    {
        if (old?.Slot is not { } slot || (now.Slot?.Generation == slot.Generation && (old.SealedAtIndex == 0 || now.IsMergeOwed))) return;
        var isRight = old.IsMergeOwed
            ? body is MergeDirtyLog merge && merge.Node == now.Node && merge.SlotIncarnation == slot.Incarnation && merge.ReadAtIndex >= old.SealedAtIndex
            : body is StopNode stop ? stop.Node == now.Node && stop.Incarnation == slot.Incarnation
            : body is LeaveSet leave && leave.Node == now.Node && leave.Incarnation == slot.Incarnation;
        ClusterChecker.Require(isRight, $"§14.7: the slot of {now.Node} (generation {slot.Generation}) was given up by {body.GetType().Name} at {index}");
    }

    private static void CheckMarksAreOwed(MergeDirtyLog merge, ClusterState state, ulong index)
    {
        foreach (var (name, volume) in state.Sets[merge.Set].Volumes)
        {
            if (volume.Recovery != RecoveryMode.Log || volume.Submirrors.Count(static leg => leg.IsWritable) < 2) continue;
            var runs = merge.IsEverything
                ? [new RegionRun(0, volume.Regions)]
                : merge.Marks.FirstOrDefault(marks => marks.Volume == volume.Number)?.Runs ?? [];
            foreach (var run in runs)
            {
                ClusterChecker.Require(
                    volume.Resync is { } resync && (resync.OwedRuns.Any(owed => owed.Start <= run.Start && owed.End >= run.End)
                        || (resync.IsEverythingOwed && resync.PositionBytes <= run.Start * volume.RegionBytes)),
                    $"§14.7: regions [{run.Start}, {run.End}) of {merge.Set}/{name} were marked, merged at {index}, and are not owed");
            }
        }
    }

    private static void CheckExtents(SetState set, ulong index)
    {
        var used = set.Volumes.Values.SelectMany(static volume => volume.Submirrors).SelectMany(static leg => leg.Extents)
            .OrderBy(static extent => extent.Disk, StringComparer.Ordinal).ThenBy(static extent => extent.DiskOffsetBytes).ToList();
        for (var i = 0; i < used.Count; i++)
        {
            var disk = set.Disks[used[i].Disk];
            ClusterChecker.Require(
                used[i].DiskOffsetBytes >= PlacementRules.DataStart(set.MetadataBytes)
                && used[i].DiskOffsetBytes + used[i].LengthBytes <= PlacementRules.DataEnd(disk.SizeBytes),
                $"an extent on {disk.Name} lies outside the data area at {index}");
            ClusterChecker.Require(
                i == 0 || used[i - 1].Disk != used[i].Disk || used[i - 1].DiskOffsetBytes + used[i - 1].LengthBytes <= used[i].DiskOffsetBytes,
                $"extents on {disk.Name} overlap at {index}");
        }
    }
}
