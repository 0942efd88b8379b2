using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Several cores on one clock, with a network and disks that do what a test says and by default everything at once. One thread.</summary>
internal sealed class CoreCluster
{
    private const int MaxSteps = 100_000;
    private const int StepMs = 10;

    private readonly Queue<Message> _network = new();
    private readonly Configuration _initial;
    private readonly RaftCoreOptions _options;
    private readonly bool _hasLives;
    private ulong _starts;

    /// <summary>A cluster that nobody leads yet.</summary>
    /// <param name="voters">Nodes 1 to this many; they know the configuration from the start.</param>
    /// <param name="options">Of all of them.</param>
    /// <param name="spares">Nodes after these that know of nobody.</param>
    /// <param name="priorities">Of the voters, where they are not the default.</param>
    public CoreCluster(int voters, RaftCoreOptions? options = null, int spares = 0, params byte[] priorities)
        : this(voters, hasLives: false, options, spares, priorities)
    {
    }

    /// <param name="hasLives">Nodes guard against directories that were put back.</param>
    public CoreCluster(int voters, bool hasLives, RaftCoreOptions? options = null, int spares = 0, params byte[] priorities)
    {
        _hasLives = hasLives;
        _options = options ?? new RaftCoreOptions();
        NodeId[] ids = [.. Enumerable.Range(1, voters).Select(Id)];
        _initial = new Configuration(
            ids, details: ids.Zip(priorities, (id, priority) => new Member(id, string.Empty, string.Empty, priority)));
        for (var id = 1; id <= voters + spares; id++)
        {
            var node = new CoreNode(Id(id));
            node.Core = Core(Id(id), id <= voters ? _initial : Configuration.Empty, node);
            Nodes.Add(node);
        }
    }

    public List<CoreNode> Nodes { get; } = [];

    public long NowMs { get; private set; } = 10_000;

    /// <summary>Every message that left a node.</summary>
    public List<Message> Sent { get; } = [];

    /// <summary>Nodes that start from now on wait until the disks were asked.</summary>
    public bool AsksDisks { get; set; }

    /// <summary>What is lost on the way.</summary>
    public Func<Message, bool> Loses { get; set; } = _ => false;

    /// <summary>What is kept in <see cref="Held"/> until the test delivers it.</summary>
    public Func<Message, bool> Holds { get; set; } = _ => false;

    public List<Message> Held { get; } = [];

    public RaftCore this[int id] => Nodes[id - 1].Core;

    /// <summary>Who leads in the newest term.</summary>
    public int Leader => Nodes.Where(node => node.Core.Role == RaftRole.Leader).MaxBy(node => node.Core.Term)?.Id.Value ?? 0;

    public static NodeId Id(int id) => new((ushort)id);

    public static MembershipChange Change(MembershipAction action, int id, string name = "", byte priority = Member.DefaultPriority) =>
        new(action, new Member(Id(id), name, string.Empty, priority));

    public void Isolate(params int[] ids) => Loses = message => ids.Contains(message.From.Value) != ids.Contains(message.To.Value);

    public void Heal() => Loses = _ => false;

    /// <summary>All effects and messages until nothing is left to do.</summary>
    public void Settle()
    {
        for (var step = 0; step < MaxSteps; step++)
        {
            foreach (var node in Nodes) Pump(node);
            if (!_network.TryDequeue(out var message)) return;
            Deliver(message);
        }

        Assert.Fail("The cluster does not come to rest.");
    }

    public void Deliver(Message message)
    {
        if (Loses(message)) return;
        var core = this[message.To.Value];
        core.AdvanceClock(NowMs);
        core.Step(message);
    }

    /// <summary>Time passes in small steps, as long as is said.</summary>
    public void Pass(int milliseconds)
    {
        for (var end = NowMs + milliseconds; NowMs < end;)
        {
            NowMs += Math.Min(StepMs, end - NowMs);
            foreach (var node in Nodes) node.Core.Tick(NowMs);
            Settle();
        }
    }

