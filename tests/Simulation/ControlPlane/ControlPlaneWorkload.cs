using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The control plane under its own kind of load: operators, the duties that each node reads from its own (perhaps stale) state,
/// lease traffic, clients that repeat what they do not know. Every applied entry is judged by <see cref="StateChecker"/>.</summary>
internal sealed class ControlPlaneWorkload : IWorkload
{
    private const long AnswerWithinMs = 1000;

    private readonly Xoshiro _random;
    private readonly SeededBug _bug;
    private readonly RequestLedger _requests = new();
    private readonly StateChecker _checker;
    private readonly Dictionary<NodeId, ulong> _applied = [];
    private readonly Dictionary<NodeId, (Guid Request, long GiveUpAtMs)> _asked = [];
    private readonly double _repeatChance;
    private readonly LeaseOptions _leases;
    private readonly int _everyMs;
    private CommandDrawer? _drawer;
    private IClusterAccess? _cluster;
    private LeaseSimulation? _leaseSimulation;
    private ClockSimulation? _clocks;

    public ControlPlaneWorkload(Xoshiro random, SeededBug bug)
    {
        (_random, _bug) = (random, bug);
        _repeatChance = random.Chance(0.5) ? 0.08 : 0.25;

        // Mostly shorter than in production, so that a run sees more than one fencing.
        // Clocks of five nodes differ by up to 1.2 % here.
        _leases = random.Next(10) switch
        {
            < 3 => new LeaseOptions(400, 100, 2, 200, 100, 300),
            < 7 => new LeaseOptions(300, 100, 2, 700, 100, 300),
            _ => new LeaseOptions(DriftPercent: 2),
        };
        _everyMs = random.Next(3, 20);
        _checker = new StateChecker(_requests, (node, incarnation) => _leaseSimulation?.Fenced(node, incarnation), () => _clocks!);
    }

    public string Summary =>
        $", {_requests.Count} requests, {_requests.Repeats} repeats, {_requests.TooOld} too old, {_requests.Reused} reused, {_leaseSimulation!.Grants} leases, "
        + $"{_leaseSimulation.Fences} fenced, {_leaseSimulation.Unfollowed} refused for not following, {_checker.Merges} merged, {_checker.OwnerChanges} owners, {_checker.Barriers} barriers, {_checker.Recoveries} recoveries, {_checker.DisksLost} disks lost, {_checker.DisksReturned} returned, {_checker.DisksRefilled} refilled, "
        + $"{_clocks!.Jumps} clocks jumped, {_clocks.Corrections} corrections, {_checker.Entries} entries, {_checker.Effective} with an effect";

    public void Attach(IClusterAccess cluster)
    {
        _cluster = cluster;
        _drawer = new CommandDrawer(cluster, _random.Fork());
        _leaseSimulation = new LeaseSimulation(cluster, _leases, _bug, _random.Fork(), ProposeAsLeader);
        _clocks = new ClockSimulation(cluster, _bug, _random.Fork(), ProposeAsLeader);
        cluster.At(1, Work);
    }

    public void Booted(NodeId node)
    {
        _leaseSimulation!.Booted(node);
        _clocks!.Booted(node);
    }

    public IStateMachine CreateStateMachine(NodeId node)
    {
        // A machine that goes through its snapshot form in between forgets its history, as none does that is restored from a snapshot: for those
        // bugs only that need it.
        var at = _bug is SeededBug.ForgetsRequestsAfterRestart or SeededBug.DecidesByHashOrder ? _applied.GetValueOrDefault(node) : 0;
        return new RecordingMachine(node, _random.Chance(0.5) ? at : 0, _bug, _random.NextUInt64());
    }

    public byte[]? NextCommand(NodeId leader, Xoshiro random)
    {
        if (!_clocks!.IsReady(leader)) return null;
        var isRepeat = _random.Chance(_repeatChance) && !_cluster!.IsResting;
        if (isRepeat && _requests.Repeat(_random) is { } again) return Encode(again, leader);
        if (_drawer!.Draw(leader, IsWaiting) is not { } drawn) return null;
        if (drawn.By == RequestLedger.Operator && _random.Chance(0.03) && _requests.Repeat(_random) is { Digest: not null } used)
            return Encode(RequestLedger.Reuse(used, drawn.Body, drawn.By), leader);
        var request = Make(drawn.Body, drawn.By, leader);
        _asked[drawn.Asker] = (request.Id, _cluster!.NowMs + AnswerWithinMs);
        return Encode(request, leader);
    }

    /// <summary>Among the faults nodes and operators ask again and again, on what they know, however stale. Later each node waits
    /// until it has applied what it asked for: a cluster that is asked faster than its disks go never comes to rest.</summary>
    private bool IsWaiting(NodeId asker) =>
        _cluster!.IsHealed && _asked.TryGetValue(asker, out var asked) && _cluster.NowMs < asked.GiveUpAtMs;

    /// <summary>What happened to this process may be among what it did not see.</summary>
    public void Restored(NodeId node, IStateMachine stateMachine)
    {
        var incarnation = _cluster!.IncarnationOf(node);
        var state = ((RecordingMachine)stateMachine).State;
        if (state.Node(LeaseSimulation.NameOf(node)) is not { IsLive: false } known || known.Incarnation != incarnation) return;
        _cluster.At(1, () =>
        {
            if (_cluster.IncarnationOf(node) == incarnation) _cluster.Restart(node);
        });
    }

