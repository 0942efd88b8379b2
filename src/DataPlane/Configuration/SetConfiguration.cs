using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Configuration;

/// <summary>State of a node for the data plane.</summary>
public enum MemberPhase
{
    /// <summary>Served leases.</summary>
    Up,

    /// <summary>Not heard from: no more leases are given to this incarnation. From here to
    /// <c>DirtyLogMerged</c> its possibly dirty extents count as entirely owed.</summary>
    Suspect,

    /// <summary>Proven gone (receipt committed); its dirty log is not merged yet in some set.</summary>
    Fenced,

    /// <summary>Gone, and nothing is owed to it.</summary>
    Down,
}

/// <summary>A node of a disk set.</summary>
/// <param name="Node">Name.</param>
/// <param name="Slot">Its dirty-log slot number in the set, 0 and up.</param>
/// <param name="Incarnation">Of the incarnation that <paramref name="State"/> speaks of.</param>
/// <param name="State">State.</param>
/// <param name="IsJoined">True if this incarnation has joined the set, so it may serve its volumes.</param>
/// <param name="IsMergeOwed">True from suspicion until the incarnation's slot was merged.</param>
public sealed record MemberConfiguration(
    string Node, int Slot, ulong Incarnation, MemberPhase State, bool IsJoined, bool IsMergeOwed);

/// <summary>A disk of the set, as this node reaches it.</summary>
/// <param name="Name">Name in the set.</param>
/// <param name="Id">Written in its label.</param>
/// <param name="Path">Path on this node.</param>
/// <param name="SizeBytes">Size of the device when it was added.</param>
/// <param name="SectorBytes">Logical sector.</param>
/// <param name="MetadataBytes">Head label, set records and slots; the data area starts here.</param>
/// <param name="IsDirectIo">O_DIRECT, else page cache (only where all openers are on one host).</param>
/// <param name="IsFailed">True while committed as failed or lost: not to be used.</param>
public sealed record DiskConfiguration(
    string Name, Guid Id, string Path, long SizeBytes, int SectorBytes, long MetadataBytes, bool IsDirectIo, bool IsFailed)
{
    /// <summary>No node uses it, but for legs that have no other source.</summary>
    public bool IsLost { get; init; }
}

/// <summary>A piece of a leg.</summary>
/// <param name="Disk">Disk name.</param>
/// <param name="DiskOffsetBytes">From the start of the device.</param>
/// <param name="VolumeOffsetBytes">From the start of the volume.</param>
/// <param name="LengthBytes">Bytes.</param>
public sealed record ExtentConfiguration(string Disk, long DiskOffsetBytes, long VolumeOffsetBytes, long LengthBytes);

/// <summary>A submirror.</summary>
/// <param name="Name">Name.</param>
/// <param name="State">Committed state.</param>
/// <param name="Extents">Sorted by volume offset, without gaps.</param>
public sealed record LegConfiguration(string Name, LegState State, IReadOnlyList<ExtentConfiguration> Extents)
{
    /// <summary>May answer a client's read.</summary>
    public bool IsReadable => State is LegState.Okay or LegState.LastErred;

    /// <summary>Must get every client's write.</summary>
    public bool IsWritable => IsReadable || State is LegState.Attached or LegState.Resyncing;
}

/// <summary>Who may write a <see cref="WriterMode.One"/> volume, or runs the resync of another.</summary>
/// <param name="Node">Owner, or null for none.</param>
/// <param name="Incarnation">The owner's incarnation; 0 for none.</param>
/// <param name="Epoch">Grows by at least one with every change, cancelled transfers included.</param>
/// <param name="TransferTo">While a transfer runs: the node that will own. The owner then stops, drains, flushes and reports.</param>
public sealed record OwnerConfiguration(string? Node, ulong Incarnation, ulong Epoch, string? TransferTo);

