using System.Collections.Immutable;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Clocks;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The wall clocks of a simulated cluster, which jump, and what keeps log time right in spite of it, as ClockService runs it: each
/// node reads the others' clocks over the faulty network and judges them with the production <see cref="ClockWatch"/>; whoever leads stamps
/// with the production <see cref="LogClock"/>.</summary>
/// <remarks>What is checked (design §14.23, I-CLOCK): where no more than a minority's clocks ever jump, log time is never far ahead of the right
/// time, is never corrected, and nobody whose id has the right time is refused for it. Whatever jumps: only a correction sets log time
/// back, the cluster's own commands are never refused for their time, and in the end log time is right and no node with a wrong clock leads
/// three or more.</remarks>
internal sealed class ClockSimulation
{
    /// <summary>Unix ms at the beginning of a run.</summary>
    public const long EpochMs = 1_800_000_000_000;

    private const long EveryMs = 250;
    private const long ConvincedAfterMs = 3000;
    private const long MaxSkewMs = 700;

    private readonly IClusterAccess _cluster;
    private readonly SeededBug _bug;
    private readonly Xoshiro _random;
    private readonly Action<NodeId, LeaseProposal> _propose;
    private readonly Dictionary<NodeId, Process> _processes = [];
    private readonly SortedDictionary<ushort, long> _skewMs = [];
    private readonly SortedDictionary<ushort, Jump> _jumps = [];
    private readonly NodeId? _wrongForGood;

    public ClockSimulation(IClusterAccess cluster, SeededBug bug, Xoshiro random, Action<NodeId, LeaseProposal> propose)
    {
        (_cluster, _bug, _random, _propose) = (cluster, bug, random, propose);
        var members = cluster.Members;
        foreach (var node in members) _skewMs[node.Value] = random.Next((int)-MaxSkewMs, (int)MaxSkewMs);
        var kind = random.Next(10);
        IsWild = kind < 2;
        var most = kind < 5 ? 0 : (members.Count - 1) / 2;
        var jumping = members.OrderBy(_ => random.NextUInt64()).Take(IsWild ? 1 + random.Next(members.Count) : most).ToList();
        Jump? together = IsWild && random.Chance(0.6) ? DrawJump() : null; // One host's clock, or one bad time server.
        foreach (var node in jumping) _jumps[node.Value] = together ?? DrawJump();
        if (!IsWild && jumping.Count > 0 && random.Chance(0.5)) _wrongForGood = jumping[0];
    }

    /// <summary>A majority's clocks may jump in this run.</summary>
    public bool IsWild { get; }

    public int Jumps => _jumps.Count;

    public int Corrections { get; private set; }

    /// <summary>The right time.</summary>
    public long RightMs => EpochMs + _cluster.NowMs;

    /// <summary>What a node's wall clock shows.</summary>
    public long WallMs(NodeId node)
    {
        var wall = RightMs + _skewMs[node.Value];
        if (!_jumps.TryGetValue(node.Value, out var jump)) return wall;
        var isWrong = _cluster.IsHealed ? node == _wrongForGood : _cluster.NowMs >= jump.FromMs && _cluster.NowMs < jump.ToMs;
        return isWrong ? wall + jump.ByMs : wall;
    }

    /// <summary>The stamp that a leader gives.</summary>
    public long StampMs(NodeId leader) => _bug == SeededBug.StampsItsOwnClock
        ? WallMs(leader)
        : _processes.GetValueOrDefault(leader)?.Clock.NowMs(_cluster.ClockMs(leader)) ?? 0;

    /// <summary>The leader knows what time it is: else commands wait.</summary>
    public bool IsReady(NodeId leader) =>
        StateOf(leader) is { } state && _processes[leader].Clock.IsReady(_cluster.ClockMs(leader), state.LogTimeMs);

    /// <summary>What the leader tells a client that wants to make an id.</summary>
    public long? RequestTimeMs(NodeId leader) => IsReady(leader) && StateOf(leader) is { } state
        ? Math.Max(_processes[leader].Clock.NowMs(_cluster.ClockMs(leader)) ?? 0, state.Requests.RefusedBeforeMs)
        : null;

    /// <summary>A process has started: its timers run until it ends.</summary>
    public void Booted(NodeId node)
    {
        var process = new Process();
        process.Watch.SetVoters(_cluster.Members.Select(LeaseSimulation.NameOf));
        _processes[node] = process;
        var incarnation = _cluster.IncarnationOf(node);
        _cluster.At(1 + _random.NextInt64(EveryMs), () => Tick(node, incarnation));
    }

