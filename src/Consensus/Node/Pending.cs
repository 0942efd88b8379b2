using System.Threading.Tasks.Sources;
using RaftMirror.Consensus.Core;

namespace RaftMirror.Consensus.Node;

/// <summary>Where a proposal of this node stands. Changed by whoever has the core.</summary>
internal enum ProposalStage
{
    /// <summary>In no log: no leader is known, or the last one refused it.</summary>
    Waiting,

    /// <summary>On its way to another node: may or may not be in a log.</summary>
    Forwarding,

    /// <summary>In a leader's log at a known place.</summary>
    Appended,
}

/// <summary>A proposal made on this node that has no outcome yet. It is what its proposer awaits.</summary>
internal sealed class PendingProposal(ulong sequence, ReadOnlyMemory<byte> command, ulong? expectedEpoch, long deadlineMs)
    : IValueTaskSource<CommitResult>
{
    // The proposer goes on elsewhere: whoever finishes it may have the core.
    private ManualResetValueTaskSourceCore<CommitResult> _source = new() { RunContinuationsAsynchronously = true };
    private int _isFinished;

    public ulong Sequence { get; } = sequence;

    public ReadOnlyMemory<byte> Command { get; } = command;

    public ulong? ExpectedEpoch { get; } = expectedEpoch;

    public long DeadlineMs { get; } = deadlineMs;

    public ProposalStage Stage { get; set; }

    public EntryId Place { get; set; }

    /// <summary>To be awaited once.</summary>
    public ValueTask<CommitResult> Outcome => new(this, _source.Version);

    /// <summary>The first outcome counts. Any thread.</summary>
    public void Finish(in CommitResult result)
    {
        if (Interlocked.Exchange(ref _isFinished, 1) == 0) _source.SetResult(result);
    }

    public void Finish(ProposalOutcome outcome, string reason) => Finish(new CommitResult(outcome, default, default, reason));

    CommitResult IValueTaskSource<CommitResult>.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<CommitResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<CommitResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}

/// <summary>Inputs of the core and what belongs to it.</summary>
internal abstract record LoopInput
{
    internal sealed record Received(Messages.Message Message, Transport.InboundBudget Budget, int Bytes) : LoopInput;

    internal sealed record Written(ulong Sequence) : LoopInput;

    internal sealed record Applied(EntryId Last) : LoopInput;

    internal sealed record ProposeLocal(PendingProposal Proposal) : LoopInput;

    internal sealed record ProposeForPeer(
        ProposalId Id, ReadOnlyMemory<byte> Command, ulong? ExpectedEpoch, TaskCompletionSource<(Refusal, EntryId)> Answer) : LoopInput;

    /// <summary>The leader's answer to a forwarded proposal; a refusal of null means that the connection broke.</summary>
    internal sealed record Forwarded(PendingProposal Proposal, Refusal? Refusal, EntryId Place) : LoopInput;

    internal sealed record ReadIndex(TaskCompletionSource<ReadState> Answer, bool MayUseLease) : LoopInput;

    internal sealed record ChangeMembers(MembershipChange Change, TaskCompletionSource<string?> Answer) : LoopInput;

    internal sealed record SnapshotTaken(SnapshotMeta Snapshot) : LoopInput;

    internal sealed record SnapshotReceived(SnapshotMeta Snapshot) : LoopInput;

    internal sealed record Digest(ulong Index, ulong Value) : LoopInput;

    internal sealed record ReadLog(ulong From, int Count, TaskCompletionSource<LogView> Answer) : LoopInput;

    /// <summary>This node's state is not to be trusted.</summary>
    internal sealed record Bar : LoopInput;

    /// <summary>Who shall lead only while nobody else can.</summary>
    internal sealed record Avoid(IReadOnlyCollection<NodeId> Members) : LoopInput;

    /// <summary>A connection on which this peer spoke has ended.</summary>
    internal sealed record PeerLost(NodeId Peer) : LoopInput;

    /// <summary>The way to this peer is open, or is not any more.</summary>
    internal sealed record PeerConnected(NodeId Peer, bool IsConnected) : LoopInput;

    /// <summary>The replicated state, a disk, or a peer that does not let this node in, knows a life that this directory does not remember.</summary>
    internal sealed record DisksSaid(IReadOnlyList<(string Disk, Testimony Said)> Testimonies, bool AreAllAsked) : LoopInput;

    internal sealed record FoundOld(KnownLife Known, NodeId By = default) : LoopInput;

    internal sealed record AskStand(TaskCompletionSource<Promised> Answer) : LoopInput;

    /// <summary>Where this node stands, for one that gives its own history up; without leading only if forced. Null if not.</summary>
    internal sealed record AskSeed(bool IsForced, TaskCompletionSource<SeedPoint?> Answer) : LoopInput;

    internal sealed record Transfer(NodeId? Target, TaskCompletionSource<string?> Answer) : LoopInput;
}

/// <summary>What is to be applied: a snapshot, if one is given, then entries. News: not only commands, or roles or members have changed.</summary>
internal readonly record struct ApplyInput(SnapshotMeta? Installed, LogEntry[] Entries, bool IsNews);

/// <summary>What the log thread is to do: write, if there is something to write; then, once it is durable, drop what is not needed any more.</summary>
internal readonly record struct LogInput(WriteBatch? Write, ulong CompactTo);

/// <summary>A snapshot to be written.</summary>
internal sealed record SnapshotJob(EntryId Last, Configuration Configuration, ulong StateChain, ISnapshotSource Source);

/// <summary>What whoever has the core publishes for other threads; immutable.</summary>
internal sealed record CoreView(
    RaftRole Role, ulong Term, NodeId? Leader, ulong Commit, ulong Last, ulong FirstOwnIndex, IReadOnlyList<MemberStatus> Members,
    bool IsChanging);
