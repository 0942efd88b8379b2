using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Three production cores with lives, for scripted stories of directories that are put back (design §14.24): messages arrive at once unless
/// they are delayed, and disks keep what was written. Nodes are numbered from 0.</summary>
internal sealed class LivesWorld
{
    public const int Nodes = 3;

    private static readonly RaftCoreOptions Options = new();
    private readonly PriorityQueue<Message, (long DueMs, long Order)> _network = new();
    private readonly HashSet<int> _down = [];
    private readonly OutboundGate[] _gates = new OutboundGate[Nodes];
    private readonly ulong _seed;
    private ulong _starts;
    private long _sent;
    private long _now = 1000;

    /// <param name="seed">Of the elections' random time-outs.</param>
    public LivesWorld(ulong seed)
    {
        _seed = seed;
        for (var node = 0; node < Nodes; node++) Boot(node);
    }

    /// <summary>What is on each node's disk; to be copied and put back while the node is down.</summary>
    public NodeDisk[] Disks { get; } = [new(), new(), new()];

    public RaftCore[] Cores { get; } = new RaftCore[Nodes];

    /// <summary>How many milliseconds each message takes.</summary>
    public Func<Message, int> DelayMs { get; set; } = static _ => 0;

    /// <summary>The node whose disk finishes no write; -1 for none.</summary>
    public int Hangs { get; set; } = -1;

    /// <summary>The node that leads; -1 for none.</summary>
    public int Leader => Array.FindIndex(Cores, core => core.Role == RaftRole.Leader && !_down.Contains(core.Self.Value - 1));

    /// <exception cref="SimulationException">The condition does not hold.</exception>
    public static void Require(bool condition, string otherwise)
    {
        if (!condition) throw new SimulationException($"14.24 story: {otherwise}");
    }

    /// <summary>Starts a node from its disk. It and those that are up connect to each other.</summary>
    public void Boot(int node)
    {
        var disk = Disks[node];
        var starts = disk.Starts.Prepend(++_starts).ToArray();
        Disks[node] = disk = disk with { Starts = starts, Incarnation = disk.Incarnation + 1 };
        var last = disk.Entries.Length;
        var life = new NodeLife(disk.Incarnation, starts, new Promised(disk.HardState.Term, (ulong)last), disk.Forgiven, disk.Floor);
        _gates[node] = new OutboundGate();
        Cores[node] = new RaftCore(
            Id(node), new Configuration([Id(0), Id(1), Id(2)]), Options, disk.HardState, default, disk.Entries, null,
            new Xoshiro(_seed + (ulong)node), _now, new LifeStart(life, disk.Known, null, disk.Conflict));
        _down.Remove(node);
        Connect(node, true);
    }

    public void Stop(int node)
    {
        Connect(node, false);
        _down.Add(node);
    }

    /// <summary>The operator seeds a node anew from another, which need not lead.</summary>
    public void GiveUp(int node, int source)
    {
        Stop(node);
        var from = Cores[source];
        var term = Math.Max(from.Term, Cores[node].Term);
        var index = Math.Max(from.Log.LastIndex, Cores[node].Log.LastIndex);
        Disks[node] = new NodeDisk
        {
            HardState = new HardState(term, default, 0),
            Incarnation = Disks[node].Incarnation,
            Forgiven = new Promised(term, index),
            Floor = from.Log.LastId,
        };
        Boot(node);
    }

    /// <summary>Proposes at the leader, and lets each proposal arrive.</summary>
    public void Propose(int count)
    {
        for (var i = 0; i < count; i++)
        {
            var leader = Leader;
            Require(leader >= 0, "nobody leads though nobody knows better");
            Cores[leader].Propose([(default, new byte[] { (byte)i })], null, out _);
            Pass(200);
        }
    }

    public void Pass(int milliseconds)
    {
        for (var end = _now + milliseconds; _now < end;)
        {
            _now += 10;
            for (var node = 0; node < Nodes; node++)
            {
                if (!_down.Contains(node)) Cores[node].Tick(_now);
            }

            Settle();
        }
    }

    /// <summary>All nodes stand still: what arrives meanwhile is handled after their clocks have been looked at again.</summary>
    public void Freeze(int milliseconds) => _now += milliseconds;

    private static NodeId Id(int node) => new((ushort)(node + 1));

    private void Connect(int node, bool isConnected)
    {
        for (var other = 0; other < Nodes; other++)
        {
            if (other == node || _down.Contains(other) || Cores[other] is null) continue;
            Cores[other].PeerConnected(Id(node), isConnected);
            Cores[node].PeerConnected(Id(other), isConnected);
        }
    }

    private void Settle()
    {
        var steps = 0;
        do
        {
            Require(++steps < 100_000, "the cores do not come to rest");
            for (var node = 0; node < Nodes; node++)
            {
                if (!_down.Contains(node)) CarryOut(node);
            }

            if (!IsDue || !_network.TryDequeue(out var message, out _) || _down.Contains(message.To.Value - 1)) continue;
            var core = Cores[message.To.Value - 1];
            core.AdvanceClock(_now);
            core.Step(message);
            CarryOut(message.To.Value - 1);
        }
        while (IsDue);
    }

    private bool IsDue => _network.TryPeek(out _, out var next) && next.DueMs <= _now;

    private void CarryOut(int node)
    {
        var released = new List<Message>();
        var ready = Cores[node].TakeReady();
        foreach (var outbound in ready.Messages) _gates[node].Add(outbound, released);
        var committed = ready.Committed.Count > 0 ? ready.Committed[^1].Index : 0;
        if (ready.LivesChanged) Disks[node] = Disks[node] with { Conflict = Cores[node].Conflict };
        if (ready.Write is { } write && node != Hangs)
        {
            var disk = Disks[node];
            Disks[node] = disk with
            {
                HardState = write.HardState,
                Known = write.Lives ?? disk.Known,
                Entries = write.Entries.Length == 0 ? disk.Entries : [.. disk.Entries.Take((int)write.Previous.Index), .. write.Entries],
            };
            Cores[node].WriteDone(write.Sequence);
            _gates[node].WriteDone(write.Sequence, released);
        }

        if (committed > 0) Cores[node].Applied(committed);
        foreach (var message in released) _network.Enqueue(message, (_now + DelayMs(message), ++_sent));
    }
}

/// <summary>All that a node keeps.</summary>
internal sealed record NodeDisk
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
