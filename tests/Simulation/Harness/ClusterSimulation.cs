using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>
/// A whole cluster on one thread: virtual time, a seeded network, simulated disks, crashes, pauses and partitions around the production
/// core and log. A phase of faults is followed by a phase in which all is healed and the cluster must work again.
/// The workload supplies state machines, commands and its own checks, so that any replicated state machine can be put in.
/// </summary>
internal sealed partial class ClusterSimulation
{
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Xoshiro _random;
    private readonly ClusterParameters _parameters;
    private readonly Configuration _configuration;
    private readonly SortedDictionary<NodeId, SimNode> _nodes = [];
    private readonly ClusterChecker _checker;
    private readonly IWorkload _workload;
    private readonly HashSet<(NodeId From, NodeId To)> _cut = [];
    private readonly List<Message> _released = [];
    private readonly List<Action> _confirmed = [];
    private readonly Action<string>? _trace;
    private long _now;
    private long _order;
    private ulong _hash = 14695981039346656037;
    private bool _isHealed;
    private bool _isResting;

    public ClusterSimulation(ulong seed, Func<Xoshiro, IWorkload> workload, Action<string>? trace)
    {
        _random = new Xoshiro(seed);
        _parameters = ClusterParameters.Draw(_random);
        _trace = trace;
        _workload = workload(_random.Fork());
        _configuration = new Configuration(Enumerable.Range(1, _parameters.Nodes).Select(id => new NodeId((ushort)id)));
        _checker = new ClusterChecker(_configuration);
        foreach (var id in _configuration.Members) _nodes.Add(id, new SimNode(id, _random.Fork()));
    }

    public long Acknowledged { get; private set; }

    public long Reads { get; private set; }

    public long Crashes { get; private set; }

    /// <summary>Runs to the end.</summary>
    public SimulationResult Run()
    {
        _trace?.Invoke(_parameters.ToString());
        _workload.Attach(this);
        foreach (var node in _nodes.Values) Boot(node);
        foreach (var node in _nodes.Values) ScheduleTick(node);
        Every(_parameters.ProposeEveryMs, ProposeSomewhere);
        Every(_parameters.ReadEveryMs, ReadSomewhere);
        ScheduleFaults();
        RunUntil(() => _now >= _parameters.FaultPhaseMs);
        Heal();
        var deadline = _now + 60_000;
        RunUntil(() => HasServed() || _now > deadline);
        ClusterChecker.Require(HasServed(), $"18 liveness: nothing served 60 s after healing: {Describe()}");

        // Nothing slows a leader down for its slowest follower: while a majority is offered all it can take, the others may lag
        // without bound, and rightly so. That they catch up can be asked only once the clients are done.
        Trace("rest", default);
        _isResting = true;
        RunUntil(() => IsConverged() || _now > deadline);
        ClusterChecker.Require(IsConverged(), $"18 liveness: not converged 60 s after healing: {Describe()}");
        _workload.CheckEnd([.. _nodes.Values.Select(node => node.StateMachine!)]);
        return new SimulationResult(
            _hash, _order, _now,
            $"{_parameters.Nodes} nodes, {_checker.CommittedCount} committed, {Acknowledged} acknowledged, {Reads} reads, {Crashes} crashes{_workload.Summary}");
    }

    private void At(long delayMs, Action action) => _events.Enqueue(action, (_now + Math.Max(delayMs, 0), _order++));

    private void Every(int meanMs, Action action)
    {
        if (meanMs == 0) return;
        At(1 + _random.Next(2 * meanMs), () =>
        {
            action();
            Every(meanMs, action);
        });
    }

    private void RunUntil(Func<bool> done)
    {
        while (!done() && _events.TryDequeue(out var action, out var when))
        {
            _now = when.At;
            action();
        }
    }

    private void Trace(string kind, NodeId node, ulong a = 0, ulong b = 0)
    {
        Mix((ulong)_now);
        Mix(node.Value);
        Mix((ulong)kind[0] | ((ulong)kind[^1] << 8) | ((ulong)kind.Length << 16));
        Mix(a);
        Mix(b);
        _trace?.Invoke($"{_now,7} n{node} {kind} {a} {b}");
    }

    private void Mix(ulong value) => _hash = (_hash ^ value) * 1099511628211;

    private void ScheduleTick(SimNode node) => At(5 + _random.Next(10), () =>
    {
        if (node.IsUp && !node.IsPaused) Step(node, core => core.Tick(node.LocalTime(_now)));
        ScheduleTick(node);
    });

    /// <summary>Does something with a node's core and carries out the effects, or, if it is paused, when it goes on.</summary>
    private void Step(SimNode node, Action<RaftCore> input)
    {
        if (node.Core is not { } core) return;
        if (node.IsPaused)
        {
            node.WhilePaused.Add(() => Step(node, input));
            return;
        }

        try
        {
            core.AdvanceClock(node.LocalTime(_now));
            input(core);
            CarryOut(node, core.TakeReady());
            if (ReferenceEquals(node.Core, core)) _checker.Stepped(node, _nodes);
        }
        catch (InvariantException error)
        {
            throw new SimulationException($"node {node.Id} at {_now} ms: {error.Message}", error);
        }
    }

