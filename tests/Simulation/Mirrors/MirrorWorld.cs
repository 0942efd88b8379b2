using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>Nodes, disks, network and clients of one run, and the checks on every step.</summary>
internal sealed partial class MirrorWorld
{
    public const int BlockBytes = 4096;
    private const int Blocks = 64;
    private const int RegionBlocks = 4;
    private const long Ms = 1_000_000;
    private const long LeaseNs = 400 * Ms;
    private const long DeviceNs = 600 * Ms;
    private const long ParkNs = 3000 * Ms;
    private const long ServiceWaitNs = 900 * Ms;
    private const long AnswerAgeNs = 60 * Ms;
    private const long WriteAgeNs = 60 * Ms;
    private const long OnTheWayNs = 80 * Ms;
    private const long FaultPhaseNs = 8000 * Ms;
    private const long EndNs = 40000 * Ms;

    private readonly PriorityQueue<(Action Act, string What), (long At, ulong Order)> _queue = new();
    private readonly Xoshiro _random;
    private readonly Action<string>? _log;
    private readonly MirrorFaults _faults;
    private readonly SimDisk[] _disks;
    private readonly SimNode[] _nodes;
    private readonly SimControlPlane _control;
    private readonly BlockHistory _history;
    private readonly List<SimIo> _ios = [];
    private readonly int[] _holds = new int[Blocks];
    private readonly List<ByteRange> _doubtful = [];
    private readonly double _lossRate;
    private readonly double _lateWrites;
    private readonly double _impatience;
    private readonly double _suspicion;
    private readonly double _stalls;
    private readonly bool _isSparse;
    private readonly int _clientsPerNode;
    private SimNode? _visit;
    private readonly HashSet<(string, string)> _cuts = [];
    private readonly int _copySlowness;
    private ulong _order;
    private ulong _nextValue = 1;
    private ulong _nextIncarnation = 1;
    private int _answeredWrites;
    private int _answeredReads;
    private int _kills;
    private int _copies;
    private int _admissions;
    private int _refusals;
    private int _hangs;
    private int _lateCalls; // Of device calls: made by the core, not yet by the thread.
    private int _callsGivenUp;
    private int _longWaits;

    public MirrorWorld(Xoshiro random, RecoveryMode recovery, WriterMode writers, MirrorFaults faults, Action<string>? log)
    {
        (_random, _faults, _log) = (random, faults, log);
        var legs = random.Chance(0.25) ? 3 : 2;
        _lossRate = random.NextDouble() * 0.15;
        _copySlowness = random.Chance(0.4) ? 40 : 1; // A long resync meets more reads, writes and deaths.
        _lateWrites = random.Chance(0.5) ? 0.5 : 0;
        _impatience = random.Chance(0.5) ? 0.02 : 0;
        _suspicion = random.Chance(0.5) ? 0.5 : 0;
        _stalls = random.Chance(0.6) ? 0.03 : 0;
        _isSparse = random.Chance(0.3); // Few connections, often closed: nodes without clients get their first one.
        _clientsPerNode = _isSparse ? 0 : 2;
        var mergeMs = random.Chance(0.5) ? 1000 : 1; // Reading a dead node's log takes its time.
        _disks = Enumerable.Range(0, legs).Select(static i => new SimDisk($"d{i}", Blocks)).ToArray();
        _history = new BlockHistory(Blocks, checksRepeat: recovery == RecoveryMode.Log);
        var policy = (ReadPolicy)random.Next(3);
        var volume = new VolumeConfiguration(
            1, "s/v", (long)Blocks * BlockBytes, RegionBlocks * BlockBytes, recovery, writers, policy,
            _disks.Select(static (disk, i) => new LegConfiguration(
                $"l{i}", LegState.Okay, [new ExtentConfiguration(disk.Name, 0, 0, (long)Blocks * BlockBytes)])).ToArray(),
            new OwnerConfiguration(null, 0, 1, null), null, false, []);
        _control = new SimControlPlane(this, volume, LeaseNs, DeviceNs + (50 * Ms), () => _random.Next(mergeMs) * Ms);
        _nodes = [new SimNode("a"), new SimNode("b"), new SimNode("c")];
        for (var i = 0; i < _nodes.Length; i++)
        {
            _nodes[i].Incarnation = _nextIncarnation++;
            _control.Members.Add(new(_nodes[i].Name, i, _nodes[i].Incarnation, MemberPhase.Up, true, false));
        }

        foreach (var node in _nodes) Start(node);
        _control.Commit();
    }

    public long Now { get; private set; }

    public ulong TraceHash { get; private set; } = 14695981039346656037;

    public long Events => (long)_order;

    public long NowMs => Now / Ms;

    public string Where => $"at {Now / Ms} ms";

