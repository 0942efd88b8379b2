using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>What a command asks for. The record's name is the command's type in the log.</summary>
public abstract record CommandBody;

/// <summary>A command as it stands in the log.</summary>
/// <param name="Id">Request id, a UUIDv7: a repeat returns the first result.</param>
/// <param name="AtMs">The leader's clock when it proposed, unix ms; made monotone at apply.</param>
/// <param name="By">Who asked: a user, or "node:NAME".</param>
/// <param name="Traceparent">W3C trace context, or null.</param>
/// <param name="Body">What is asked.</param>
/// <param name="Digest">Of what a client asked (<see cref="RequestDigest"/>); null for a command that the cluster made itself.</param>
public sealed record CommandEnvelope(Guid Id, long AtMs, string By, string? Traceparent, CommandBody Body, string? Digest = null);

/// <summary>Names the cluster; the first command of all. The first one wins.</summary>
public sealed record BootstrapCluster(string Name, Guid ClusterId) : CommandBody;

/// <summary>Sets log time to what a majority of the voters' clocks say, since it is further from that than clocks may differ: some leader's clock
/// was wrong. Proposed by a leader.</summary>
/// <param name="ToMs">Unix ms.</param>
/// <param name="Clocks">Node → how far its clock is ahead of <paramref name="ToMs"/>, ms: the evidence, for people.</param>
public sealed record CorrectClock(long ToMs, ImmutableSortedDictionary<string, long> Clocks) : CommandBody;

/// <summary>A node's process has started. A repeat of the current incarnation only refreshes the addresses. Start: the process's random identity, 16
/// hexadecimal digits: another one for the same incarnation means that the node's directory was put back (design §14.24).</summary>
public sealed record RegisterNode(
    string Node, ushort NodeId, ulong Incarnation, string Api, string Peer, string Nbd) : CommandBody
{
    /// <summary>Identifies the boot of its machine; empty if it does not say.</summary>
    public string BootId { get; init; } = "";

    /// <summary>The process's random identity; empty if it does not say.</summary>
    public string Start { get; init; } = "";
}

/// <summary>A node stops cleanly. It asserts: clients are gone, all leg I/O has ended and was flushed, no region is dirty, it will do no
/// more I/O in this incarnation.</summary>
/// <param name="Node">Who.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Closed">Sets whose closing beat it made, or could not make on any disk. The last node of a set must name it.</param>
public sealed record StopNode(string Node, ulong Incarnation, ImmutableArray<string>? Closed = null) : CommandBody;

/// <summary>The leader has not heard from an incarnation.</summary>
public sealed record SuspectNode(string Node, ulong Incarnation, string Reason) : CommandBody;

/// <summary>A suspect asked for its lease again before it was fenced.</summary>
public sealed record ClearSuspicion(string Node, ulong Incarnation) : CommandBody;

/// <summary>An incarnation is proven gone.</summary>
public sealed record FenceNode(string Node, ulong Incarnation, FenceReceipt Receipt) : CommandBody;

/// <summary>Makes a disk set. Nodes get slot numbers by their numeric ids.</summary>
public sealed record CreateSet(
    string Set,
    Guid SetId,
    ImmutableArray<string> Nodes,
    int MaxNodes = 16,
    long MetadataBytes = 64L << 20,
    FencingKind Fencing = FencingKind.Lease) : CommandBody
{
    /// <summary>Age of a device call from which its disk counts as lost; part of the fencing horizon.</summary>
    public long DeviceTimeoutMs { get; init; } = SetState.DefaultDeviceTimeoutMs;
}

/// <summary>A node begins to serve the set, with the disks that it can use. Proposed by the node itself.</summary>
/// <param name="Set">Which.</param>
/// <param name="Node">Who.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="IsByOperator">Also joins a set that an operator made the node leave.</param>
public sealed record JoinSet(string Set, string Node, ulong Incarnation, bool IsByOperator = false) : CommandBody
{
    /// <summary>Disks that the node cannot use.</summary>
    public ImmutableArray<DiskComplaint> Disks { get; init; } = [];
}

/// <summary>A node leaves a set cleanly: it asserts for the set what <see cref="StopNode"/> asserts for all.</summary>
/// <param name="Set">Which.</param>
/// <param name="Node">Who.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="IsByOperator">It does not rejoin by itself.</param>
/// <param name="IsClosed">It made the set's closing beat, or could not make it on any disk. The last node of a set must.</param>
public sealed record LeaveSet(
    string Set, string Node, ulong Incarnation, bool IsByOperator = true, bool IsClosed = false) : CommandBody;