    private void CarryOut(SimNode node, Ready ready)
    {
        if (ready.StateChanged) Trace(node.Core!.Role.ToString(), node.Id, node.Core.Term, node.Core.Log.LastIndex);
        foreach (var outbound in ready.Messages) node.Gate.Add(outbound, _released);
        SendReleased(node);
        if (ready.Write is { } write)
        {
            _checker.Writing(node, write);
            node.WriteQueue.Add(write);
            StartWriting(node);
        }

        foreach (var read in ready.Reads)
        {
            if (!node.Reads.Remove(read.Token, out var pending)) throw new SimulationException("a read was answered twice");
            if (read.Refusal != Refusal.None) continue;
            Reads++;
            ClusterChecker.ReadConfirmed(node, pending.Floor, read.Index);
            if (pending.Confirmed is { } action) _confirmed.Add(action);
        }

        if (ready.Committed.Count > 0) Apply(node, [.. ready.Committed]);
        if (_confirmed.Count == 0) return;
        Action[] confirmed = [.. _confirmed]; // All that was committed when the read began is applied by now.
        _confirmed.Clear();
        foreach (var action in confirmed) action();
    }

    private void SendReleased(SimNode node)
    {
        if (_released.Count == 0) return;
        Message[] messages = [.. _released];
        _released.Clear();
        foreach (var message in messages)
        {
            _checker.Sending(node, message);
            Transmit(message);
        }
    }

    private void Apply(SimNode node, LogEntry[] entries)
    {
        // The checker learns what is committed before anyone is told.
        _checker.Stepped(node, _nodes);
        foreach (var entry in entries)
        {
            ReadOnlyMemory<byte> result = default;
            if (entry.Type == EntryType.Command)
            {
                result = node.StateMachine!.Apply(new LogPosition(entry.Index), entry.Term, entry.Payload.Span).ToArray();
                _workload.Applied(node.Id, node.StateMachine, new LogPosition(entry.Index), entry.Payload, result);
            }

            _checker.Applied(node, entry, result);
            var isOwn = entry.Proposal.Node == node.Id.Value && entry.Proposal.Incarnation == node.Incarnation;
            if (!isOwn || !node.Proposals.Remove(entry.Proposal.Sequence, out var command)) continue;
            _checker.Acknowledged(entry);
            Acknowledged++;
            _workload.Acknowledged(command, new LogPosition(entry.Index), result);
        }

        Trace("apply", node.Id, entries[^1].Index, entries[^1].Term);
        node.Core!.Applied(entries[^1].Index);
    }

    private void StartWriting(SimNode node)
    {
        if (node.IsFlushing || node.WriteQueue.Count == 0) return;
        node.IsFlushing = true;
        foreach (var batch in node.WriteQueue)
        {
            node.Shadow.Written(batch);
            node.Wal!.Append(batch);
        }

        node.Wal!.Submit(); // In the system's cache from here on: loss of power may tear it, a kill does not.
        var last = node.WriteQueue[^1].Sequence;
        node.WriteQueue.Clear();
        var wal = node.Wal;
        var latency = 1 + _random.Next(_parameters.DiskMs);
        if (!_isHealed && _random.Chance(_parameters.StallChance)) latency += _random.Next(2000);
        node.Disk.FailNextFlush = !_isHealed && _random.Chance(_parameters.FlushErrorChance);
        At(latency, () => FinishWriting(node, wal!, last));
    }

    private void FinishWriting(SimNode node, WriteAheadLog wal, ulong sequence)
    {
        if (!ReferenceEquals(node.Wal, wal)) return; // That process is dead.
        try
        {
            wal.Flush();
        }
        catch (WalException)
        {
            Trace("flush failed", node.Id);
            Crash(node, power: true);
            return;
        }

        node.Shadow.Flushed();
        node.IsFlushing = false;
        Step(node, core =>
        {
            core.WriteDone(sequence);
            node.Gate.WriteDone(sequence, _released);
            SendReleased(node);
            StartWriting(node);
        });
    }

    private void Boot(SimNode node)
    {
        node.Incarnation++;
        WriteAheadLog wal;
        try
        {
            wal = new WriteAheadLog(node.Disk, _parameters.SegmentBytes, node.Incarnation);
        }
        catch (WalException error)
        {
            throw new SimulationException($"node {node.Id} cannot recover from a crash: {error.Message}", error);
        }

        var recovered = wal.Recovered;
        ClusterChecker.Recovered(node, recovered.HardState, recovered.Entries);
        var options = new RaftCoreOptions
        {
            MaxAppendBytes = _parameters.MaxAppendBytes,
            MaxInflightMessages = _parameters.MaxInflightMessages,
        };
        node.Wal = wal;
        node.Gate = new OutboundGate();
        node.StateMachine = _workload.CreateStateMachine(node.Id);
        node.SeenTerm = recovered.HardState.Term;
        node.SeenCommit = 0;
        node.LedTerm = 0;
        node.Core = new RaftCore(
            node.Id, _configuration, options, recovered.HardState, recovered.Entries, node.Random.Fork(), node.LocalTime(_now));
        Trace("boot", node.Id, recovered.HardState.Term, (ulong)recovered.Entries.Count);
        _workload.Booted(node.Id);
        Step(node, _ => { });
    }

    private void Crash(SimNode node, bool power)
    {
        Crashes++;
        Trace(power ? "power" : "kill", node.Id);
        foreach (var command in node.Proposals.Values) _workload.Unknown(command);
        node.Core = null;
        node.Wal!.Dispose();
        node.Wal = null;
        node.Disk.FailNextFlush = false;
        node.WriteQueue.Clear();
        node.WhilePaused.Clear();
        node.Proposals.Clear();
        node.Reads.Clear();
        node.IsFlushing = false;
        node.IsPaused = false;
        _released.Clear();
        if (power) node.Disk.LosePower();
        At(50 + _random.Next(1500), () =>
        {
            if (!node.IsUp) Boot(node);
        });
    }
}