    public string Figures =>
        $"{_control.Volume.Recovery}/{_control.Volume.Writers}: {_answeredWrites} writes, {_answeredReads} reads, {_kills} kills, "
        + $"{_hangs} disks hung, {_callsGivenUp} calls given up, {_control.Losses} legs offline, {_control.Returns} returned, {_control.Transfers} transfers, {_control.Merges} merges, {_control.Resyncs} resyncs, {_copies} copies, "
        + $"{_admissions} admissions, {_refusals} refusals, {_givenUp} given up, {_control.Cuts} cut off, "
        + $"{_noSpaceAnswers} without space, {_evenings} evened out, {_longWaits} waited past the bound with a cause{ExchangeFigures}";

    public void Run()
    {
        foreach (var node in _nodes)
        {
            After(_random.Next(10) * Ms, () => TickNode(node), "tick");
            for (var client = 0; client < _clientsPerNode; client++) StartClient(node);
        }

        for (var client = _isSparse ? 1 : _random.Next(3); client >= 0; client--) StartStanding(client);
        After(5 * Ms, TickControl, "control");
        After(300 * Ms, Disturb, "disturb");
        while (Now < EndNs && _queue.TryDequeue(out var next, out var when))
        {
            Now = when.At;
            Trace(next.What);
            next.Act();
            if (Now > FaultPhaseNs + (10000 * Ms) && _control.IsQuiet && IsIdle) break;
        }

        CheckEnd();
    }

    public void Committed(ulong index, Func<string, VolumeConfiguration> volume)
    {
        var members = _control.Members.ToArray();
        foreach (var node in _nodes)
        {
            if (!node.IsAlive) continue;
            var view = new VolumeView(index, node.Name, members, volume(node.Name));
            node.Backlog.Enqueue(view);
            var life = node.Incarnation;
            // Late, but in order.
            node.NextDeliveryNs = Math.Max(node.NextDeliveryNs + 1, Now + ((1 + _random.Next(_random.Chance(0.05) ? 200 : 15)) * Ms));
            At(node.NextDeliveryNs, () => OnNode(node, life, () => node.Core.ConfigurationChanged(Now, node.Backlog.Dequeue())), "enact");
        }
    }

    /// <summary>The receipt says that nothing of this life is under way any more.</summary>
    public void ProvenGone(string name)
    {
        var incarnation = _control.Member(name).Incarnation;
        foreach (var io in _ios)
        {
            // What hangs in a disk that is lost may land when it comes back: it does not come back before (design §14.20).
            if (io.IsGivenUp || io.Disk.IsHanging) continue;
            if (io.Node == name && io.Incarnation == incarnation) Fail($"the simulation fenced {name} with I/O under way");
        }

        foreach (var open in _open.ToArray())
        {
            if (open.Node == name && open.Incarnation == incarnation) Close(open, isAcknowledged: false);
        }
    }

    public bool IsPathLost(string disk) => Array.Exists(_disks, d => d.Name == disk && (d is { FailsWrites: true, IsPathLost: true } || d.IsCut));

    public IEnumerable<long> MarksOf(string name)
    {
        var node = Node(name);
        var incarnation = _control.Member(name).Incarnation;
        return node.Slots.TryGetValue(incarnation, out var slot) ? slot : [];
    }

    private bool DoAllReadableHang => _control.Volume.Legs.Where(static leg => leg.IsReadable)
        .All(leg => Array.Exists(_disks, disk => disk.Name == leg.Extents[0].Disk && disk.IsHanging));

    private bool IsIdle => _open.Count == 0 && _ios.Count == 0 && _lateCalls == 0 && Array.TrueForAll(_nodes, static node => node.IsAlive);

    private SimNode Node(string name) => Array.Find(_nodes, node => node.Name == name)!;

    private void Start(SimNode node)
    {
        node.IsAlive = true;
        node.Backlog.Clear();
        node.AppendAnswers.Clear();
        node.Mailbox.Clear();
        node.Sessions = 0;
        node.Connections.Clear();
        node.Slots[node.Incarnation] = [];
        node.Core = new MirrorCore(node.Name, node.Incarnation, 1, new MirrorOptions
        {
            ParkNs = ParkNs,
            RepeatNs = 60 * Ms,
            CleanNs = 150 * Ms,
            ProgressNs = 200 * Ms,
            CopyRetryNs = 50 * Ms,
            CopyBytes = RegionBlocks * BlockBytes,
            CopiesInFlight = 1 + _random.Next(3),
            AnswerAgeNs = AnswerAgeNs,
            WriteAgeNs = WriteAgeNs,
            OnTheWayNs = OnTheWayNs,
            AskNs = 20 * Ms,
        }, _faults);
        node.Core.LogOpened(Now);
        CarryOut(node);
    }

