using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Both sides of the lease protocol on every simulated node, as LeaseService runs them: renewals over the faulty network, a quorum
/// barrier before each grant, the production <see cref="LeaseGrantor"/> on whoever leads, each node on its own clock.</summary>
/// <remarks>What is checked (design §6.2, §14.3): when an incarnation's fencing is first committed, every lease that any leader ever gave
/// it has run out on its holder's clock, and so has the worst device time after that; and no later grant reaches beyond that moment.
/// A grant counts from its decision, whether or not its message arrives. And (I-FOLLOW, ADR 0018): no node that serves is granted a lease once it has
/// gone on asking one leader, for twice the lease and a renewal, without applying what that leader had applied at the beginning.</remarks>
internal sealed class LeaseSimulation
{
    private readonly IClusterAccess _cluster;
    private readonly LeaseOptions _options;
    private readonly LeaseOptions _grantorOptions;
    private readonly SeededBug _bug;
    private readonly Xoshiro _random;
    private readonly Action<NodeId, LeaseProposal> _propose;
    private readonly Dictionary<NodeId, Grantor> _grantors = [];
    private readonly Dictionary<(NodeId Node, ulong Incarnation), long> _ends = [];
    private readonly Dictionary<(NodeId Node, ulong Incarnation), long> _fencedAt = [];

    private readonly Dictionary<(NodeId Leader, ulong Process, ulong Term, NodeId Node, ulong Incarnation), (ulong Index, long SinceMs)> _owed = [];

    public LeaseSimulation(
        IClusterAccess cluster, LeaseOptions options, SeededBug bug, Xoshiro random, Action<NodeId, LeaseProposal> propose)
    {
        (_cluster, _options, _bug, _random, _propose) = (cluster, options, bug, random, propose);
        _grantorOptions = bug == SeededBug.FencesBeforeTheHorizon ? options with { WorstDeviceMs = 0, MarginMs = -200 } : options;
    }

    public long Grants { get; private set; }

    /// <summary>Requests that were refused because the node did not follow the log.</summary>
    public long Unfollowed { get; private set; }

    public long Fences => _fencedAt.Count;

    public static string NameOf(NodeId node) => $"n{node.Value}";

    /// <summary>A process has started: its timers run until it ends.</summary>
    public void Booted(NodeId node)
    {
        _grantors[node] = new Grantor(new LeaseGrantor(_grantorOptions, NameOf(node)));
        var incarnation = _cluster.IncarnationOf(node);
        Repeat(node, incarnation, _options.RenewMs, () => Renew(node, incarnation));
        Repeat(node, incarnation, Math.Max(20, _options.RenewMs / 5), () => Watch(node));
    }

    /// <summary>A fencing was applied for the first time anywhere.</summary>
    public void Fenced(NodeId node, ulong incarnation)
    {
        var clock = _cluster.ClockMs(node);
        _fencedAt.TryAdd((node, incarnation), clock);
        if (_ends.TryGetValue((node, incarnation), out var end)) CheckOver(node, incarnation, end, clock);
    }

    private void Repeat(NodeId node, ulong incarnation, long everyMs, Action action) =>
        _cluster.At(1 + _random.NextInt64(everyMs), () => Tick(node, incarnation, everyMs, action));

    private void Tick(NodeId node, ulong incarnation, long everyMs, Action action)
    {
        if (!_cluster.IsUp(node) || _cluster.IncarnationOf(node) != incarnation) return;
        if (!_cluster.IsPaused(node)) action();
        _cluster.At(everyMs, () => Tick(node, incarnation, everyMs, action));
    }

    private void Renew(NodeId node, ulong incarnation)
    {
        var grantor = _grantors[node];
        if (grantor.SilentUntilMs > _cluster.NowMs) return;
        if (!_cluster.IsHealed && _random.Chance(0.005)) grantor.SilentUntilMs = _cluster.NowMs + _random.NextInt64(3 * _options.HorizonMs);
        if (_cluster.LeaderSeenBy(node) is not { } leader) return;
        var sent = _cluster.ClockMs(node);
        var enacted = StateOf(node)?.Index ?? 0;
        _cluster.Send(node, leader, () => Asked(leader, node, incarnation, sent, enacted));
    }

