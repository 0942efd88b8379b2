using RaftMirror.Consensus;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>What clients of a simulated cluster do and expect. One per run.</summary>
public interface IWorkload
{
    /// <summary>A node's state machine, fresh: at its start and after each restart.</summary>
    IStateMachine CreateStateMachine(NodeId node);

    /// <summary>The next command. The same bytes may be returned again to model a client that repeats a command whose
    /// outcome it does not know.</summary>
    byte[] NextCommand(Xoshiro random);

    /// <summary>A proposal was acknowledged: with position and the state machine's result.</summary>
    void Acknowledged(ReadOnlyMemory<byte> command, LogPosition position, ReadOnlyMemory<byte> result);

    /// <summary>The outcome of a proposal is unknown to its client: it may be committed or not, now or later.</summary>
    void Unknown(ReadOnlyMemory<byte> command);

    /// <summary>A node applied a command; the hook for invariants over states, exactly-once among them.</summary>
    void Applied(NodeId node, IStateMachine stateMachine, LogPosition position, ReadOnlyMemory<byte> command, ReadOnlyMemory<byte> result);

    /// <summary>The cluster is healed and all nodes have applied the same: throws if something acknowledged is missing.</summary>
    void CheckEnd(IReadOnlyList<IStateMachine> stateMachines);
}