    private void Kill(SimNode node)
    {
        _kills++;
        Log($"kill {node.Name}");
        node.IsAlive = false;
        node.PausedUntilNs = 0;
        LoseConnections(node);
        foreach (var open in _open.ToArray())
        {
            // Its client will never hear; its leg I/O may still land until the device's bound.
            if (open.Node != node.Name || open.Incarnation != node.Incarnation) continue;
            if (open.Kind == RequestKind.Write) Doubt(open.Range);
            if (!open.IsAbandoned && open.Client is null) Abandon(open);
            // A life that never joined never wrote, and one that is proven gone already writes no more.
            var member = _control.Member(node.Name);
            var isOver = member.Incarnation != node.Incarnation || member.State is MemberPhase.Fenced or MemberPhase.Down;
            if (isOver) Close(open, isAcknowledged: false);
        }

        if (_control.Volume.Recovery == RecoveryMode.App) _history.ChecksRepeat = false;
        After((300 + _random.Next(1500)) * Ms, () => Restart(node), "restart");
    }

    private void Restart(SimNode node)
    {
        node.Incarnation = _nextIncarnation++;
        Log($"restart {node.Name} as {node.Incarnation}");
        Start(node);
        _control.Commit(); // It catches up with the committed state.
        for (var client = 0; client < _clientsPerNode; client++) StartClient(node);
    }

    private void TickControl()
    {
        _control.Tick(Now);
        CheckWaits();
        foreach (var node in _nodes)
        {
            if (node.IsAlive) _control.Join(node.Name, node.Incarnation, Now);
        }

        if (Now > FaultPhaseNs)
        {
            foreach (var disk in _disks) (disk.FailsWrites, disk.IsHanging) = (false, false);
            HealDisks();
        }

        foreach (var leg in _control.Volume.Legs)
        {
            var disk = Array.Find(_disks, d => d.Name == leg.Extents[0].Disk)!;
            if (disk.IsHanging)
            {
                // Every node was asked, and the device time-out has passed. Where all that could be read is slow, none is lost.
                if (leg.IsWritable && !DoAllReadableHang && Now - disk.HangingSinceNs >= DeviceNs) _control.Lose(leg.Name);
                if (leg.State == LegState.Offline && (_faults & MirrorFaults.ReturnWithIoOutstanding) != 0 && _random.Chance(0.05)) _control.Return(leg.Name);
                CheckLossEnds();
            }
            else if (disk.FailsWrites)
            {
                // Also without any I/O of ours: every node says that it cannot see it.
                if (disk.IsPathLost && leg.IsWritable && _random.Chance(0.05)) _control.Lose(leg.Name);
            }
            else if (disk.IsCut)
            {
                continue; // I/O or a beat finds it out.
            }
            else if (leg.State == LegState.Offline)
            {
                // Not while anybody, dead nodes too, may have I/O to it (design §14.20).
                var isOutstanding = _ios.Exists(io => io.Disk == disk || io.IsCopy) && (_faults & MirrorFaults.ReturnWithIoOutstanding) == 0;
                if (_random.Chance(0.05) && !isOutstanding) TryReturn(leg, disk);
            }
            else if (leg.State != LegState.Okay && _random.Chance(0.05)) _control.Replace(leg.Name);
        }

        After(10 * Ms, TickControl, "control");
    }

    private void TickNode(SimNode node)
    {
        After(20 * Ms, () => TickNode(node), "tick");
        if (!node.IsAlive || node.PausedUntilNs > Now) return;
        OnNode(node, node.Incarnation, () => SampledTick(node));
        if (Now - node.RenewedNs < LeaseNs / 4) return;
        node.RenewedNs = Now;
        var (sent, life) = (Now, node.Incarnation);
        Message(() =>
        {
            if (_control.Renew(node.Name, life, sent, Now) is not { } grant) return;
            Message(() => OnNode(node, life, () => node.Core.LeaseGranted(Now, grant)));
        });
    }

    /// <summary>Runs a step of a node: later if it is paused, never if that life is over.</summary>
    private void OnNode(SimNode node, ulong life, Action step)
    {
        if (!node.IsAlive || node.Incarnation != life) return;
        if (node.PausedUntilNs > Now)
        {
            At(node.PausedUntilNs, () => OnNode(node, life, step), "resume");
            return;
        }

        step();
        CarryOut(node);
    }

