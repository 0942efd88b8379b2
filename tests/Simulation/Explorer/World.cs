using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Explorer;

/// <summary>One state of a whole cluster. Copies share what is the same; <see cref="Next"/> changes none but the copy.</summary>
internal sealed partial class World
{
    /// <summary>The time, always.</summary>
    private const long NowMs = 1_000_000;

    /// <summary>Longer than every timeout.</summary>
    private const long LongMs = 100_000;

    private readonly Scenario _scenario;
    private readonly byte[][] _namings;
    private readonly ExploredNode[] _nodes;
    private readonly Interned _interned;

    // Arrays are replaced, never written to.
    private ExploredMessage[] _network = [];
    private SnapshotMeta[] _snapshots = [];
    private Budget _used;

    /// <summary>Where a scenario begins.</summary>
    public World(Scenario scenario)
    {
        _scenario = scenario;
        _namings = Namings(scenario);
        _interned = new Interned(scenario.Nodes);
        _leaders = new byte[scenario.MaxTerm + 2];
        _votes = new byte[scenario.Nodes * (int)(scenario.MaxTerm + 2)];
        _committed = [.. (scenario.Disks?[0].Entries ?? []).Take(scenario.Committed)];
        _committedIn = new ulong[_committed.Length];
        _nodes = new ExploredNode[scenario.Nodes];
        for (var i = 0; i < _nodes.Length; i++)
        {
            var (hardState, entries) = scenario.Disks?[i] ?? (default, []);
            var disk = new ExploredDisk(hardState, default, entries, null);
            _nodes[i] = new ExploredNode { Core = Start(i, disk), Disk = disk };
            var step = Run(i, isRestart: true, _ => true);
            if (step.Violation is not null) throw step.Violation;
            Carry(step, i, isRestart: true);
        }
    }

    private World(World other, Scenario scenario)
    {
        _scenario = scenario;
        _namings = other._namings;
        _nodes = [.. other._nodes];
        _interned = other._interned;
        _network = other._network;
        _snapshots = other._snapshots;
        _used = other._used;
        _leaders = other._leaders;
        _votes = other._votes;
        _committed = other._committed;
        _committedIn = other._committedIn;
        _readFloors = other._readFloors;
        _readers = other._readers;
    }

    /// <summary>A node's core, not to be stepped.</summary>
    public RaftCore CoreOf(int index) => _nodes[index].Core;

    /// <summary>States of single nodes met so far in this search.</summary>
    public int NodeStates => _interned.NodeStates;

    /// <summary>The world after a path.</summary>
    /// <param name="scenario">Where it begins; its prelude comes first.</param>
    /// <param name="path">What happens.</param>
    /// <param name="log">Told of each step, with the messages that it is about.</param>
    public static World Replay(Scenario scenario, IEnumerable<ExplorerAction> path, Action<string>? log = null)
    {
        var world = Prepared(scenario);
        log?.Invoke($"       {world}");
        foreach (var action in path)
        {
            var possible = new List<ExplorerAction>();
            world.AddActions(possible);
            if (!possible.Contains(action)) throw new ArgumentException($"{action} cannot happen here.");
            log?.Invoke($"{action,-6} {world.Describe(action)}");
            world = world.Next(action) ?? throw new ArgumentException($"{action} cannot happen here.");
            log?.Invoke($"       {world}");
        }

        return world;
    }

    /// <summary>The world in which the search begins.</summary>
    public static World Prepared(Scenario scenario)
    {
        var world = new World(scenario with { Lost = [], MaxInFlight = byte.MaxValue });
        foreach (var step in scenario.Prelude.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (step == "*") world = world.Settled();
            else world = world.Next(ExplorerAction.ParsePath(step)[0]) ?? throw new ArgumentException($"{step} cannot happen here.");
        }

        return new World(world, scenario);
    }

    /// <summary>The name of this state: equal for states that cannot be told apart, nor by other names of their nodes.</summary>
    public UInt128 Fingerprint()
    {
        var least = UInt128.MaxValue;
        for (var i = 0; i < _namings.Length; i++) least = UInt128.Min(least, Fingerprint(i));
        return least;
    }

