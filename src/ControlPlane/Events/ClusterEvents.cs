using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Events;

/// <summary>Something that happened, as committed. The record's name is the event's type for scripts; properties called node,
/// set and volume name objects.</summary>
public abstract record ClusterEvent
{
    /// <summary>Happens all the time and tells nobody anything: it would push what matters out of the bounded history.</summary>
    public virtual bool IsRoutine => false;
}

/// <summary>An event with its place and cause.</summary>
/// <param name="Index">Log position.</param>
/// <param name="Seq">Counts within the position, from 0.</param>
/// <param name="AtMs">Log time, unix ms.</param>
/// <param name="CommandId">Request id of the command.</param>
/// <param name="By">Who asked.</param>
/// <param name="Traceparent">W3C trace context of the command, or null.</param>
/// <param name="Event">What happened.</param>
public sealed record EventRecord(
    ulong Index, int Seq, long AtMs, Guid CommandId, string By, string? Traceparent, ClusterEvent Event);

/// <summary>The cluster got its name and id.</summary>
public sealed record ClusterBootstrapped(string Name, Guid ClusterId) : ClusterEvent;

/// <summary>Log time was wrong and was set, forwards or back: the event's own time is the new one. Set back, results that were remembered stay,
/// and other requests made before the new time are refused.</summary>
/// <param name="FromMs">Log time before, unix ms.</param>
/// <param name="ToMs">Log time from now on, unix ms.</param>
/// <param name="Clocks">Node → how far its clock is ahead of <paramref name="ToMs"/>, ms.</param>
public sealed record ClockCorrected(long FromMs, long ToMs, ImmutableSortedDictionary<string, long> Clocks) : ClusterEvent;

/// <summary>A new incarnation registered (or the same one with new addresses). PredecessorIncarnation is 0 for none.</summary>
public sealed record NodeRegistered(
    string Node,
    ushort NodeId,
    ulong Incarnation,
    string Api,
    string Peer,
    string Nbd,
    ulong PredecessorIncarnation,
    PredecessorStatus? PredecessorStatus) : ClusterEvent
{
    /// <summary>Identifies the boot of its machine; empty if it did not say.</summary>
    public string BootId { get; init; } = "";

    /// <summary>The process's random identity; empty if it did not say.</summary>
    public string Start { get; init; } = "";
}

/// <summary>An incarnation may now hold leases.</summary>
public sealed record NodeUp(string Node, ulong Incarnation) : ClusterEvent;

/// <summary>An incarnation gets no more leases.</summary>
public sealed record NodeSuspected(string Node, ulong Incarnation, string Reason) : ClusterEvent;

/// <summary>A suspicion was wrong.</summary>
public sealed record SuspicionCleared(string Node, ulong Incarnation) : ClusterEvent;

/// <summary>An incarnation is proven gone.</summary>
public sealed record NodeFenced(string Node, ulong Incarnation, FenceReceipt Receipt, ulong MembershipEpoch) : ClusterEvent;

/// <summary>An incarnation stopped cleanly.</summary>
public sealed record NodeStopped(string Node, ulong Incarnation, ulong MembershipEpoch) : ClusterEvent;

/// <summary>Nothing is owed to a fenced predecessor any more.</summary>
public sealed record PredecessorSettled(string Node, ulong PredecessorIncarnation) : ClusterEvent;

/// <summary>The node is gone and nothing is owed to it.</summary>
public sealed record NodeDown(string Node, ulong Incarnation) : ClusterEvent;

/// <summary>A disk set was made.</summary>
public sealed record SetCreated(
    string Set, Guid SetId, ImmutableArray<string> Nodes, int MaxNodes, long MetadataBytes, FencingKind Fencing) : ClusterEvent
{
    /// <summary>Age of a device call from which its disk counts as lost.</summary>
    public long DeviceTimeoutMs { get; init; } = SetState.DefaultDeviceTimeoutMs;
}

/// <summary>A node serves a set.</summary>
public sealed record NodeJoinedSet(string Set, string Node, ulong Incarnation) : ClusterEvent;