    /// <summary>Time passes and no timer fires.</summary>
    public void Skip(int milliseconds)
    {
        NowMs += milliseconds;
        foreach (var node in Nodes) node.Core.AdvanceClock(NowMs);
    }

    /// <summary>The node campaigns when nobody else does.</summary>
    public void Elect(int id)
    {
        if (this[id].Role == RaftRole.Leader)
        {
            Skip(2 * _options.ElectionTimeoutMaxMs);
            this[id].Tick(NowMs);
        }

        Skip(2 * _options.ElectionTimeoutMaxMs);
        this[id].Tick(NowMs);
        Settle();
        Assert.Equal(RaftRole.Leader, this[id].Role);
    }

    public EntryId Propose(int id, byte value = 1, int bytes = 1)
    {
        var payload = new byte[bytes];
        payload[0] = value;
        Assert.Equal(ProposalRefusal.None, this[id].Propose([(default, payload)], null, out var first));
        Settle();
        return first;
    }

    /// <summary>Changes members and lets it run to its end.</summary>
    public string? ChangeMembers(int leader, params MembershipChange[] changes)
    {
        var error = this[leader].ChangeMembers(changes, out _);
        Settle();
        return error;
    }

    /// <summary>The state machine of a node writes a snapshot of what it has applied.</summary>
    public SnapshotMeta TakeSnapshot(int id)
    {
        var core = this[id];
        var last = new EntryId(core.Log.TermAt(core.AppliedIndex), core.AppliedIndex);
        var snapshot = new SnapshotMeta(last, core.ConfigurationAt(last.Index), 100, 7);
        Nodes[id - 1].Snapshots.Add(snapshot);
        core.SnapshotTaken(snapshot);
        Settle();
        return snapshot;
    }

    /// <summary>The node dies with all writes that are not done, and starts from its disk.</summary>
    public void Restart(int id)
    {
        var node = Nodes[id - 1];
        node.Crash();
        node.Core = Core(Id(id), id <= _initial.Voters.Length ? _initial : Configuration.Empty, node);
        Settle();
    }

    /// <summary>The node dies and starts from an older copy of its disk.</summary>
    public void PutBack(int id, CoreNode copy)
    {
        Nodes[id - 1].PutBack(copy);
        Restart(id);
    }

    private RaftCore Core(NodeId id, Configuration initial, CoreNode disk)
    {
        LifeStart? lives = null;
        if (_hasLives)
        {
            disk.Starts.Insert(0, ++_starts);
            var life = new NodeLife(
                (ulong)disk.Starts.Count, [.. disk.Starts], new Promised(disk.HardState.Term, disk.Last.Index), disk.Seeded.Forgiven, disk.Seeded.Floor);
            lives = new LifeStart(life, disk.Known, IsHeldBack: AsksDisks);
        }

        return new RaftCore(
            id, initial, _options, disk.HardState, disk.Start, disk.Entries, disk.Snapshots.LastOrDefault(), new Xoshiro(id.Value), NowMs, lives);
    }

    private void Pump(CoreNode node)
    {
        var released = new List<Message>();
        do
        {
            var ready = node.Take(released);
            if (ready.Offer is { } offer && node.FetchesSnapshots && !Loses(new Message { Kind = default, From = offer.From, To = node.Id, Term = 0 }))
            {
                var snapshot = Nodes[offer.From.Value - 1].Snapshots.Find(known => known.Last == offer.Last);
                if (snapshot is not null) node.Install(snapshot);
            }
        }
        while (node.HasWork(released));

        foreach (var message in released)
        {
            Sent.Add(message);
            if (Holds(message)) Held.Add(message);
            else _network.Enqueue(message);
        }
    }
}

/// <summary>One core with a gate, a disk and a state machine that only remembers what it applied.</summary>
internal sealed class CoreNode(NodeId id)
{
    private OutboundGate _gate = new();

    public NodeId Id { get; } = id;

    public RaftCore Core { get; set; } = null!;