    /// <summary>Everything that can happen next.</summary>
    public void AddActions(List<ExplorerAction> actions)
    {
        var isFull = _network.Length > _scenario.MaxInFlight;
        for (var i = 0; i < _network.Length; i++)
        {
            if (isFull)
            {
                actions.Add(new ExplorerAction(ActionKind.Lose, (byte)i));
                continue;
            }

            actions.Add(new ExplorerAction(ActionKind.Deliver, (byte)i));
            if (_used.Duplicates < _scenario.Duplicates) actions.Add(new ExplorerAction(ActionKind.Duplicate, (byte)i));
            if (_used.Drops < _scenario.Drops) actions.Add(new ExplorerAction(ActionKind.Lose, (byte)i));
        }

        for (byte i = 0; i < _nodes.Length && !isFull; i++) AddActions(actions, i);
    }

    /// <summary>The world after something happened.</summary>
    /// <returns>Null if nothing comes of it.</returns>
    /// <exception cref="ViolationException">An invariant is broken.</exception>
    public World? Next(ExplorerAction action)
    {
        var world = new World(this, _scenario);
        var index = action.Kind is ActionKind.Deliver or ActionKind.Duplicate or ActionKind.Lose
            ? world.TakeMessage(action)
            : action.Target;
        if (index < 0) return world;
        world.Spend(action.Kind);
        var step = world.StepOf(action, index);
        if (step.Violation is not null) throw step.Violation;
        if (step.After is null || step.After.Core.Term >= (ulong)_leaders.Length) return null; // The second: handed over out of bounds.
        world.Carry(step, index, isRestart: action.Kind == ActionKind.Crash);
        return world;
    }

    public string Describe(ExplorerAction action) => action.Kind switch
    {
        ActionKind.Deliver or ActionKind.Duplicate or ActionKind.Lose => $"{action.Kind} {_network[action.Target].Message}",
        ActionKind.Crash => $"Crash of node {action.Target + 1}; {action.Argument} of {_nodes[action.Target].Writes.Length} writes are on its disk",
        _ => $"{action.Kind} at node {action.Target + 1}",
    };

    public override string ToString() => string.Join(" | ", _nodes.Select(node =>
        $"{node.Core.Self}:{node.Core.Role.ToString()[..3]} t{node.Core.Term} c{node.Core.Commit} ["
        + string.Join(' ', Enumerable.Range(0, (int)(node.Core.Log.LastIndex - node.Core.Log.Base.Index))
            .Select(i => node.Core.Log[node.Core.Log.FirstIndex + (ulong)i].Term))
        + $"] disk {node.Disk.HardState.Term}/{node.Disk.LastIndex} w{node.Writes.Length}"));

    /// <summary>All writes are done and all messages delivered, in order.</summary>
    private World Settled()
    {
        var world = this;
        while (true)
        {
            var writer = Array.FindIndex(world._nodes, node => node.Writes.Length > 0);
            if (writer < 0 && world._network.Length == 0) return world;
            world = world.Next(writer >= 0 ? new ExplorerAction(ActionKind.Write, (byte)writer) : new ExplorerAction(ActionKind.Deliver, 0))!;
        }
    }

    private void AddActions(List<ExplorerAction> actions, byte i)
    {
        var node = _nodes[i];
        var core = node.Core;
        if (node.Writes.Length > 0) actions.Add(new ExplorerAction(ActionKind.Write, i));
        for (byte survive = 0; _used.Crashes < _scenario.Crashes && survive <= node.Writes.Length; survive++)
            actions.Add(new ExplorerAction(ActionKind.Crash, i, survive));
        if (node.Offer is not null) actions.Add(new ExplorerAction(ActionKind.Install, i));
        if (_used.Snapshots < _scenario.Snapshots && core.AppliedIndex > (core.Snapshot?.Last.Index ?? 0))
            actions.Add(new ExplorerAction(ActionKind.Snapshot, i));
        if (core.Role != RaftRole.Leader)
        {
            if (core.Term < _scenario.MaxTerm && core.Configuration.IsVoter(core.Self)) actions.Add(new ExplorerAction(ActionKind.Timeout, i));
            return;
        }

        if (_used.StepDowns < _scenario.StepDowns) actions.Add(new ExplorerAction(ActionKind.StepDown, i));
        if (_used.Transfers < _scenario.Transfers) AddTransfers(actions, i);
        if (_used.Heartbeats < _scenario.Heartbeats) actions.Add(new ExplorerAction(ActionKind.Heartbeat, i));
        if (_used.Proposals < _scenario.Proposals) actions.Add(new ExplorerAction(ActionKind.Propose, i));
        if (_used.Changes < _scenario.Changes.Count) actions.Add(new ExplorerAction(ActionKind.Change, i));
        if (_used.Reads < _scenario.Reads) actions.Add(new ExplorerAction(ActionKind.Read, i));
    }