/// <summary>Adds a labelled disk.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Disk">Name.</param>
/// <param name="DiskId">In its label.</param>
/// <param name="SizeBytes">Device size.</param>
/// <param name="SectorBytes">Logical sector.</param>
/// <param name="IsDirectIo">O_DIRECT.</param>
/// <param name="Node">The adding node; becomes the set's master if this is the first disk.</param>
/// <param name="Path">Path on all nodes that <paramref name="Paths"/> does not name.</param>
/// <param name="Paths">Path by node.</param>
/// <param name="Evidence">Node → incarnation that validated it. All joined nodes that are not suspect must be there.</param>
/// <param name="Stamp">The stamp in its label; null if it was labelled without one.</param>
/// <param name="IsOverwrite">The operator said that what stood on the disk may be lost.</param>
public sealed record AddDisk(
    string Set,
    string Disk,
    Guid DiskId,
    long SizeBytes,
    int SectorBytes,
    bool IsDirectIo,
    string Node,
    string Path,
    ImmutableSortedDictionary<string, string> Paths,
    ImmutableSortedDictionary<string, ulong> Evidence,
    StampState? Stamp = null,
    bool IsOverwrite = false) : CommandBody;

/// <summary>A node begins to use its dirty-log slot on the named disks (see <see cref="PlacementRules.ChooseLogDisks"/>).</summary>
public sealed record OpenSlot(string Set, string Node, ulong Incarnation, ImmutableArray<string> Disks) : CommandBody;

/// <summary>A node's own dirty log failed. It asserts that its physical I/O to the set's logged volumes has ended.</summary>
public sealed record AbandonSlot(
    string Set, string Node, ulong Incarnation, ulong SlotGeneration, string Reason, string? FailedDisk = null) : CommandBody;

/// <summary>Makes a mirror with one submirror on each named disk.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Volume">Name.</param>
/// <param name="SizeBytes">A multiple of 1 MiB.</param>
/// <param name="Disks">One to four distinct disks.</param>
/// <param name="Recovery">App wants <see cref="WriterMode.All"/>.</param>
/// <param name="Writers">Who writes.</param>
/// <param name="RegionBytes">Power of two, 64 KiB to 64 MiB.</param>
/// <param name="Read">Read policy.</param>
/// <param name="Write">Write policy.</param>
/// <param name="Pass">0 to 9.</param>
/// <param name="Node">Preferred first owner, which runs the first resync; null for any.</param>
/// <param name="Evidence">Node → incarnation that validated it; re-checked, may be null.</param>
public sealed record CreateMirror(
    string Set,
    string Volume,
    long SizeBytes,
    ImmutableArray<string> Disks,
    RecoveryMode Recovery = RecoveryMode.Log,
    WriterMode Writers = WriterMode.One,
    int RegionBytes = 1 << 20,
    ReadPolicy Read = ReadPolicy.RoundRobin,
    WriteMode Write = WriteMode.Parallel,
    int Pass = 1,
    string? Node = null,
    ImmutableSortedDictionary<string, ulong>? Evidence = null) : CommandBody;

/// <summary>Deletes a mirror once every joined node has left it.</summary>
public sealed record DeleteMirror(string Set, string Volume) : CommandBody;

/// <summary>The application has repaired an ABR volume after its writers crashed (design §14.18).</summary>
/// <param name="Set">Set.</param>
/// <param name="Volume">Volume.</param>
/// <param name="AsOfIndex">Log index of the newest crash that the repair knows of, or later: a crash after it is not covered.</param>
public sealed record MarkRecovered(string Set, string Volume, ulong AsOfIndex) : CommandBody;

/// <summary>An operator says that the machine of a node that is gone is off, or was rebooted since: nothing is left in its kernel. It may never come
/// back to say so itself.</summary>
/// <param name="Node">Which.</param>
/// <param name="Incarnation">The newest one that is known; a later one has come back.</param>
public sealed record ConfirmNodeOff(string Node, ulong Incarnation) : CommandBody;

/// <summary>Asks for ownership.</summary>
public sealed record MoveOwner(string Set, string Volume, string To, ulong ToIncarnation, TransferReason Reason) : CommandBody;

/// <summary>The owner has stopped, drained and flushed.</summary>
/// <param name="Set">Set.</param>
/// <param name="Volume">Volume.</param>
/// <param name="Node">The owner.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Epoch">The transfer's epoch; without a transfer, the owner's.</param>
/// <param name="Owed">Regions that the owner knows may differ and are not in the committed resync; usually none.</param>
public sealed record ReleaseOwner(
    string Set, string Volume, string Node, ulong Incarnation, ulong Epoch, ImmutableArray<RegionRun> Owed) : CommandBody;

/// <summary>A transfer takes too long: its target is struck out. The owner must release all the same.</summary>
public sealed record CancelTransfer(string Set, string Volume, ulong Epoch, string Reason) : CommandBody;