    private void Asked(NodeId leader, NodeId node, ulong incarnation, long sent, ulong enacted)
    {
        var process = _cluster.IncarnationOf(leader);
        var term = _cluster.LeadingTermOf(leader);
        if (term == 0) return;
        _cluster.ReadBarrier(leader, () =>
        {
            if (_cluster.IncarnationOf(leader) != process) return;
            FollowLeadership(leader);
            if (_cluster.LeadingTermOf(leader) != term || StateOf(leader) is not { } state) return;
            var now = _cluster.ClockMs(leader);
            ulong? told = _bug == SeededBug.GrantsToThoseWhoDoNotFollow ? null : enacted;
            var answer = _grantors[leader].Core.Renew(NameOf(node), incarnation, now, state, enacted: told);
            CheckFollows((leader, process, term, node, incarnation), state, now, enacted, answer.IsGranted);
            if (answer.IsGranted) Granted(node, incarnation, sent + answer.LengthMs);
        });
    }

    private void CheckFollows(
        (NodeId Leader, ulong Process, ulong Term, NodeId Node, ulong Incarnation) asked, ClusterState state, long now, ulong enacted, bool isGranted)
    {
        var name = NameOf(asked.Node);
        var isServing = state.Sets.Values.Any(set => set.Members.GetValueOrDefault(name)?.JoinedIncarnation == asked.Incarnation);
        if (!_owed.TryGetValue(asked, out var owed) || enacted >= owed.Index || !isServing) _owed[asked] = owed = (state.Index, now);
        if (!isGranted && now - owed.SinceMs >= _options.FollowMs) Unfollowed++;
        ClusterChecker.Require(
            !isGranted || now - owed.SinceMs < _options.FollowMs + _options.RenewMs,
            $"I-FOLLOW: {name} is granted a lease {now - owed.SinceMs} ms after it was first to have applied {owed.Index}; it has applied {enacted}");
    }

    private void Granted(NodeId node, ulong incarnation, long end)
    {
        Grants++;
        _cluster.Trace("lease", node, incarnation, (ulong)end);
        _ends[(node, incarnation)] = Math.Max(end, _ends.GetValueOrDefault((node, incarnation)));
        if (_fencedAt.TryGetValue((node, incarnation), out var fenced)) CheckOver(node, incarnation, end, fenced);
    }

    private void CheckOver(NodeId node, ulong incarnation, long end, long fenced) =>
        ClusterChecker.Require(
            fenced >= end + _options.WorstDeviceMs,
            $"I-FENCE: incarnation {incarnation} of n{node} was fenced at {fenced} of its clock; its lease lasts until {end}, its devices until {end + _options.WorstDeviceMs}");

    private void Watch(NodeId node)
    {
        FollowLeadership(node);
        if (_cluster.LeadingTermOf(node) == 0 || StateOf(node) is not { } state) return;
        foreach (var proposal in _grantors[node].Core.Tick(_cluster.ClockMs(node), state)) _propose(node, proposal);
    }

    private void FollowLeadership(NodeId node)
    {
        var grantor = _grantors[node];
        var term = _cluster.LeadingTermOf(node);
        if (term == grantor.Term) return;
        if (grantor.Term != 0) grantor.Core.LeadershipLost();
        var since = _cluster.ClockMs(node) - (_bug == SeededBug.NewLeaderForgetsGrants ? 1_000_000 : 0);
        if (term != 0) grantor.Core.LeadershipGained(since, term);
        grantor.Term = term;
    }

    private ClusterState? StateOf(NodeId node) => (_cluster.StateMachineOf(node) as RecordingMachine)?.State;

    private sealed class Grantor(LeaseGrantor core)
    {
        public LeaseGrantor Core => core;

        public ulong Term { get; set; }

        public long SilentUntilMs { get; set; }
    }
}
