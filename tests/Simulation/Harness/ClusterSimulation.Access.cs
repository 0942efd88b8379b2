using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <content>The cluster as the workload's own processes see it.</content>
internal sealed partial class ClusterSimulation : IClusterAccess
{
    IReadOnlyList<NodeId> IClusterAccess.Members => _initial.Members;

    bool IClusterAccess.IsHealed => _isHealed;

    bool IClusterAccess.IsResting => _isResting;

    long IClusterAccess.NowMs => _now;

    long IClusterAccess.ClockMs(NodeId node) => _nodes[node].LocalTime(_now);

    bool IClusterAccess.IsUp(NodeId node) => _nodes[node].IsUp;

    bool IClusterAccess.IsPaused(NodeId node) => _nodes[node].IsPaused;

    ulong IClusterAccess.IncarnationOf(NodeId node) => _nodes[node].Incarnation;

    ulong IClusterAccess.LeadingTermOf(NodeId node) =>
        _nodes[node].Core is { Role: RaftRole.Leader } core && core.AppliedIndex >= core.FirstOwnIndex ? core.Term : 0;

    NodeId? IClusterAccess.LeaderSeenBy(NodeId node) => _nodes[node].Core?.Leader;

    IStateMachine? IClusterAccess.StateMachineOf(NodeId node) => _nodes[node].IsUp ? _nodes[node].StateMachine : null;

    void IClusterAccess.At(long delayMs, Action action) => At(delayMs, action);

    void IClusterAccess.Send(NodeId from, NodeId to, Action arrived)
    {
        if (from == to) arrived();
        else Carry(from, to, _ => arrived());
    }

    void IClusterAccess.ReadBarrier(NodeId node, Action confirmed) => BeginRead(_nodes[node], confirmed);

    bool IClusterAccess.Propose(NodeId node, ReadOnlyMemory<byte> command, ulong? expectedTerm) =>
        Propose(_nodes[node], command, expectedTerm);

    void IClusterAccess.Restart(NodeId node)
    {
        if (_nodes[node].IsUp) Crash(_nodes[node], power: false);
    }

    void IClusterAccess.AvoidLeaders(NodeId node, IReadOnlyCollection<NodeId> members) => _nodes[node].Core?.Avoid(members);

    void IClusterAccess.Trace(string kind, NodeId node, ulong a, ulong b) => Trace(kind, node, a, b);
}