    /// <summary>An entry was applied for the first time anywhere.</summary>
    public void Applied(ulong index, ClusterState before, ClusterState after, ImmutableArray<EventRecord> events, CommandResult result, CommandEnvelope envelope)
    {
        var isCorrection = events.Any(static record => record.Event is ClockCorrected);
        if (isCorrection) Corrections++;
        ClusterChecker.Require(
            isCorrection || after.LogTimeMs > before.LogTimeMs, $"log time does not grow at {index}");
        ClusterChecker.Require(
            envelope.Digest is not null || result.Code is not (RequestRules.TooOld or RequestRules.ClockAhead),
            $"I-CLOCK: the cluster's own {envelope.Body.GetType().Name} at {index} was refused as {result.Code}");
        if (IsWild) return;
        ClusterChecker.Require(!isCorrection, $"I-CLOCK: log time was corrected at {index} though most clocks were right");
        ClusterChecker.Require(
            after.LogTimeMs <= RightMs + ClockWatch.MaxApartMs + MaxSkewMs,
            $"I-CLOCK: log time is {after.LogTimeMs - RightMs} ms ahead at {index} though most clocks were right");
    }

    /// <summary>What is still wrong in a healed cluster, or null.</summary>
    public string? Unsettled(ClusterState state)
    {
        if (state.LogTimeMs - RightMs > LogTime.CorrectFromMs + 1000) return $"log time, {state.LogTimeMs - RightMs} ms ahead";
        return _wrongForGood is { } wrong && _cluster.LeadingTermOf(wrong) != 0 && _cluster.Members.Count >= 3
            && Math.Abs(_jumps[wrong.Value].ByMs) > ClockWatch.MaxApartMs + (2 * MaxSkewMs)
            ? $"leadership of node {wrong}, whose clock is {_jumps[wrong.Value].ByMs} ms off" : null;
    }

    private Jump DrawJump()
    {
        var by = _random.Next(3) switch
        {
            0 => _random.NextInt64(4 * RequestTable.WindowMs) - (2 * RequestTable.WindowMs),
            1 => (_random.Chance(0.5) ? 1 : -1) * (RequestTable.WindowMs + 3_600_000),
            _ => _random.NextInt64(120_000) - 60_000,
        };
        var from = _random.Chance(0.3) ? 0 : _random.NextInt64(8000); // Some have started with a wrong clock.
        return new Jump(from, _random.Chance(0.3) ? long.MaxValue : from + 500 + _random.NextInt64(8000), by);
    }

    private void Tick(NodeId node, ulong incarnation)
    {
        if (!IsCurrent(node, incarnation)) return;
        _cluster.At(EveryMs, () => Tick(node, incarnation));
        if (_cluster.IsPaused(node)) return;
        var now = _cluster.ClockMs(node);
        Take(node, node, now, WallMs(node));
        foreach (var other in _cluster.Members)
        {
            if (other == node) continue;
            _cluster.Send(node, other, () =>
            {
                if (!_cluster.IsUp(other)) return;
                var wall = WallMs(other);
                _cluster.Send(other, node, () =>
                {
                    if (IsCurrent(node, incarnation)) Take(node, other, now, wall);
                });
            });
        }
    }

    private bool IsCurrent(NodeId node, ulong incarnation) => _cluster.IsUp(node) && _cluster.IncarnationOf(node) == incarnation;

    private void Take(NodeId node, NodeId other, long beforeMs, long unixMs)
    {
        var process = _processes[node];
        var now = _cluster.ClockMs(node);
        FollowLeadership(node, process);
        process.Watch.Read(LeaseSimulation.NameOf(other), beforeMs, now, unixMs);
        var verdict = process.Watch.Judge(now);
        if (!verdict.Off.SetEquals(process.Off) && _bug != SeededBug.LeadsWithAWrongClock)
            _cluster.AvoidLeaders(node, [.. _cluster.Members.Where(member => verdict.Off.Contains(LeaseSimulation.NameOf(member)))]);
        process.Off = verdict.Off;
        if (StateOf(node) is not { } state || process.Term == 0) return;
        if (process.Clock.Follow(now, verdict, state.LogTimeMs) is { } correction && _bug != SeededBug.NeverCorrectsLogTime)
            _propose(node, new LeaseProposal(process.Term, correction));
    }

    private void FollowLeadership(NodeId node, Process process)
    {
        var term = _cluster.LeadingTermOf(node);
        if (term == process.Term) return;
        if (process.Term != 0) process.Clock.LeadershipLost();
        if (term != 0) process.Clock.LeadershipGained(_cluster.ClockMs(node), term);
        process.Term = term;
    }

    private ClusterState? StateOf(NodeId node) => (_cluster.StateMachineOf(node) as RecordingMachine)?.State;

    private readonly record struct Jump(long FromMs, long ToMs, long ByMs);

    private sealed class Process
    {
        public ClockWatch Watch { get; } = new();

        public LogClock Clock { get; } = new(ConvincedAfterMs);

        public ImmutableSortedSet<string> Off { get; set; } = [];

        public ulong Term { get; set; }
    }
}