    public void Acknowledged(ReadOnlyMemory<byte> command, LogPosition position, ReadOnlyMemory<byte> result) =>
        _requests.Acknowledged(CommandCodec.Decode(command.Span), result.ToArray());

    public void Unknown(ReadOnlyMemory<byte> command)
    {
        // The ledger still has it as not acknowledged, and repeats it.
    }

    public void Applied(
        NodeId node, IStateMachine stateMachine, LogPosition position, ReadOnlyMemory<byte> command, ReadOnlyMemory<byte> result)
    {
        _applied[node] = Math.Max(position.Value, _applied.GetValueOrDefault(node));
        if (_asked.TryGetValue(node, out var asked) && CommandCodec.Decode(command.Span).Id == asked.Request) _asked.Remove(node);
        var machine = (RecordingMachine)stateMachine;
        _checker.Applied(machine, position.Value, command, result);
        foreach (var record in machine.Events)
        {
            // A process that stopped or was fenced ends; the service manager starts it again.
            var (name, incarnation) = record.Event switch
            {
                NodeStopped stopped => (stopped.Node, stopped.Incarnation),
                NodeFenced fenced => (fenced.Node, fenced.Incarnation),
                _ => ("", 0UL),
            };
            if (name == LeaseSimulation.NameOf(node) && incarnation == _cluster!.IncarnationOf(node))
            {
                _cluster.At(1, () =>
                {
                    if (_cluster.IncarnationOf(node) == incarnation) _cluster.Restart(node);
                });
            }
        }
    }

    /// <summary>I-LIVE: everybody is up and has joined, nothing is owed, nothing is waited for.</summary>
    public string? Unsettled(IStateMachine leader)
    {
        var state = ((RecordingMachine)leader).State;
        if (!state.IsBootstrapped) return "the cluster's name";
        if (_clocks!.Unsettled(state) is { } wrong) return wrong;
        foreach (var id in _cluster!.Members)
        {
            if (state.Node(LeaseSimulation.NameOf(id)) is { Status: NodeStatus.Up, Predecessor: null } known
                && known.Incarnation == _cluster.IncarnationOf(id)) continue;
            return $"node {id} in incarnation {_cluster.IncarnationOf(id)}; registered is {state.Node(LeaseSimulation.NameOf(id))}";
        }

        foreach (var set in state.Sets.Values)
        {
            if (set.IsMergeOwed) return $"a merge in {set.Name}";
            if (set.Members.Values.FirstOrDefault(static member => !member.HasLeft && member.JoinedIncarnation == 0) is { } outside)
                return $"joining of {outside.Node} to {set.Name}";
            var member = set.Members.Values.Any(static member => member.JoinedIncarnation != 0);
            foreach (var volume in set.Volumes.Values)
            {
                // With nobody in the set there is nobody to do it.
                if (member && volume is not { Transfer: null, Resync: null, Barriers.IsEmpty: true }) return $"{set.Name}: {volume}";
            }
        }

        return null;
    }

    public void CheckEnd(IReadOnlyList<IStateMachine> stateMachines)
    {
        foreach (var machine in stateMachines.Cast<RecordingMachine>()) _requests.CheckEnd(machine.State);
        var hashes = stateMachines.Cast<RecordingMachine>().Select(static machine => StateCodec.Hash(machine.State)).Distinct();
        ClusterChecker.Require(hashes.Count() == 1, "I-DET: the states at the end differ");
    }

    /// <summary>What the daemons and operators send, on top of the harness's own proposals: a member that leads, or thinks so, gets it.</summary>
    private void Work()
    {
        _cluster!.At(1 + _random.Next(2 * _everyMs), Work);
        foreach (var node in _cluster.Members)
        {
            if (_cluster.LeadingTermOf(node) == 0 || _cluster.IsPaused(node) || NextCommand(node, _random) is not { } command) continue;
            _cluster.Propose(node, command, expectedTerm: null);
        }
    }

    private void ProposeAsLeader(NodeId leader, LeaseProposal proposal)
    {
        var request = Make(proposal.Body, $"node:{LeaseSimulation.NameOf(leader)}", leader);
        _cluster!.Propose(leader, Encode(request, leader), proposal.Term);
    }

    /// <summary>Half of the clients ask the cluster for the time in their ids; the others have clocks of their own, a few of them wrong ones. Nodes
    /// take their own.</summary>
    private RequestLedger.Request Make(CommandBody body, string by, NodeId leader)
    {
        if (by != RequestLedger.Operator) return _requests.Make(body, by, _clocks!.WallMs(leader), isTimely: true, _random);
        var time = _clocks!.RightMs + _random.Next(-2000, 2000);
        if (_random.Chance(0.5)) time = _clocks.RequestTimeMs(leader) ?? time;
        if (!_random.Chance(0.01)) return _requests.Make(body, by, time, isTimely: !_clocks.IsWild, _random);
        time += _random.Chance(0.5) ? -RequestTable.WindowMs - 10_000 : RequestTable.MaxAheadMs + 10_000;
        return _requests.Make(body, by, time, isTimely: false, _random);
    }

    private byte[] Encode(RequestLedger.Request request, NodeId leader) =>
        CommandCodec.Encode(new CommandEnvelope(request.Id, _clocks!.StampMs(leader), request.By, null, request.Body, request.Digest));
}
