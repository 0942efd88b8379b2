using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>Inputs of the core and what belongs to it.</summary>
internal abstract record LoopInput
{
    internal sealed record Received(Messages.Message Message, Transport.InboundBudget Budget, int Bytes) : LoopInput;

    internal sealed record Written(ulong Sequence) : LoopInput;

    internal sealed record Applied(EntryId Last) : LoopInput;

    internal sealed record ProposeLocal(PendingProposal Proposal) : LoopInput;

    internal sealed record ProposeForPeer(
        ProposalId Id, ReadOnlyMemory<byte> Command, ulong? ExpectedEpoch, TaskCompletionSource<(ProposalRefusal, EntryId)> Answer) : LoopInput;

    /// <summary>The leader's answer to a forwarded proposal; a refusal of null means that the connection broke.</summary>
    internal sealed record Forwarded(PendingProposal Proposal, ProposalRefusal? Refusal, EntryId Place) : LoopInput;

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
