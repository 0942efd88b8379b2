using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>One thing that a node does to the world; exactly one field is set.</summary>
internal readonly struct NodeEvent
{
    public LogEntry? Committed { get; init; }

    public ReadState? Read { get; init; }

    public ExploredMessage? Sent { get; init; }
}

/// <summary>A step of one node. The core is deterministic, so equal nodes with equal inputs take equal steps: the real core takes it once, and it
/// counts wherever the node is in this state, whatever the others do.</summary>
/// <param name="After">The node afterwards, shared; null if nothing comes of the input.</param>
/// <param name="Events">What it does to the world, in order.</param>
/// <param name="IsLogChanged">Whether its log has to be compared with the others'.</param>
/// <param name="Violation">A rule that the node breaks by itself.</param>
internal sealed record NodeStep(ExploredNode? After, NodeEvent[] Events, bool IsLogChanged, ViolationException? Violation)
{
    public static readonly NodeStep Nothing = new(null, [], false, null);
}

/// <summary>A shared node and its input.</summary>
internal readonly record struct StepKey(ExploredNode Node, ExploredMessage? Message, ActionKind Kind, byte Argument);