    private void AddTransfers(List<ExplorerAction> actions, byte i)
    {
        foreach (var voter in _nodes[i].Core.Configuration.Voters)
        {
            if (voter.Value != i + 1) actions.Add(new ExplorerAction(ActionKind.Transfer, i, (byte)voter.Value));
        }
    }

    /// <summary>Takes a message off the network.</summary>
    /// <returns>Whom it reaches; negative if nobody.</returns>
    private int TakeMessage(ExplorerAction action)
    {
        _arriving = _network[action.Target];
        if (action.Kind == ActionKind.Lose && _network.Length <= _scenario.MaxInFlight) _used.Drops++;
        if (action.Kind == ActionKind.Duplicate) _used.Duplicates++;
        else _network = [.. _network[..action.Target], .. _network[(action.Target + 1)..]];
        return action.Kind == ActionKind.Lose ? -1 : _arriving.Message.To.Value - 1;
    }

    private RaftCore Start(int index, ExploredDisk disk)
    {
        var initial = _scenario.Initial ?? new Configuration(Enumerable.Range(1, _scenario.Nodes).Select(id => new NodeId((ushort)id)));
        var core = new RaftCore(
            new NodeId((ushort)(index + 1)), initial, _scenario.Options, disk.HardState, disk.Start, disk.Entries, disk.Snapshot, new Xoshiro(1), NowMs);
        core.ForgetTime(NowMs);
        return core;
    }

    private UInt128 Fingerprint(int naming)
    {
        var names = _namings[naming];
        UInt128 sum = 0;
        for (var i = 0; i < _nodes.Length; i++)
        {
            var one = new StateHash();
            one.Add(names[i + 1]);
            one.Add(_nodes[i].Hashes[naming]);
            for (var term = 0; term < _leaders.Length; term++) one.Add(names[_votes[(i * _leaders.Length) + term]]);
            sum += one.Value;
        }

        foreach (var message in _network) sum += message.Hashes[naming];
        var hash = new StateHash();
        hash.Add(sum);
        hash.Add((ulong)_network.Length);
        foreach (var leader in _leaders) hash.Add(names[leader]);
        hash.Add((ulong)_committed.Length);
        foreach (var entry in _committed) hash.Add(entry);
        foreach (var term in _committedIn) hash.Add(term);
        for (var read = 0; read < _readFloors.Length; read++)
        {
            hash.Add(_readFloors[read]);
            hash.Add(names[_readers[read]]);
        }

        _used.AddTo(ref hash);
        return hash.Value;
    }

    private static byte[][] Namings(Scenario scenario)
    {
        byte[] identity = [.. Enumerable.Range(0, scenario.Nodes + 1).Select(i => (byte)i)];
        if (!scenario.IsSymmetric) return [identity];
        var all = new List<byte[]>();
        Permute(identity, 1, all);
        return [.. all];

        static void Permute(byte[] names, int from, List<byte[]> all)
        {
            if (from == names.Length) all.Add([.. names]);
            for (var i = from; i < names.Length; i++)
            {
                (names[from], names[i]) = (names[i], names[from]);
                Permute(names, from + 1, all);
                (names[from], names[i]) = (names[i], names[from]);
            }
        }
    }

    /// <summary>What has happened so far of what is bounded.</summary>
    private struct Budget
    {
        public int Proposals;
        public int Heartbeats;
        public int Crashes;
        public int Duplicates;
        public int Drops;
        public int Snapshots;
        public int Reads;
        public int Changes;
        public int StepDowns;
        public int Transfers;

        public readonly void AddTo(ref StateHash hash)
        {
            hash.Add((ulong)(Proposals + (Heartbeats << 8) + (Crashes << 16) + (Duplicates << 24)));
            hash.Add((ulong)(Drops + (Snapshots << 8) + (Reads << 16) + (Changes << 24)));
            hash.Add((ulong)(StepDowns + (Transfers << 8)));
        }
    }
}
