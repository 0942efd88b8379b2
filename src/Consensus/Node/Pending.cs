using RaftMirror.Consensus.Core;

namespace RaftMirror.Consensus.Node;

/// <summary>Where a proposal of this node stands. Changed by the loop thread only.</summary>
internal enum ProposalStage
{
    /// <summary>In no log: no leader is known, or the last one refused it.</summary>
    Waiting,

    /// <summary>On its way to another node: may or may not be in a log.</summary>
    Forwarding,

    /// <summary>In a leader's log at a known place.</summary>
    Appended,
}

/// <summary>A proposal made on this node that has no outcome yet.</summary>
internal sealed class PendingProposal(ulong sequence, ReadOnlyMemory<byte> command, ulong? expectedEpoch, long deadlineMs)
{
    public ulong Sequence { get; } = sequence;

    public ReadOnlyMemory<byte> Command { get; } = command;

    public ulong? ExpectedEpoch { get; } = expectedEpoch;

    public long DeadlineMs { get; } = deadlineMs;

    public ProposalStage Stage { get; set; }

    public EntryId Place { get; set; }

    public TaskCompletionSource<CommitResult> Outcome { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Finish(ProposalOutcome outcome, string reason) =>
        Outcome.TrySetResult(new CommitResult(outcome, default, default, reason));
}

/// <summary>Inputs of the loop thread besides messages.</summary>
internal abstract record LoopInput
{
    internal sealed record Received(Messages.Message Message, Transport.InboundBudget Budget, int Bytes) : LoopInput;

    internal sealed record Written(ulong Sequence) : LoopInput;

    internal sealed record Applied(ulong Index) : LoopInput;

    internal sealed record ProposeLocal(PendingProposal Proposal) : LoopInput;

    internal sealed record ProposeForPeer(
        ProposalId Id, ReadOnlyMemory<byte> Command, ulong? ExpectedEpoch, TaskCompletionSource<(Refusal, EntryId)> Answer) : LoopInput;

    /// <summary>The leader's answer to a forwarded proposal; a refusal of null means that the connection broke.</summary>
    internal sealed record Forwarded(PendingProposal Proposal, Refusal? Refusal, EntryId Place) : LoopInput;

    internal sealed record ReadIndex(TaskCompletionSource<(Refusal, ulong)> Answer) : LoopInput;

    internal sealed record ChangeMembers(MembershipChange Change, TaskCompletionSource<string?> Answer) : LoopInput;

    internal sealed record SnapshotTaken(SnapshotMeta Snapshot) : LoopInput;

    internal sealed record SnapshotReceived(SnapshotMeta Snapshot) : LoopInput;

    internal sealed record Digest(ulong Index, ulong Value) : LoopInput;

    internal sealed record ReadLog(ulong From, int Count, TaskCompletionSource<LogView> Answer) : LoopInput;

    /// <summary>This node's state is not to be trusted.</summary>
    internal sealed record Bar : LoopInput;

    /// <summary>A connection on which this peer spoke has ended.</summary>
    internal sealed record PeerLost(NodeId Peer) : LoopInput;

    internal sealed record Transfer(NodeId? Target, TaskCompletionSource<string?> Answer) : LoopInput;
}

/// <summary>What the apply thread is to do: restore, if a snapshot is given, then apply.</summary>
internal readonly record struct ApplyInput(SnapshotMeta? Installed, LogEntry[] Entries);

/// <summary>What the log thread is to do: write, if there is something to write; then, once it is durable, drop what is not needed any more.</summary>
internal readonly record struct LogInput(WriteBatch? Write, ulong CompactTo);

/// <summary>A snapshot to be written.</summary>
internal sealed record SnapshotJob(EntryId Last, Configuration Configuration, ulong StateChain, ISnapshotSource Source);

/// <summary>What the loop thread publishes for other threads; immutable.</summary>
internal sealed record CoreView(
    RaftRole Role, ulong Term, NodeId? Leader, ulong Commit, ulong Last, ulong FirstOwnIndex, IReadOnlyList<MemberStatus> Members,
    bool IsChanging);
