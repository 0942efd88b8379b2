using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>
/// A whole cluster on one thread: virtual time, a seeded network, simulated disks, crashes, pauses and partitions around the production
/// core, log, snapshot store and receiver. A phase of faults is followed by a phase in which enough is healed and the cluster must work again.
/// The workload supplies state machines, commands and its own checks, so that any replicated state machine can be put in.
/// </summary>
internal sealed partial class ClusterSimulation
{
    /// <summary>A hundred times what a run takes.</summary>
    private const long MaxEvents = 1_500_000;

    private static readonly Guid ClusterId = new(0x5eed, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Xoshiro _random;
    private readonly ClusterParameters _parameters;
    private readonly RaftCoreOptions _options;
    private readonly Configuration _initial;
    private readonly SortedDictionary<NodeId, SimNode> _nodes = [];
    private readonly ClusterChecker _checker;
    private readonly IWorkload _workload;
    private readonly List<Message> _released = [];
    private readonly Action<string>? _trace;
    private long _now;
    private long _steps;
    private long _order;
    private ulong _hash = 14695981039346656037;
    private bool _isHealed;
    private bool _isResting;

    /// <param name="seed">Decides everything.</param>
    /// <param name="workload">Makes what is replicated.</param>
    /// <param name="trace">Takes one line per event; null for none.</param>
    /// <param name="restores">Directories are put back to older copies.</param>
    /// <param name="beats">And disks carry beats: then it is majorities of them.</param>
    public ClusterSimulation(ulong seed, Func<Xoshiro, IWorkload> workload, Action<string>? trace, bool restores = false, bool beats = false)
    {
        _random = new Xoshiro(seed);
        _trace = trace;
        _workload = workload(_random.Fork());
        _parameters = ClusterParameters.Draw(_random, _workload.IsElastic);
        if (restores) _parameters = WithRestores(_parameters);
        if (beats) _parameters = WithBeats(_parameters);

        if (_workload.SnapshotBytes > 0)
        {
            // In enough pieces to be interrupted; but it must arrive before its source has taken the next two.
            _parameters = _parameters with
            {
                ChunkBytes = Math.Max(_parameters.ChunkBytes, _workload.SnapshotBytes / 24),
                SnapshotEvery = _parameters.SnapshotEvery == 0 ? 0 : Math.Max(_parameters.SnapshotEvery, 60),
            };
        }
        _options = new RaftCoreOptions
        {
            MaxAppendBytes = _parameters.MaxAppendBytes,
            MaxInflightMessages = _parameters.MaxInflightMessages,
            MaxPartialInflight = _parameters.MaxPartialInflight,
            MaxRetainedBytes = _parameters.MaxRetainedBytes,
            LeaseReads = _parameters.LeaseReads,
            HeartbeatMs = _parameters.HeartbeatMs,
            ElectionTimeoutMinMs = _parameters.ElectionTimeoutMinMs,
            ElectionTimeoutMaxMs = _parameters.ElectionTimeoutMaxMs,
            MaxInflightBytes = _parameters.MaxInflightBytes,
            MaxUncommittedBytes = _parameters.MaxUncommittedBytes,
            MaxPendingReads = _parameters.MaxPendingReads,
            MaxPromotionLag = 64,
            PriorityStableMs = 1500,
        };
        var ids = Enumerable.Range(1, _parameters.Nodes).Select(id => new NodeId((ushort)id)).ToArray();
        _initial = new Configuration(
            ids, details: ids.Select(id => new Member(id, $"n{id}", $"n{id}:1", _parameters.Priorities ? DrawPriority() : Member.DefaultPriority)));
        _checker = new ClusterChecker(_nodes, _initial, _options);
        foreach (var id in ids) AddNode(id, _initial);
    }

    public long Acknowledged { get; private set; }

    public long Reads { get; private set; }

    public long Crashes { get; private set; }

    /// <summary>Runs to the end.</summary>
    public SimulationResult Run()
    {
        _trace?.Invoke(_parameters.ToString());
        _workload.Attach(this);
        foreach (var node in _nodes.Values.ToArray()) Boot(node);
        foreach (var node in _nodes.Values) ScheduleTick(node);
        Every(_parameters.ProposeEveryMs, ProposeSomewhere);
        Every(_parameters.ReadEveryMs, ReadSomewhere);
        ScheduleFaults();
        ScheduleMembership();
        ScheduleRestores();
        ScheduleConnections();
        ScheduleBeats();
        RunUntil(() => _now >= _parameters.FaultPhaseMs);
        Heal();
        Demand(HasServed, "nothing served");
        if (_nodes.Values.FirstOrDefault(static node => node.IsQuarantined) is { } wrong) Reseed(wrong);
        SeedTheOld();
        Exercise();

        // Nothing slows a leader down for its slowest follower: while a majority is offered all it can take, the others may lag
        // without bound, and rightly so. That they catch up can be asked only once the clients are done.
        Trace("rest", default);
        _isResting = true;
        Demand(IsConverged, "not converged");
        _workload.CheckEnd([.. Living().Select(node => node.StateMachine!)]);
        return new SimulationResult(
            _hash, _order, _now,
            $"{_parameters.Nodes} nodes, {_nodes.Count} ever, {_checker.CommittedCount} committed, {Acknowledged} acknowledged, {Reads} reads, "
            + $"{Crashes} crashes, {_memberChanges} changes of members, {_snapshotsTaken} snapshots, {_snapshotsInstalled} installed, "
            + $"{_receptionsResumed} receptions resumed, {_sourcesChanged} from another node{_workload.Summary}"
            + (_restores > 0 ? $", {_restores} directories put back, {_seedings} seeded anew" : string.Empty)
            + BeatSummary);
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
            if (++_steps > MaxEvents) throw new SimulationException($"18 liveness: {MaxEvents} events and no end: {Describe()}");
        }
    }

