using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>What clients of a simulated cluster do and expect. One per run.</summary>
public interface IWorkload
{
    /// <summary>A node's state machine, fresh: at its start and after each restart.</summary>
    IStateMachine CreateStateMachine(NodeId node);

    /// <summary>The cluster begins; for workloads with processes of their own.</summary>
    void Attach(IClusterAccess cluster)
    {
    }

    /// <summary>A node's process has started.</summary>
    void Booted(NodeId node)
    {
    }

    /// <summary>The members may change, nodes may be damaged for good, any node's state may go wrong, and any node takes commands.</summary>
    bool IsElastic => false;

    /// <summary>About so large are snapshots, if they are large.</summary>
    int SnapshotBytes => 0;

    /// <summary>A node's state was replaced by a snapshot's: what the entries before did is not seen one by one.</summary>
    void Restored(NodeId node, IStateMachine stateMachine)
    {
    }

    /// <summary>Makes a state wrong, as a bug or a flipped bit in memory would.</summary>
    void Corrupt(IStateMachine stateMachine)
    {
    }

    /// <summary>A linearizable read begins. What is returned checks the state from which it is served.</summary>
    Action<IStateMachine>? ReadBegun(Xoshiro random) => null;

    /// <summary>The next command, to be proposed on a node that believes it leads (elastic: on any node); null for none now. A client that
    /// does not know the outcome of a command may send it again.</summary>
    byte[]? NextCommand(NodeId leader, Xoshiro random);

    /// <summary>A proposal was acknowledged: with position and the state machine's result.</summary>
    void Acknowledged(ReadOnlyMemory<byte> command, LogPosition position, ReadOnlyMemory<byte> result);

    /// <summary>The outcome of a proposal is unknown to its client: it may be committed or not, now or later.</summary>
    void Unknown(ReadOnlyMemory<byte> command);

    /// <summary>A node applied a command; the hook for invariants over states, exactly-once among them.</summary>
    void Applied(NodeId node, IStateMachine stateMachine, LogPosition position, ReadOnlyMemory<byte> command, ReadOnlyMemory<byte> result);

    /// <summary>What a healed cluster, seen from its leader's state, still owes; null for nothing. A run fails if something stays owed.</summary>
    string? Unsettled(IStateMachine leader) => null;

    /// <summary>Added to the run's summary.</summary>
    string Summary => "";

    /// <summary>The cluster is healed and all nodes have applied the same: throws if something acknowledged is missing.</summary>
    void CheckEnd(IReadOnlyList<IStateMachine> stateMachines);
}