    /// <summary>Writes that have begun and not finished.</summary>
    public Queue<WriteBatch> Writes { get; } = new();

    /// <summary>False: writes finish only by <see cref="FinishWrite"/>.</summary>
    public bool Flushes { get; set; } = true;

    /// <summary>False: committed entries are not applied.</summary>
    public bool Applies { get; set; } = true;

    public bool FetchesSnapshots { get; set; } = true;

    public List<LogEntry> Applied { get; } = [];

    public List<ReadState> Reads { get; } = [];

    public List<SnapshotMeta> Snapshots { get; } = [];

    public List<EntryId> Offers { get; } = [];

    public List<SnapshotMeta> Installed { get; } = [];

    // The disk.
    public HardState HardState { get; private set; }

    public EntryId Start { get; private set; }

    public List<LogEntry> Entries { get; } = [];

    public List<ulong> Starts { get; } = [];

    public KnownLife[] Known { get; private set; } = [];

    public (Promised Forgiven, EntryId Floor) Seeded { get; set; }

    public EntryId Last => Entries.Count == 0 ? Start : Entries[^1].Id;

    public Ready Take(List<Message> released)
    {
        var ready = Core.TakeReady();
        foreach (var outbound in ready.Messages) _gate.Add(outbound, released);
        if (ready.Write is { } write) Writes.Enqueue(write);
        if (ready.CompactTo > 0) CompactTo(ready.CompactTo);
        Reads.AddRange(ready.Reads);
        if (ready.Offer is { } offer) Offers.Add(offer.Last);
        if (ready.Installed is { } installed) Installed.Add(installed);
        Applied.AddRange(ready.Committed);
        if (Applies && ready.Committed.Count > 0) Core.Applied(ready.Committed[^1].Index);
        return ready;
    }

    public bool HasWork(List<Message> released)
    {
        if (!Flushes || Writes.Count == 0) return false;
        FinishWrite(released);
        return true;
    }

    /// <summary>The oldest write reaches the disk.</summary>
    public void FinishWrite(List<Message> released)
    {
        var write = Writes.Dequeue();
        HardState = write.HardState;
        Known = write.Lives ?? Known;
        if (write.IsReset)
        {
            Entries.Clear();
            Start = write.Previous;
        }
        else if (write.Entries.Length > 0) Entries.RemoveAll(entry => entry.Index >= write.Entries[0].Index);

        Entries.AddRange(write.Entries.Where(entry => entry.Index > Start.Index));
        Core.WriteDone(write.Sequence);
        _gate.WriteDone(write.Sequence, released);
    }

    public bool Install(SnapshotMeta snapshot)
    {
        Snapshots.Add(snapshot);
        var isInstalled = Core.InstallSnapshot(snapshot);
        if (isInstalled && Applies) Core.Applied(snapshot.Last.Index);
        return isInstalled;
    }

    /// <summary>What is on the disk now.</summary>
    public CoreNode CopyDisk()
    {
        var copy = new CoreNode(Id);
        copy.PutBack(this);
        return copy;
    }

    public void PutBack(CoreNode copy)
    {
        (HardState, Start, Known, Seeded) = (copy.HardState, copy.Start, copy.Known, copy.Seeded);
        Entries.Clear();
        Entries.AddRange(copy.Entries);
        Starts.Clear();
        Starts.AddRange(copy.Starts);
        Snapshots.Clear();
        Snapshots.AddRange(copy.Snapshots);
    }

    /// <summary>Its history is given up.</summary>
    public void Clear(HardState hardState)
    {
        PutBack(new CoreNode(Id));
        HardState = hardState;
    }

    public void Crash()
    {
        Writes.Clear();
        _gate = new OutboundGate();
        Applied.Clear();
        Reads.Clear();
    }

    private void CompactTo(ulong index)
    {
        var position = Entries.FindIndex(entry => entry.Index == index);
        if (position < 0) return;
        Start = Entries[position].Id;
        Entries.RemoveRange(0, position + 1);
    }
}