    private void Demand(Func<bool> done, string otherwise, int withinMs = 60_000)
    {
        var deadline = _now + withinMs;
        RunUntil(() => done() || _now > deadline);
        if (!done()) throw new SimulationException($"18 liveness: {otherwise} within {withinMs / 1000} s after healing: {Describe()}");
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

    private SimNode AddNode(NodeId id, Configuration initial)
    {
        // Control planes rely on leases of their own, whose bound on drift these rates stay within.
        var rate = _workload.IsElastic ? _random.Next(-_parameters.ClockPermille, _parameters.ClockPermille + 1) : id.Value * 3;
        var node = new SimNode(id, initial, rate, _random.Fork(), new DiskPower());
        _nodes.Add(id, node);
        return node;
    }

    private void ScheduleTick(SimNode node) => At((_parameters.TickMs / 2) + _random.Next(_parameters.TickMs), () =>
    {
        if (node.IsGone && !node.IsUp) return;
        if (node.IsUp && !node.IsPaused)
        {
            Step(node, core =>
            {
                core.IsLogShort = node.Wal!.Shortage is not null;
                core.Tick(node.LocalTime(_now));
            });
            ClusterChecker.Ticked(node, _options, node.LocalTime(_now), node.IsFlushing || node.WriteQueue.Count > 0);
        }

        ScheduleTick(node);
    });

    /// <summary>Does something with a node's core and carries out the effects, or, if it is paused, when it goes on.</summary>
    private void Step(SimNode node, Action<RaftCore> input, bool readsClock = true)
    {
        if (node.Core is not { } core) return;
        if (node.IsPaused)
        {
            node.WhilePaused.Add(() => Step(node, input, readsClock));
            return;
        }

        try
        {
            if (readsClock) core.AdvanceClock(node.LocalTime(_now));
            input(core);
            CarryOut(node, core.TakeReady());
            if (!ReferenceEquals(node.Core, core)) return;
            _checker.Stepped(node);
            if (_parameters.LeaseReads) _checker.CheckLeases(node, _now);
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
            _checker.Writing(node, write, ready.Installed?.Configuration);
            node.WriteQueue.Add((write, node.LocalTime(_now)));
            StartWriting(node);
        }

        node.CompactTo = Math.Max(node.CompactTo, ready.CompactTo);
        foreach (var read in ready.Reads)
        {
            if (!node.Reads.Remove(read.Token, out var answer)) throw new SimulationException("14 reads answered: one was answered twice");
            answer(read);
        }

        if (ready.LivesChanged) Judged(node);
        if (ready.Offer is { } offer) Offered(node, offer);
        if (ready.Installed is { } || ready.Committed.Count > 0)
            QueueApply(node, new ApplyItem([.. ready.Committed], ready.Installed));
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

    private void StartWriting(SimNode node)
    {
        if (node.IsFlushing || node.WriteQueue.Count == 0) return;
        node.WriteSinceMs = node.WriteQueue[0].SinceMs;
        var wal = node.Wal!;
        ulong last = 0;
        try
        {
            last = AppendWhatFits(node, wal);
            wal.Submit(); // In the system's cache from here on: loss of power may tear it, a kill does not.
        }
        catch (WalException failure)
        {
            RequireNotForSpace(node, failure);
            Trace("write failed", node.Id);
            At(0, () =>
            {
                if (ReferenceEquals(node.Wal, wal)) Crash(node, power: node.Power.IsOut);
            });
            return;
        }

        if (last == 0)
        {
            WaitForRoom(node, wal);
            return;
        }

        node.IsFlushing = true;
        var latency = 1 + _random.Next(_parameters.DiskMs);
        if (!_isHealed && _random.Chance(_parameters.StallChance)) latency += _random.Next(_parameters.StallMs);
        node.Disk.FailNextFlush = !_isHealed && _random.Chance(_parameters.FlushErrorChance);
        At(latency, () => FinishWriting(node, wal, last));
    }

    /// <returns>The sequence of the last batch that is in whole; 0 for none.</returns>
    private static ulong AppendWhatFits(SimNode node, WriteAheadLog wal)
    {
        ulong last = 0;
        var count = 0;
        foreach (var (batch, _) in node.WriteQueue)
        {
            if (node.WrittenSequence < batch.Sequence) node.Shadow.Written(batch);
            node.WrittenSequence = Math.Max(node.WrittenSequence, batch.Sequence); // Of one that does not fit, the beginning may be written.
            if (!wal.Append(batch)) break;
            if (batch.Lives is { } lives) node.WrittenLives = lives;
            last = batch.Sequence;
            count++;
        }

        node.WriteQueue.RemoveRange(0, count);
        return last;
    }

    /// <summary>As the shell does: the node lives on, acknowledges nothing, and tries again.</summary>
    private void WaitForRoom(SimNode node, WriteAheadLog wal)
    {
        if (node.IsAwaitingRoom) return;
        node.IsAwaitingRoom = true;
        Trace("no room", node.Id);
        At(20 + _random.Next(200), () =>
        {
            node.IsAwaitingRoom = false;
            if (!ReferenceEquals(node.Wal, wal)) return;
            if (node.CompactTo > 0 && wal.Compact(node.CompactTo)) node.CompactTo = 0;
            StartWriting(node);
        });
    }

    /// <summary>Design §14.22: a lack of space ends no process, for nothing was promised.</summary>
    private static void RequireNotForSpace(SimNode node, WalException failure)
    {
        if (failure.InnerException is IOException shortage && ErrnoText.IsExhaustion(shortage.HResult))
            throw new SimulationException($"22 full: node {node.Id} ended for want of space: {failure.Message}");
    }

    private void FinishWriting(SimNode node, WriteAheadLog wal, ulong sequence)
    {
        if (!ReferenceEquals(node.Wal, wal)) return; // That process is dead.
        try
        {
            Invariant.Require(wal.Flush(), "Simulated disks write in place.");
            if (node.CompactTo > 0 && wal.Compact(node.CompactTo)) node.CompactTo = 0;
            if (wal.IsMaintenanceDue && _random.Chance(0.5)) wal.Maintain();
        }
        catch (WalException failure)
        {
            RequireNotForSpace(node, failure);
            Trace("flush failed", node.Id);
            Crash(node, power: true);
            return;
        }

        node.Shadow.Flushed(sequence);
        node.DurableLives = node.WrittenLives ?? node.DurableLives;
        node.WrittenLives = null;
        ClusterChecker.Flushed(node);
        node.IsFlushing = false;
        if (node.WriteQueue.Count > 0) node.WriteSinceMs = node.WriteQueue[0].SinceMs;
        Step(node, core =>
        {
            core.WriteDone(sequence);
            node.Gate.WriteDone(sequence, _released);
            SendReleased(node);
            StartWriting(node);
        });
    }

    /// <summary>Starts a node's process. One whose disk is damaged or full does not start.</summary>
    private void Boot(SimNode node)
    {
        if (node.IsGone || node.IsKeptDown || node.IsUp || node.IsAway) return;
        node.Incarnation++;
        node.Starts.Insert(0, NewStart(node));
        RecoveredState recovered;
        WriteAheadLog? wal = null;
        if (!_isHealed && node.Damage is null && _parameters.DiskPowerEveryMs > 0 && _random.Chance(0.2)) node.Power.FailBefore(1 + _random.Next(6));
        try
        {
            wal = new WriteAheadLog(node.Disk, _parameters.SegmentBytes, node.Incarnation);
            ClusterChecker.Recovered(node, wal.Recovered);
            node.DurableLives = wal.KnownLives;
            node.Store = new SnapshotStore(node.SnapshotDisk, ClusterId, _parameters.ChunkBytes);
            if (_parameters.DiskPowerEveryMs > 0) ExpectReset(node, wal.Recovered);
            recovered = RecoveredState.Of(wal, node.Store, static _ => { });
            if (recovered.Base.Index > wal.Recovered.Base.Index) node.Shadow.Reset(recovered.HardState, recovered.Base, recovered.Entries);
        }
        catch (Exception error) when (error is WalException or IOException)
        {
            wal?.Dispose();
            if (node.Power.IsOut)
            {
                Trace("power in recovery", node.Id);
                LosePower(node);
                At(50 + _random.Next(500), () => Boot(node));
                return;
            }

            if (node.Disk.IsFull || node.SnapshotDisk.IsFull)
            {
                At(200, () => Boot(node));
                return;
            }

            if (node.Damage is null) throw new SimulationException($"node {node.Id} cannot recover from a crash: {error.Message}", error);
            Trace("damaged", node.Id);
            node.IsGone = true;
            return;
        }

        StartProcess(node, wal, recovered);
    }

    /// <summary>A snapshot that the log does not know yet takes its place in recovery: should power fail meanwhile, either may be found.</summary>
    private static void ExpectReset(SimNode node, RecoveredLog log)
    {
        using var newest = node.Store!.OpenNewestVerified().Snapshot;
        if (newest?.Meta.Last is not { } last || last.Index <= log.Base.Index + (ulong)log.Entries.Count) return;
        var hardState = log.HardState.Term >= last.Term ? log.HardState with { Commit = last.Index } : new HardState(last.Term, default, last.Index);
        node.Shadow.Written(new WriteBatch(0, hardState, last, [], IsReset: true));
    }

    private void StartProcess(SimNode node, WriteAheadLog wal, RecoveredState recovered)
    {
        // Damage that nothing reads, or that a crash may cause too, is none.
        node.Damage = null;
        using var snapshot = recovered.Snapshot;
        var covered = snapshot?.Meta.Last ?? default;
        node.Wal = wal;
        node.Gate = new OutboundGate();
        node.Receiver = new SnapshotReceiver(new SnapshotReceiverOptions
        {
            ChunkBytes = _parameters.ChunkBytes,
            RequestTimeoutMs = 300,
            BackoffMs = 20,
            PenaltyMs = 1000,
        });
        node.StateMachine = _workload.CreateStateMachine(node.Id);
        node.AppliedConfiguration = node.Initial;
        node.StateChain = 0;
        node.IsCorrupt = false;
        node.Applied = covered.Index;
        if (snapshot is not null) RestoreFrom(node, snapshot);
        node.Members.Recovered(covered.Index, snapshot?.Meta.Configuration ?? node.Initial, recovered.Entries);
        node.SeenTerm = recovered.HardState.Term;
        node.SeenCommit = 0;
        node.SeenConfiguration = null;
        node.SeenSnapshot = covered.Index;
        node.LedTerm = 0;
        node.Core = new RaftCore(
            node.Id, node.Initial, _options, recovered.HardState, recovered.Base, recovered.Entries, snapshot?.Meta, node.Random.Fork(),
            node.LocalTime(_now), LivesOf(node, recovered, wal.KnownLives) with { IsHeldBack = _parameters.BeatEveryMs > 0 });
        wal.ForgetRecovered();
        if (node.IsQuarantined) node.Core.Bar();
        Trace("boot", node.Id, recovered.HardState.Term, node.Core.Log.LastIndex);
        _workload.Booted(node.Id);
        AskDisks(node);
        Step(node, _ => { });
        ConnectPeers(node);
    }

    private void Crash(SimNode node, bool power)
    {
        power |= node.Power.IsOut;
        Crashes++;
        Trace(power ? "power" : "kill", node.Id);
        ReadOnlyMemory<byte>[] unknown = [.. node.Proposals.Values];
        node.Core = null;
        node.Wal!.Dispose();
        node.Wal = null;
        node.Disk.FailNextFlush = false;
        node.Incoming?.Dispose();
        node.Incoming = null;
        node.WriteQueue.Clear();
        node.CompactTo = 0;
        node.WhilePaused.Clear();
        node.Proposals.Clear();
        node.Reads.Clear();
        node.WaitingReads.Clear();
        node.Applying.Clear();
        node.OwnDigests.Clear();
        node.HeardMs.Clear();
        node.WrittenLives = null;
        node.IsApplying = false;
        node.IsWritingSnapshot = false;
        node.IsFlushing = false;
        node.IsAwaitingRoom = false;
        node.WrittenSequence = 0;
        node.IsPaused = false;
        _released.Clear();
        foreach (var command in unknown) _workload.Unknown(command);
        if (power) LosePower(node);
        if (!_isHealed && _random.Chance(_parameters.PeerLostChance)) TellPeers(node);
        At(50 + _random.Next(1500), () => Boot(node));
    }

    private static void LosePower(SimNode node)
    {
        node.Disk.LosePower();
        node.SnapshotDisk.LosePower();
        node.Power.Return();
    }
}