/// <summary>A node no longer serves a set.</summary>
public sealed record NodeLeftSet(string Set, string Node, ulong Incarnation, bool IsByOperator) : ClusterEvent;

/// <summary>A node that an operator took out of a set may serve it again, and joins by itself.</summary>
public sealed record NodeReturned(string Set, string Node) : ClusterEvent;

/// <summary>A set has a new master.</summary>
public sealed record SetMasterChanged(string Set, string? From, string? To) : ClusterEvent;

/// <summary>A disk was added.</summary>
public sealed record DiskAdded(
    string Set,
    string Disk,
    Guid DiskId,
    long SizeBytes,
    int SectorBytes,
    bool IsDirectIo,
    string Path,
    ImmutableSortedDictionary<string, string> Paths,
    StampState? Stamp = null) : ClusterEvent;

/// <summary>A disk takes no new logs or submirrors.</summary>
public sealed record DiskFailed(string Set, string Disk, string Reason) : ClusterEvent;

/// <summary>A node writes its dirty log in its slot.</summary>
public sealed record SlotOpened(
    string Set, string Node, ulong Incarnation, ImmutableArray<string> Disks, ulong Generation) : ClusterEvent;

/// <summary>A slot's writer can write no more; the slot waits to be merged.</summary>
public sealed record SlotSealed(string Set, string Node, ulong Incarnation, ulong Generation, string Reason) : ClusterEvent;

/// <summary>A slot was given up clean.</summary>
public sealed record SlotRetired(string Set, string Node, ulong Incarnation, ulong Generation) : ClusterEvent;

/// <summary>A sealed slot's marks are in the replicated state; the slot is free.</summary>
/// <param name="Set">Set.</param>
/// <param name="Node">Whose slot.</param>
/// <param name="Incarnation">The slot's writer.</param>
/// <param name="MergedBy">Who read it.</param>
/// <param name="Regions">Marked regions of existing volumes, after the bound on runs; for a log in doubt, all their regions.</param>
/// <param name="IsEverything">The log was in doubt.</param>
/// <param name="Doubt">Why.</param>
public sealed record DirtyLogMerged(
    string Set, string Node, ulong Incarnation, string MergedBy, long Regions, bool IsEverything, string? Doubt) : ClusterEvent;

/// <summary>A mirror was made.</summary>
public sealed record MirrorCreated(
    string Set,
    string Volume,
    uint Number,
    long SizeBytes,
    int RegionBytes,
    RecoveryMode Recovery,
    WriterMode Writers,
    ReadPolicy Read,
    WriteMode Write,
    int Pass,
    ImmutableArray<SubmirrorState> Submirrors) : ClusterEvent;

/// <summary>Nodes are leaving a mirror that will vanish.</summary>
public sealed record MirrorDeleting(
    string Set, string Volume, ulong Barrier, ImmutableArray<NodeIncarnation> Waiting) : ClusterEvent;

/// <summary>A mirror is gone and its extents are free.</summary>
public sealed record MirrorDeleted(string Set, string Volume, uint Number) : ClusterEvent;

/// <summary>The owner must release. Epoch is the one the new owner will have.</summary>
public sealed record OwnershipTransferStarted(
    string Set,
    string Volume,
    string From,
    string To,
    ulong ToIncarnation,
    ulong Epoch,
    TransferReason Reason) : ClusterEvent;

/// <summary>A transfer lost its target. The owner, unless fenced, must release all the same, naming the new epoch.</summary>
public sealed record TransferCancelled(string Set, string Volume, string? To, ulong Epoch, string Why) : ClusterEvent;

/// <summary>The owner changed; null is none.</summary>
public sealed record OwnerChanged(
    string Set, string Volume, string? From, string? To, ulong ToIncarnation, ulong Epoch, TransferReason Reason) : ClusterEvent;

/// <summary>Something is owed where nothing was.</summary>
public sealed record ResyncStarted(
    string Set, string Volume, ResyncKind Kind, bool IsEverything, ImmutableArray<RegionRun> OwedRuns) : ClusterEvent;

/// <summary>More is owed. OwedRuns is the whole list from now on.</summary>
public sealed record ResyncExtended(
    string Set, string Volume, bool IsEverything, ImmutableArray<RegionRun> OwedRuns) : ClusterEvent;