/// <summary>A resync that is owed or runs. The volume's owner runs it.</summary>
/// <param name="IsEverythingOwed">Every region may differ between legs.</param>
/// <param name="OwedRegions">These may in any case: runs of region numbers, [Start, Start + Length), sorted, disjoint.</param>
/// <param name="PositionBytes">Committed low-water mark of an everything-resync: below it all is done and flushed, but for
/// <paramref name="OwedRegions"/>.</param>
/// <param name="ChangedAtIndex">Log index at which something became owed last. When it grows, everything named here is owed anew, also
/// what was repaired already: another crash may have made the same region differ again.</param>
public sealed record ResyncConfiguration(
    bool IsEverythingOwed, IReadOnlyList<ByteRange> OwedRegions, long PositionBytes, ulong ChangedAtIndex = 0);

/// <summary>A barrier of the control plane: this node must stop doing something and say so.</summary>
/// <param name="Id">To be named in the confirmation.</param>
/// <param name="Kind">What to stop.</param>
/// <param name="AwaitsThisNode">True until this node has confirmed.</param>
public sealed record BarrierConfiguration(ulong Id, BarrierKind Kind, bool AwaitsThisNode);

/// <summary>A mirror.</summary>
/// <param name="Number">In its set; never reused.</param>
/// <param name="Name">SET/VOLUME, the export's name.</param>
/// <param name="SizeBytes">Size that clients see.</param>
/// <param name="RegionBytes">Dirty-region size, a power of two.</param>
/// <param name="Recovery">Who repairs after a crash.</param>
/// <param name="Writers">Who writes.</param>
/// <param name="Read">Which leg answers reads.</param>
/// <param name="Legs">One to four.</param>
/// <param name="Owner">Ownership.</param>
/// <param name="Resync">Null if nothing is owed.</param>
/// <param name="IsReadPinned">Reads use the first readable leg only: an ABR volume's writer crashed (design §14.18).</param>
/// <param name="Barriers">Barriers under way.</param>
public sealed record VolumeConfiguration(
    uint Number,
    string Name,
    long SizeBytes,
    int RegionBytes,
    RecoveryMode Recovery,
    WriterMode Writers,
    ReadPolicy Read,
    IReadOnlyList<LegConfiguration> Legs,
    OwnerConfiguration Owner,
    ResyncConfiguration? Resync,
    bool IsReadPinned,
    IReadOnlyList<BarrierConfiguration> Barriers)
{
    /// <summary>Why this node can do no I/O on the volume now although nothing is wrong with its lease: a disk that a leg in use needs is
    /// lost, or cannot be used here. Null if it can. Requests wait, at most as long as for a lease.</summary>
    public string? WaitsFor { get; init; }

    /// <summary>That disk is in use, and it is this node alone that cannot use it.</summary>
    public bool IsDiskUnusableHere { get; init; }
}

/// <summary>This node's dirty log, as committed before its first use.</summary>
/// <param name="Incarnation">The incarnation that writes it.</param>
/// <param name="Disks">Names of the disks that hold it, in reading order.</param>
/// <param name="Generation">Grows when the list of disks changes.</param>
public sealed record SlotConfiguration(ulong Incarnation, IReadOnlyList<string> Disks, ulong Generation);

/// <summary>A disk set as the data plane of one node needs it, at one position of the log.</summary>
/// <param name="Name">Name.</param>
/// <param name="Id">Written in every label.</param>
/// <param name="ClusterId">Written in every label.</param>
/// <param name="Index">Log position of the newest change contained.</param>
/// <param name="Generation">Label generation.</param>
/// <param name="Self">This node.</param>
/// <param name="Master">The set's master, or null.</param>
/// <param name="MaxNodes">Number of slots.</param>
/// <param name="Members">All nodes of the set, by name.</param>
/// <param name="Disks">All disks, by name.</param>
/// <param name="OwnSlot">Null until this incarnation opened its dirty log.</param>
/// <param name="Volumes">All volumes, by number.</param>
public sealed record SetConfiguration(
    string Name,
    Guid Id,
    Guid ClusterId,
    ulong Index,
    ulong Generation,
    string Self,
    string? Master,
    int MaxNodes,
    IReadOnlyList<MemberConfiguration> Members,
    IReadOnlyList<DiskConfiguration> Disks,
    SlotConfiguration? OwnSlot,
    IReadOnlyList<VolumeConfiguration> Volumes)
{
    /// <summary>Age of a call from which its disk counts as lost.</summary>
    public long DeviceTimeoutMs { get; init; } = 5000;
}