/// <summary>What a sealed slot held. The marks become owed regions of the replicated state.</summary>
/// <param name="Set">Set.</param>
/// <param name="Node">Whose slot.</param>
/// <param name="SlotIncarnation">The slot's writer.</param>
/// <param name="By">Who read it.</param>
/// <param name="ByIncarnation">That node's incarnation.</param>
/// <param name="ReadAtIndex">The reader's applied index before it began to read: not before the slot was sealed.</param>
/// <param name="IsEverything">The log was in doubt.</param>
/// <param name="Doubt">Why, for people.</param>
/// <param name="Marks">Dirty runs, at most one entry for each volume.</param>
public sealed record MergeDirtyLog(
    string Set,
    string Node,
    ulong SlotIncarnation,
    string By,
    ulong ByIncarnation,
    ulong ReadAtIndex,
    bool IsEverything,
    string? Doubt,
    ImmutableArray<VolumeMarks> Marks) : CommandBody;

/// <summary>Dirty runs of one volume.</summary>
/// <param name="Volume">Volume number.</param>
/// <param name="Runs">In any order.</param>
public sealed record VolumeMarks(uint Volume, ImmutableArray<RegionRun> Runs);

/// <summary>The resync has done and flushed everything below a position, counting all that was owed at an index.</summary>
public sealed record ReportResync(
    string Set,
    string Volume,
    ulong OwnerEpoch,
    string Node,
    ulong Incarnation,
    ulong ConfigurationIndex,
    long PositionBytes) : CommandBody;

/// <summary>The resync has done and flushed everything that was owed at an index.</summary>
public sealed record FinishResync(
    string Set,
    string Volume,
    ulong OwnerEpoch,
    string Node,
    ulong Incarnation,
    ulong ConfigurationIndex,
    long CopiedBytes,
    long ComparedBytes,
    long SkippedBytes) : CommandBody;

/// <summary>I/O to a submirror failed on a node.</summary>
public sealed record FailSubmirror(
    string Set, string Volume, string Submirror, string Node, ulong Incarnation, string Reason) : CommandBody
{
    /// <summary>The submirror that has the bytes for which this one has no space; null if it is lost for itself. Another node may have
    /// found that one full meanwhile: then neither has everything, and this one is not lost (design §14.22).</summary>
    public string? HeldBy { get; init; }
}

/// <summary>A node has done what a barrier asks.</summary>
public sealed record ConfirmBarrier(string Set, string Volume, ulong Barrier, string Node, ulong Incarnation) : CommandBody
{
    /// <summary>For <see cref="BarrierKind.LegReturn"/>: the regions that the node had marked when it began to write the returned
    /// submirror again.</summary>
    public ImmutableArray<RegionRun> Runs { get; init; } = [];
}

/// <summary>Labels were stamped: a beat, a closing beat, or the generation after a lost submirror.</summary>
/// <param name="Set">Which set.</param>
/// <param name="Generation">The generation that was written beside the stamp.</param>
/// <param name="Node">The set's duty node.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Stamp">Number of the stamp; a repeat of a completed one changes nothing.</param>
/// <param name="Disks">The disks that carry it durably. One that could not be stamped is left out and keeps its older stamp.</param>
public sealed record StampLabels(
    string Set, ulong Generation, string Node, ulong Incarnation, ulong Stamp, ImmutableArray<string> Disks) : CommandBody;

/// <summary>A node wants to serve a set that nobody serves, and may now stamp its disks (design §14.19).</summary>
/// <param name="Set">Which.</param>
/// <param name="Node">Who.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="IsByOperator">As in <see cref="JoinSet"/>.</param>
public sealed record StartActivation(string Set, string Node, ulong Incarnation, bool IsByOperator = false) : CommandBody;

/// <summary>The node that activates a set cannot complete it, and none of its labels can land any more: another may try.</summary>
/// <param name="Set">Which.</param>
/// <param name="Activation">The activation under way.</param>
/// <param name="Node">Who activates.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Why">For people, one line.</param>
/// <param name="Complaints">The disks that it cannot use, as in <see cref="ReportDisks"/>.</param>
public sealed record GiveUpActivation(
    string Set, ulong Activation, string Node, ulong Incarnation, string Why, ImmutableArray<DiskComplaint> Complaints) : CommandBody;

/// <summary>The disks named carry the activation: the set is active, and the node has joined.</summary>
/// <param name="Set">Which.</param>
/// <param name="Activation">The activation that was stamped.</param>
/// <param name="Node">Who stamped.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="Disks">The disks that carry it durably, at least one.</param>
/// <param name="IsByOperator">As in <see cref="JoinSet"/>.</param>
public sealed record CompleteActivation(
    string Set, ulong Activation, string Node, ulong Incarnation, ImmutableArray<string> Disks, bool IsByOperator = false) : CommandBody
{
    /// <summary>Disks that the node cannot use. Those that are not named as stamped are lost by this commit.</summary>
    public ImmutableArray<DiskComplaint> Complaints { get; init; } = [];
}