    private void Disturb()
    {
        if (Now > FaultPhaseNs) return;
        After((100 + _random.Next(700)) * Ms, Disturb, "disturb");
        if (Now < _calmUntilNs) return;
        var node = _nodes[_random.Next(_nodes.Length)];
        switch (_random.Next(10))
        {
            case 0 or 1 when node.IsAlive && _nodes.Count(static n => n.IsAlive) > 1:
                Kill(node);
                break;
            case 2 when node.IsAlive:
                node.PausedUntilNs = Now + (_random.Next(1200) * Ms);
                Log($"pause {node.Name} until {node.PausedUntilNs / Ms}");
                break;
            case 4 when node.IsAlive:
                // Its path to one disk hangs, or to all: what it submits ends late, within the device's bound.
                node.HangsUntilNs = Now + (_random.Next(400) * Ms);
                node.HungDisk = _random.Chance(0.5) ? _disks[_random.Next(_disks.Length)] : null;
                Log($"path of {node.Name} hangs until {node.HangsUntilNs / Ms}");
                break;
            case 5 or 6:
                var other = _nodes[_random.Next(_nodes.Length)];
                if (_isSparse && node.IsAlive && node.Connections.Count == 0) _visit = node; // Its first client comes when some cannot hear of it.
                Cut(node.Name, other.Name, (_isSparse ? 250 + _random.Next(150) : _random.Next(1500)) * Ms);
                break;
            case 3:
                // One disk at a time: an oracle that loses both would have nothing to check.
                if (Array.TrueForAll(_disks, static disk => !disk.FailsWrites && !disk.IsHanging) && _control.IsQuiet)
                {
                    var disk = _disks[_random.Next(_disks.Length)];
                    if (_random.Chance(0.4))
                    {
                        Hang(disk);
                        break;
                    }

                    disk.FailsWrites = true;
                    disk.IsPathLost = _random.Chance(0.6);
                    Log($"disk {disk.Name} {(disk.IsPathLost ? "is unreachable" : "fails")}");
                    After((200 + _random.Next(disk.IsPathLost ? 2500 : 800)) * Ms, () => disk.FailsWrites = false, "repair");
                }

                break;
        }
    }

    /// <summary>Two nodes do not hear each other; both hear the control plane.</summary>
    private void Cut(string a, string b, long lengthNs)
    {
        if (a == b || !_cuts.Add((a, b))) return;
        Log($"cut {a} {b}");
        After(lengthNs, () => _cuts.Remove((a, b)), "mend");
    }

    public bool IsCut(string a, string b) => _cuts.Contains((a, b)) || _cuts.Contains((b, a));

    private void Message(Action deliver)
    {
        var isFaultPhase = Now < FaultPhaseNs && Now >= _calmUntilNs;
        if (isFaultPhase && _random.Chance(_lossRate)) return;
        After((_random.Chance(0.05) && isFaultPhase ? 100 * Ms : 0) + ((1 + _random.Next(20)) * Ms / 4), deliver, "message");
    }

    private void At(long at, Action act, string what) => _queue.Enqueue((act, what), (Math.Max(at, Now), _order++));

    private void After(long delayNs, Action act, string what) => At(Now + delayNs, act, what);

    private void Trace(string what)
    {
        // FNV-1a over time and kind of step: two runs of one seed must agree.
        TraceHash = (TraceHash ^ (ulong)Now) * 1099511628211;
        foreach (var letter in what) TraceHash = (TraceHash ^ letter) * 1099511628211;
    }

    private void Log(string what) => _log?.Invoke($"{Now / Ms,6} {what}");

    private void Fail(string what) => throw new MirrorViolationException($"{Where}: {what}");

    internal sealed class SimNode(string name)
    {
        public string Name { get; } = name;

        public ulong Incarnation { get; set; }

        public bool IsAlive { get; set; }

        public MirrorCore Core { get; set; } = null!;

        public long PausedUntilNs { get; set; }

        public long RenewedNs { get; set; } = long.MinValue / 2;

        public long NextDeliveryNs { get; set; }

        public long LogBusyUntilNs { get; set; }

        public uint Sessions { get; set; }

        public List<SimConnection> Connections { get; } = [];

        public long HangsUntilNs { get; set; }

        /// <summary>The disk whose path hangs; null: all.</summary>
        public SimDisk? HungDisk { get; set; }

        /// <summary>When a call was not made for want of a lease that it knew of.</summary>
        public long LapsedNs { get; set; } = -1;

        /// <summary>Disks in whose place its paths lead to copies.</summary>
        public Dictionary<string, SimDisk> Copies { get; } = new(StringComparer.Ordinal);

        /// <summary>That it may not join for them was counted.</summary>
        public bool IsRefused { get; set; }

        public Queue<VolumeView> Backlog { get; } = new();

        /// <summary>Appends to its dirty logs that are not durable yet, in their order, and when each would be.</summary>
        public Queue<(long At, Action Append)> Appends { get; } = new();

        public AppendAnswers AppendAnswers { get; } = new();

        public Dictionary<ulong, OpenRequest> Mailbox { get; } = [];

        public Dictionary<ulong, HashSet<long>> Slots { get; } = [];
    }
}
