using System.Collections.Immutable;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>What a command leads to: events, or a refusal and no events.</summary>
/// <param name="Result">For the proposer.</param>
/// <param name="Events">In order; empty if refused or nothing was left to do.</param>
/// <param name="State">The state after the events, without the bookkeeping of requests, position and log time.</param>
/// <param name="AtMs">Log time of the command, and of the state after it, unix ms.</param>
/// <param name="IsRemembered">False if the request id itself was refused, so that it must not enter the request table.</param>
public sealed record Decision(
    CommandResult Result, ImmutableArray<EventRecord> Events, ClusterState State, long AtMs, bool IsRemembered = true);

/// <summary>Carries a refusal out of a decision; never leaves the assembly.</summary>
internal sealed class RejectionException(string code, RejectionKind kind, bool isRetryable, string message) : Exception(message)
{
    public string Code { get; } = code;

    public RejectionKind Kind { get; } = kind;

    public bool IsRetryable { get; } = isRetryable;
}
