using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>A mirrored volume.</summary>
/// <param name="Number">In its set, 1 and up; never reused.</param>
/// <param name="Name">Unique in the set.</param>
/// <param name="SizeBytes">Size that clients see, a multiple of 1 MiB.</param>
/// <param name="RegionBytes">Dirty-region size, a power of two.</param>
/// <param name="Recovery">Who repairs after a crash.</param>
/// <param name="Writers">Who writes.</param>
/// <param name="Read">Read policy.</param>
/// <param name="Write">Write policy.</param>
/// <param name="Pass">Order of resyncs, 0 to 9.</param>
/// <param name="Submirrors">One to four, in order.</param>
/// <param name="Owner">Ownership.</param>
/// <param name="Transfer">A transfer of ownership under way, else null.</param>
/// <param name="Resync">What is owed, else null.</param>
/// <param name="ReadPin">Reads use the first readable submirror only, since writers of this ABR volume crashed (design §14.18); else null.</param>
/// <param name="Barriers">Under way, by id.</param>
public sealed record VolumeState(
    uint Number,
    string Name,
    long SizeBytes,
    int RegionBytes,
    RecoveryMode Recovery,
    WriterMode Writers,
    ReadPolicy Read,
    WriteMode Write,
    int Pass,
    ImmutableArray<SubmirrorState> Submirrors,
    OwnerState Owner,
    TransferState? Transfer,
    ResyncState? Resync,
    ReadPinState? ReadPin,
    ImmutableArray<BarrierState> Barriers)
{
    /// <summary>Reads use the first readable submirror only.</summary>
    public bool IsReadPinned => ReadPin is not null;

    /// <summary>Number of regions; the last may be cut short by the end of the volume.</summary>
    public long Regions => (SizeBytes + RegionBytes - 1) / RegionBytes;

    /// <summary>Its deletion is committed, and nodes are leaving it.</summary>
    public bool IsDeleting
    {
        get
        {
            foreach (var barrier in Barriers)
            {
                if (barrier.Kind == BarrierKind.Delete) return true;
            }

            return false;
        }
    }
}

/// <summary>Why reads of an ABR volume are pinned.</summary>
/// <param name="SinceIndex">Log index of the first crash that nobody has recovered from.</param>
/// <param name="SinceMs">Its log time, unix ms.</param>
/// <param name="Node">The writer that crashed last.</param>
/// <param name="CrashedAtIndex">Log index of that crash.</param>
/// <param name="CrashedAtMs">Its log time, unix ms.</param>
public sealed record ReadPinState(ulong SinceIndex, long SinceMs, string Node, ulong CrashedAtIndex, long CrashedAtMs);

/// <summary>A submirror: a concatenation of extents.</summary>
/// <param name="Name">VOLUME-0 to VOLUME-3.</param>
/// <param name="Status">Committed state.</param>
/// <param name="Extents">By volume offset, without gaps.</param>
public sealed record SubmirrorState(string Name, LegState Status, ImmutableArray<ExtentState> Extents)
{
    /// <summary>While <see cref="LegState.Offline"/>: regions that it may miss and that no live node's dirty log tells. Sorted,
    /// disjoint, at most <see cref="RegionRuns.MaxRuns"/>.</summary>
    public ImmutableArray<RegionRun> KeptRuns { get; init; } = [];

    /// <summary>While <see cref="LegState.Offline"/>: it may miss anything.</summary>
    public bool IsEverythingKept { get; init; }

    /// <summary>May answer a client's read.</summary>
    public bool IsReadable => Status is LegState.Okay or LegState.LastErred;

    /// <summary>Must get every client's write.</summary>
    public bool IsWritable => IsReadable || IsTarget;

    /// <summary>Waits for, or gets, a full copy.</summary>
    public bool IsTarget => Status is LegState.Attached or LegState.Resyncing;

    /// <summary>Some of it lies on that disk.</summary>
    public bool IsOn(string disk)
    {
        foreach (var extent in Extents)
        {
            if (extent.Disk == disk) return true;
        }

        return false;
    }
}

/// <summary>A piece of a submirror.</summary>
/// <param name="Disk">Disk name.</param>
/// <param name="DiskOffsetBytes">From the start of the device, 1 MiB aligned.</param>
/// <param name="VolumeOffsetBytes">From the start of the volume.</param>
/// <param name="LengthBytes">Bytes, a multiple of 1 MiB.</param>
public sealed record ExtentState(string Disk, long DiskOffsetBytes, long VolumeOffsetBytes, long LengthBytes);

/// <summary>Who owns a volume.</summary>
/// <param name="Node">Name, null for none.</param>
/// <param name="Incarnation">The owner's incarnation; 0 for none.</param>
/// <param name="Epoch">Grows with every change.</param>
public sealed record OwnerState(string? Node, ulong Incarnation, ulong Epoch);

/// <summary>A transfer: the owner must stop, drain, flush and release.</summary>
/// <param name="To">Who will own; null once cancelled: the owner must release all the same.</param>
/// <param name="ToIncarnation">That node's incarnation; 0 for none.</param>
/// <param name="Epoch">The epoch that the change of owner will have; the release must name it.</param>
/// <param name="Reason">Why.</param>
/// <param name="StartedAtMs">Log time, unix ms.</param>
/// <param name="Traceparent">W3C trace context of the request, if it had one.</param>
public sealed record TransferState(
    string? To, ulong ToIncarnation, ulong Epoch, TransferReason Reason, long StartedAtMs, string? Traceparent);

/// <summary>What a resync has to do. Owed are: when <paramref name="IsEverythingOwed"/>, all bytes from
/// <paramref name="PositionBytes"/> on; and in any case the regions of <paramref name="OwedRuns"/>, below the position too.
/// When <paramref name="ChangedAtIndex"/> grows, all of <paramref name="OwedRuns"/> is owed anew, even if the owner has
/// done some of it already: another crash may have made the same region differ again.</summary>
/// <param name="IsEverythingOwed">Every region may differ.</param>
/// <param name="OwedRuns">Sorted, disjoint, at most <see cref="RegionRuns.MaxRuns"/>.</param>
/// <param name="PositionBytes">Low-water mark: below it everything is done and flushed, but for <paramref name="OwedRuns"/>.</param>
/// <param name="Kind">Why.</param>
/// <param name="ChangedAtIndex">Log index at which something became owed last; what a report or finish must have seen.</param>
/// <param name="StartedAtMs">Log time, unix ms.</param>
public sealed record ResyncState(
    bool IsEverythingOwed,
    ImmutableArray<RegionRun> OwedRuns,
    long PositionBytes,
    ResyncKind Kind,
    ulong ChangedAtIndex,
    long StartedAtMs);

/// <summary>A barrier: each node named must stop something and confirm.</summary>
/// <param name="Id">Unique in the cluster.</param>
/// <param name="Kind">What to stop.</param>
/// <param name="Submirror">The lost or returned submirror; null for <see cref="BarrierKind.Delete"/>.</param>
/// <param name="Generation">The barrier also waits until the labels carry this generation; 0 for no such wait.</param>
/// <param name="Waiting">Who has not confirmed, by name.</param>
public sealed record BarrierState(
    ulong Id, BarrierKind Kind, string? Submirror, ulong Generation, ImmutableArray<NodeIncarnation> Waiting);

/// <summary>One incarnation of a node.</summary>
/// <param name="Node">Name.</param>
/// <param name="Incarnation">Which.</param>
public sealed record NodeIncarnation(string Node, ulong Incarnation);