/// <summary>A resync got further.</summary>
public sealed record ResyncProgressed(
    string Set, string Volume, long PositionBytes, ImmutableArray<RegionRun> OwedRuns) : ClusterEvent;

/// <summary>Nothing is owed any more.</summary>
public sealed record ResyncFinished(
    string Set,
    string Volume,
    ResyncKind Kind,
    long CopiedBytes,
    long SkippedBytes,
    long ComparedBytes,
    string Node) : ClusterEvent;

/// <summary>A resync has nothing to copy to any more.</summary>
public sealed record ResyncCancelled(string Set, string Volume, ResyncKind Kind, string Why) : ClusterEvent;

/// <summary>A submirror changed its state.</summary>
public sealed record SubmirrorStateChanged(
    string Set, string Volume, string Submirror, LegState From, LegState To, string Reason) : ClusterEvent;

/// <summary>Nodes must stop using a lost submirror. Generation must be on the labels before the barrier ends.</summary>
public sealed record BarrierStarted(
    string Set,
    string Volume,
    ulong Barrier,
    string Submirror,
    ulong Generation,
    ImmutableArray<NodeIncarnation> Waiting) : ClusterEvent;

/// <summary>A node needs not be awaited any more: it confirmed, or can do no more I/O.</summary>
public sealed record BarrierConfirmed(string Set, string Volume, ulong Barrier, string Node, ulong Incarnation) : ClusterEvent;

/// <summary>A barrier has ended.</summary>
public sealed record BarrierCompleted(string Set, string Volume, ulong Barrier) : ClusterEvent;

/// <summary>A new generation is on the labels of the surviving disks.</summary>
public sealed record LabelsStamped(string Set, ulong Generation, string Node) : ClusterEvent;

/// <summary>A node may stamp a set's disks for a new activation. Nobody serves the set until it is completed.</summary>
public sealed record ActivationStarted(string Set, string Node, ulong Incarnation, ulong Activation, StampState Stamp) : ClusterEvent;

/// <summary>The node that activated a set could not, and serves it no more than others do: whoever can starts another activation.</summary>
public sealed record ActivationGivenUp(string Set, string Node, ulong Activation, string Why) : ClusterEvent;

/// <summary>A set is active: its disks carry the activation.</summary>
/// <param name="Set">Set.</param>
/// <param name="Node">Who stamped.</param>
/// <param name="Activation">Which.</param>
/// <param name="Disks">The disks that carry it.</param>
/// <param name="Stamp">The stamp they carry.</param>
/// <param name="Next">The stamp that may be written from now on.</param>
public sealed record ActivationCompleted(
    string Set, string Node, ulong Activation, ImmutableArray<string> Disks, StampState Stamp, StampState Next) : ClusterEvent;

/// <summary>A stamp is on the labels of the disks named. Routine: not kept in the history.</summary>
/// <param name="Set">Set.</param>
/// <param name="Node">Who stamped.</param>
/// <param name="Disks">The disks that carry it.</param>
/// <param name="Stamp">The stamp they carry.</param>
/// <param name="Next">The stamp that may be written from now on.</param>
public sealed record BeatCompleted(
    string Set, string Node, ImmutableArray<string> Disks, StampState Stamp, StampState Next) : ClusterEvent
{
    /// <inheritdoc/>
    public override bool IsRoutine => true;
}

/// <summary>Reads of an ABR volume are pinned to one submirror: a writer crashed. Also for each further crash while they are.</summary>
public sealed record ReadsPinned(string Set, string Volume, string Node) : ClusterEvent;

/// <summary>The application has repaired an ABR volume: reads use every submirror again.</summary>
/// <param name="Set">Set.</param>
/// <param name="Volume">Volume.</param>
/// <param name="SinceIndex">Log index of the first crash that this recovers from.</param>
/// <param name="AsOfIndex">No crash after this index is covered.</param>
public sealed record MirrorRecovered(string Set, string Volume, ulong SinceIndex, ulong AsOfIndex) : ClusterEvent;
