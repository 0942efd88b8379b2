using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>
/// The one case of design §14.24 that nobody can prevent: a node is put back while nobody who knows better is up, and with a third goes another
/// way. When the one who knows comes back, all who are involved must stop with what they have; once the others give their history up, its
/// own goes on. Scripted: production cores, messages that arrive at once, disks that keep what was written.
/// </summary>
internal sealed class HistoryConflictStory
{
    private static readonly RaftCoreOptions Options = new();
    private readonly Queue<Message> _network = new();
    private readonly HashSet<int> _down = [];
    private readonly Disk[] _disks = [new(), new(), new()];
    private readonly RaftCore[] _cores = new RaftCore[3];
    private readonly OutboundGate[] _gates = new OutboundGate[3];
    private ulong _starts;
    private long _now = 1000;

    /// <exception cref="SimulationException">Something was cut, or somebody went on.</exception>
    public static void Run() => new HistoryConflictStory().Play();

    private void Play()
    {
        for (var node = 0; node < 3; node++) Boot(node);
        Pass(5000);
        var copy = _disks[1];
        Stop(2);
        Pass(2000);
        Propose(2);
        Pass(2000);
        var acknowledged = _cores[0].Log[_cores[0].Commit].Id;
        Stop(0);
        Stop(1);
        _disks[1] = copy;
        Boot(1);
        Boot(2);
        Pass(5000);
        Propose(3); // Nobody who is up knows: two of three go on.
        Boot(0);
        Pass(20_000);
        Require(_cores[0].Log.Contains(acknowledged), "what was committed here was cut off");
        Require(_cores[0].Conflict is not null, "the one who came back did not notice the other history");
        Require(_cores[2].Conflict is not null, "the one who went another way went on");
        Require(_cores.All(core => core.Role != RaftRole.Leader), "somebody leads although two histories were committed");

        GiveUp(1);
        GiveUp(2);
        Pass(3000);
        Require(_cores[0].Conflict is null, "the conflict did not end with the last one who gave its history up");
        Stop(0);
        Boot(0); // The shell starts anew then.
        Pass(10_000);
        Require(_cores.All(core => core.Commit > acknowledged.Index && core.Log.Contains(acknowledged)), "the history that was chosen did not go on");
    }

    private static void Require(bool condition, string otherwise)
    {
        if (!condition) throw new SimulationException($"14.24 conflict: {otherwise}");
    }

    private void Boot(int node)
    {
        var disk = _disks[node];
        var starts = disk.Starts.Prepend(++_starts).ToArray();
        _disks[node] = disk = disk with { Starts = starts, Incarnation = disk.Incarnation + 1 };
        var last = disk.Entries.Length;
        var life = new NodeLife(disk.Incarnation, starts, new Promised(disk.HardState.Term, (ulong)last), disk.Forgiven, disk.Floor);
        _gates[node] = new OutboundGate();
        _cores[node] = new RaftCore(
            Id(node), new Configuration([Id(0), Id(1), Id(2)]), Options, disk.HardState, default, disk.Entries, null, new Xoshiro((ulong)node + 1), _now,
            new LifeStart(life, disk.Known, null, disk.Conflict));
        _down.Remove(node);
    }

    private void Stop(int node) => _down.Add(node);

    private void GiveUp(int node)
    {
        Stop(node);
        var source = _cores[0];
        var term = Math.Max(source.Term, _cores[node].Term);
        var index = Math.Max(source.Log.LastIndex, _cores[node].Log.LastIndex);
        _disks[node] = new Disk
        {
            HardState = new HardState(term, default, 0),
            Incarnation = _disks[node].Incarnation,
            Forgiven = new Promised(term, index),
            Floor = source.Log.LastId,
        };
        Boot(node);
    }

    private void Propose(int count)
    {
        for (var i = 0; i < count; i++)
        {
            var leader = Array.FindIndex(_cores, core => core.Role == RaftRole.Leader && !_down.Contains(core.Self.Value - 1));
            Require(leader >= 0, "nobody leads though nobody knows better");
            _cores[leader].Propose([(default, new byte[] { (byte)i })], null, out _);
            Pass(200);
        }
    }

    private void Pass(int milliseconds)
    {
        for (var end = _now + milliseconds; _now < end;)
        {
            _now += 10;
            for (var node = 0; node < 3; node++)
            {
                if (!_down.Contains(node)) _cores[node].Tick(_now);
            }

            Settle();
        }
    }

    private void Settle()
    {
        var steps = 0;
        do
        {
            Require(++steps < 100_000, "the cores do not come to rest");
            for (var node = 0; node < 3; node++)
            {
                if (!_down.Contains(node)) CarryOut(node);
            }

            if (_network.TryDequeue(out var message) && !_down.Contains(message.To.Value - 1))
            {
                var core = _cores[message.To.Value - 1];
                core.AdvanceClock(_now);
                core.Step(message);
                CarryOut(message.To.Value - 1);
            }
        }
        while (_network.Count > 0);
    }

    private void CarryOut(int node)
    {
        var released = new List<Message>();
        var ready = _cores[node].TakeReady();
        foreach (var outbound in ready.Messages) _gates[node].Add(outbound, released);
        var committed = ready.Committed.Count > 0 ? ready.Committed[^1].Index : 0;
        if (ready.LivesChanged) _disks[node] = _disks[node] with { Conflict = _cores[node].Conflict };
        if (ready.Write is { } write)
        {
            var disk = _disks[node];
            _disks[node] = disk with
            {
                HardState = write.HardState,
                Known = write.Lives ?? disk.Known,
                Entries = write.Entries.Length == 0 ? disk.Entries : [.. disk.Entries.Take((int)write.Previous.Index), .. write.Entries],
            };
            _cores[node].WriteDone(write.Sequence);
            _gates[node].WriteDone(write.Sequence, released);
        }

        if (committed > 0) _cores[node].Applied(committed);
        foreach (var message in released) _network.Enqueue(message);
    }

    private static NodeId Id(int node) => new((ushort)(node + 1));

    /// <summary>All that a node keeps.</summary>
    private sealed record Disk
    {
        public HardState HardState { get; init; }

        public LogEntry[] Entries { get; init; } = [];

        public IReadOnlyList<KnownLife> Known { get; init; } = [];

        public ulong[] Starts { get; init; } = [];

        public ulong Incarnation { get; init; }

        public Promised Forgiven { get; init; }

        public EntryId Floor { get; init; }

        public HistoryConflict? Conflict { get; init; }
    }
}
