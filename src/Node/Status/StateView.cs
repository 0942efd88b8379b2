using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Status;

/// <summary>What status is computed from: the replicated state at one index and the figures that are not in it.</summary>
/// <param name="State">State, complete up to its index.</param>
/// <param name="Term">Term in which it was read.</param>
/// <param name="Leader">Leader's name, null if none is known.</param>
/// <param name="AnsweredBy">Node that composed the view.</param>
/// <param name="Consistency">How fresh it is.</param>
/// <param name="Live">Figures of the nodes that answered in time.</param>
internal sealed record StateView(
    ClusterState State, ulong Term, string? Leader, string AnsweredBy, ReadConsistency Consistency, LiveFigures Live);
