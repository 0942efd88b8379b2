using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>One simulated process with its disk: the production core, gate, log encoder and recovery. What is volatile is gone
/// after a crash; disk, incarnation and what the checker remembers stay.</summary>
internal sealed class SimNode(NodeId id, Xoshiro random)
{
    public NodeId Id { get; } = id;

    public Xoshiro Random { get; } = random;

    public SimDisk Disk { get; } = new(random.Fork());

    public ShadowLog Shadow { get; } = new();

    public ulong Incarnation { get; set; }

    // Volatile.
    public RaftCore? Core { get; set; }

    public WriteAheadLog? Wal { get; set; }

    public OutboundGate Gate { get; set; } = new();

    public IStateMachine? StateMachine { get; set; }

    public List<WriteBatch> WriteQueue { get; } = [];

    public bool IsFlushing { get; set; }

    public bool IsPaused { get; set; }

    public List<Action> WhilePaused { get; } = [];

    public ulong ProposalSequence { get; set; }

    public ulong ReadToken { get; set; }

    public SortedDictionary<ulong, ReadOnlyMemory<byte>> Proposals { get; } = [];

    public SortedDictionary<ulong, PendingRead> Reads { get; } = [];

    // Memory of the checker for one process life; the term for ever.
    public ulong SeenTerm { get; set; }

    public ulong SeenCommit { get; set; }

    public ulong LedTerm { get; set; }

    public EntryId LedLast { get; set; }

    public bool IsUp => Core is not null;

    /// <summary>The clock of this node: a rate and an offset of its own.</summary>
    public long LocalTime(long now) => 1000 + (Id.Value * 7919L) + (now * (1000 + (Id.Value * 3)) / 1000);
}

/// <summary>A read that was begun.</summary>
/// <param name="Floor">What was acknowledged before: the read must not miss it.</param>
/// <param name="Confirmed">What waits for it, or null.</param>
internal sealed record PendingRead(ulong Floor, Action? Confirmed);
