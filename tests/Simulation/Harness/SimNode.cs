using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>One simulated process with its disks: the production core, gate, log, snapshot store and receiver. What is volatile is gone
/// after a crash; disks, incarnation and what the checker remembers stay.</summary>
/// <param name="id">Given once.</param>
/// <param name="initial">Whom it takes for the members while neither log nor snapshot says otherwise.</param>
/// <param name="ratePermille">How much faster than true time its clock runs.</param>
/// <param name="random">Its own.</param>
/// <param name="power">Of its disks.</param>
internal sealed class SimNode(NodeId id, Configuration initial, int ratePermille, Xoshiro random, DiskPower power)
{
    public NodeId Id { get; } = id;

    public Configuration Initial { get; } = initial;

    public Xoshiro Random { get; } = random;

    public DiskPower Power => power;

    public SimDisk Disk { get; } = new(random.Fork(), power);

    public SimSnapshotDisk SnapshotDisk { get; } = new(random.Fork(), power);

    public ShadowLog Shadow { get; } = new();

    public MemberImage Members { get; } = new();

    public ulong Incarnation { get; set; }

    /// <summary>Random identities of its starts, newest first; on its disk.</summary>
    public List<ulong> Starts { get; } = [];

    /// <summary>What the directory was last seeded anew with.</summary>
    public (Promised Forgiven, EntryId Floor) Seeded { get; set; }

    /// <summary>What is known of the peers' lives, on its disk.</summary>
    public IReadOnlyList<KnownLife> DurableLives { get; set; } = [];

    /// <summary>An older copy of its directory.</summary>
    public DirectoryCopy? Copy { get; set; }

    /// <summary>What the directory was before it was put back, where the operator has kept it.</summary>
    public DirectoryCopy? Newer { get; set; }

    /// <summary>Does not start for a while.</summary>
    public bool IsAway { get; set; }

    /// <summary>The directory was put back to an older copy, and was not seeded anew since.</summary>
    public bool IsOld { get; set; }

    /// <summary>What the node has found out about that; survives restarts.</summary>
    public OldDirectory? KnownOld { get; set; }

    /// <summary>What was on its disk before it was put back, and so acknowledged.</summary>
    public ShadowLog? Former { get; set; }

    /// <summary>Never comes back: its disk is damaged, or it was taken out of service.</summary>
    public bool IsGone { get; set; }

    /// <summary>Why it is gone, if its disk is to blame.</summary>
    public string? Damage { get; set; }

    /// <summary>Stays down while the rest is asked to live.</summary>
    public bool IsKeptDown { get; set; }

    /// <summary>Snapshots of wrong state: they are on this node's disk only.</summary>
    public HashSet<EntryId> Tainted { get; } = [];

    /// <summary>Set when a digest said that this node's state is wrong; survives restarts.</summary>
    public bool IsQuarantined { get; set; }

    /// <summary>Once this snapshot is here it takes the place of all that this node has.</summary>
    public EntryId? ReseedFrom { get; set; }

    // Volatile.
    public RaftCore? Core { get; set; }

    public WriteAheadLog? Wal { get; set; }

    public SnapshotStore? Store { get; set; }

    public SnapshotReceiver? Receiver { get; set; }

    public IncomingSnapshot? Incoming { get; set; }

    /// <summary>Who gave the last chunk of <see cref="Incoming"/>.</summary>
    public NodeId? ReceivesFrom { get; set; }

    public OutboundGate Gate { get; set; } = new();

    public IStateMachine? StateMachine { get; set; }

    /// <summary>The state differs from what the log says.</summary>
    public bool IsCorrupt { get; set; }

    /// <summary>Last index that the state machine has.</summary>
    public ulong Applied { get; set; }

    public Configuration AppliedConfiguration { get; set; } = Configuration.Empty;

    public ulong StateChain { get; set; }

    public SortedDictionary<ulong, ulong> OwnDigests { get; } = [];

    public Queue<ApplyItem> Applying { get; } = new();

    public bool IsApplying { get; set; }

    public bool IsWritingSnapshot { get; set; }

    /// <summary>What is to be written, each with the own time at which it was wanted.</summary>
    public List<(WriteBatch Batch, long SinceMs)> WriteQueue { get; } = [];

    public ulong CompactTo { get; set; }

    /// <summary>Given to the log, not flushed yet.</summary>
    public IReadOnlyList<KnownLife>? WrittenLives { get; set; }

    public bool IsFlushing { get; set; }

    /// <summary>The log could not grow; it is tried again soon.</summary>
    public bool IsAwaitingRoom { get; set; }

    /// <summary>Sequence of the last batch of which the log may hold something.</summary>
    public ulong WrittenSequence { get; set; }

    /// <summary>Own time at which the oldest unfinished write was wanted.</summary>
    public long WriteSinceMs { get; set; }

    public bool IsPaused { get; set; }

    public List<Action> WhilePaused { get; } = [];

    public ulong ProposalSequence { get; set; }

    public ulong ReadToken { get; set; }

    public SortedDictionary<ulong, ReadOnlyMemory<byte>> Proposals { get; } = [];

    /// <summary>Asked of the core, not answered yet.</summary>
    public SortedDictionary<ulong, Action<ReadState>> Reads { get; } = [];

    /// <summary>Confirmed at an index that the state machine does not have yet.</summary>
    public List<(ulong Index, Action Serve)> WaitingReads { get; } = [];

    // Memory of the checker for one process life; the term for ever.
    public ulong SeenTerm { get; set; }

    public ulong SeenCommit { get; set; }

    public Configuration? SeenConfiguration { get; set; }

    /// <summary>What <see cref="SeenConfiguration"/> was compared with.</summary>
    public Configuration? SeenImplied { get; set; }

    /// <summary>Index of the newest snapshot that the core knew.</summary>
    public ulong SeenSnapshot { get; set; }

    /// <summary>What each peer was known to match in the term that the node leads.</summary>
    public Dictionary<NodeId, ulong> SeenMatch { get; } = [];

    /// <summary>Of which life of each peer that was; 0 while the peer is refused.</summary>
    public Dictionary<NodeId, ulong> SeenStart { get; } = [];

    public ulong LedTerm { get; set; }

    public EntryId LedLast { get; set; }

    /// <summary>When the node last heard each peer while it led, by its own clock.</summary>
    public Dictionary<NodeId, long> HeardMs { get; } = [];

    public bool IsUp => Core is not null;

    /// <summary>The clock of this node: a rate and an offset of its own.</summary>
    public long LocalTime(long now) => 1000 + (Id.Value * 7919L) + (now * (1000 + ratePermille) / 1000);
}

/// <summary>What the state machine is to do next: apply entries, or take a snapshot's state first.</summary>
internal readonly record struct ApplyItem(LogEntry[] Entries, SnapshotMeta? Installed);
