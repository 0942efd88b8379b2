using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <summary>What a workload may see and do besides handing out commands: its processes live on the simulated nodes, use their clocks
/// and the same faulty network. Everything happens on the simulation's one thread.</summary>
public interface IClusterAccess
{
    /// <summary>All nodes, by id.</summary>
    IReadOnlyList<NodeId> Members { get; }

    /// <summary>The faults are over.</summary>
    bool IsHealed { get; }

    /// <summary>The healed cluster has served, and the clients ask for nothing more: only what is owed is still done.</summary>
    bool IsResting { get; }

    /// <summary>Virtual time, ms.</summary>
    long NowMs { get; }

    /// <summary>A node's own clock, ms: it counts at its own rate, through pauses and restarts.</summary>
    long ClockMs(NodeId node);

    /// <summary>The process runs (it may be paused).</summary>
    bool IsUp(NodeId node);

    /// <summary>The process is stopped by a signal: its timers must not act.</summary>
    bool IsPaused(NodeId node);

    /// <summary>Grows with each start of the node's process; 1 and up.</summary>
    ulong IncarnationOf(NodeId node);

    /// <summary>The term in which a node leads and has applied an entry of its own; 0 if it does not.</summary>
    ulong LeadingTermOf(NodeId node);

    /// <summary>Whom a node takes for the leader.</summary>
    NodeId? LeaderSeenBy(NodeId node);

    /// <summary>The state machine of a node that is up, else null.</summary>
    IStateMachine? StateMachineOf(NodeId node);

    /// <summary>Does something later.</summary>
    void At(long delayMs, Action action);

    /// <summary>Sends a message between two nodes: it may be lost, late, or wait for a paused receiver. Within a node it arrives at once.</summary>
    void Send(NodeId from, NodeId to, Action arrived);

    /// <summary>Begins a quorum read barrier on a node. The action runs once it is confirmed and the node has applied as much; never if it fails.</summary>
    void ReadBarrier(NodeId node, Action confirmed);

    /// <summary>Proposes on a node.</summary>
    /// <returns>False if it was refused: it is not in the log and never will be.</returns>
    bool Propose(NodeId node, ReadOnlyMemory<byte> command, ulong? expectedTerm);

    /// <summary>Ends a process; it is started again.</summary>
    void Restart(NodeId node);

    /// <summary>Tells a node's core who shall lead only while nobody else can.</summary>
    void AvoidLeaders(NodeId node, IReadOnlyCollection<NodeId> members);

    /// <summary>Puts a fact into the trace and its hash.</summary>
    void Trace(string kind, NodeId node, ulong a, ulong b);
}
