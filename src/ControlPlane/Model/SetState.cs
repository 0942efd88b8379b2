using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>A disk set.</summary>
/// <param name="Name">Unique.</param>
/// <param name="Id">Written in every label.</param>
/// <param name="CreatedAtIndex">Log index of its creation.</param>
/// <param name="ChangedAtIndex">Log index of the newest change to anything in this record.</param>
/// <param name="Generation">Label generation that the committed state asks for; grows when a submirror is lost.</param>
/// <param name="StampedGeneration">Generation that is known to be on the labels of the surviving disks.</param>
/// <param name="MaxNodes">Number of dirty-log slots in the metadata area.</param>
/// <param name="MetadataBytes">Size of the metadata area at the start of each disk.</param>
/// <param name="Fencing">How lost nodes are kept away.</param>
/// <param name="Master">The set master's name, null before the first disk.</param>
/// <param name="Members">By node name.</param>
/// <param name="Disks">By disk name.</param>
/// <param name="Volumes">By volume name.</param>
/// <param name="NextVolumeNumber">Given to the next volume; numbers are never reused.</param>
/// <param name="Activation">Newest activation, started or completed; 0 before the first.</param>
/// <param name="Activating">The activation under way; null if the newest is completed, or given up.</param>
/// <param name="NextStamp">The stamp that may be written to the labels now; completed by the next beat or activation.</param>
/// <param name="StampedAtMs">Log time at which a stamp was completed last, unix ms.</param>
public sealed record SetState(
    string Name,
    Guid Id,
    ulong CreatedAtIndex,
    ulong ChangedAtIndex,
    ulong Generation,
    ulong StampedGeneration,
    int MaxNodes,
    long MetadataBytes,
    FencingKind Fencing,
    string? Master,
    ImmutableSortedDictionary<string, MemberState> Members,
    ImmutableSortedDictionary<string, DiskState> Disks,
    ImmutableSortedDictionary<string, VolumeState> Volumes,
    uint NextVolumeNumber,
    ulong Activation = 0,
    ActivationState? Activating = null,
    StampState? NextStamp = null,
    long StampedAtMs = 0)
{
    /// <summary>Device time-out unless asked otherwise.</summary>
    public const long DefaultDeviceTimeoutMs = 5000;

    /// <summary>Age of a device call from which its disk counts as lost, for legs and dirty logs alike. A device is given that long before
    /// a silent node counts as gone, too: it is part of the fencing horizon.</summary>
    public long DeviceTimeoutMs { get; init; } = DefaultDeviceTimeoutMs;

    /// <summary>How many opened stamps are kept: five minutes of beats that a disk missed, or as many activations whose nodes died.</summary>
    public const int MaxOpenedStamps = 32;

    /// <summary>The stamps opened last, oldest first, at most <see cref="MaxOpenedStamps"/>: by their nonces a label between the
    /// completed and the open one is known.</summary>
    public ImmutableArray<StampState> OpenedStamps { get; init; } = [];

    /// <summary>True if some sealed slot is not merged yet: no ownership of a logged volume is granted meanwhile.</summary>
    public bool IsMergeOwed
    {
        get
        {
            foreach (var (_, member) in Members)
            {
                if (member.IsMergeOwed) return true;
            }

            return false;
        }
    }
}

/// <summary>A node of a set.</summary>
/// <param name="Node">Its name.</param>
/// <param name="SlotNumber">Its dirty-log slot in the metadata area, 0 to MaxNodes − 1.</param>
/// <param name="JoinedIncarnation">The incarnation that may do I/O on the set; 0 for none. It stays until that incarnation left,
/// stopped or was fenced, also while a newer one is <see cref="NodeStatus.Starting"/>.</param>
/// <param name="HasLeft">An operator took it out: it does not rejoin by itself.</param>
/// <param name="SlotGeneration">Generation of the slot that was opened last; 0 before the first.</param>
/// <param name="Slot">The slot that is open, or sealed and not merged; null if its content does not matter.</param>
/// <param name="SealedAtIndex">Log index at which <paramref name="Slot"/> was sealed: its writer was fenced, or ended its I/O and gave
/// the slot up. A merge must have begun to read after it. 0: not sealed.</param>
public sealed record MemberState(
    string Node,
    int SlotNumber,
    ulong JoinedIncarnation,
    bool HasLeft,
    ulong SlotGeneration,
    SlotState? Slot,
    ulong SealedAtIndex)
{
    /// <summary>Disks that the node cannot use, by name, as it said last; each at most once.</summary>
    public ImmutableArray<DiskComplaint> Disks { get; init; } = [];

    /// <summary>The incarnation that said so; 0 before any did. What an earlier one said counts for nothing.</summary>
    public ulong DisksBy { get; init; }

    /// <summary>What the node says of a disk in an incarnation; null if it can use it, or has not said anything yet.</summary>
    public DiskComplaint? ComplaintOf(string disk, ulong incarnation)
    {
        if (DisksBy != incarnation) return null;
        foreach (var complaint in Disks)
        {
            if (complaint.Disk == disk) return complaint;
        }

        return null;
    }

    /// <summary>The slot is sealed and waits to be merged.</summary>
    public bool IsMergeOwed => Slot is not null && SealedAtIndex != 0;
}

/// <summary>A dirty log as committed before its first use.</summary>
/// <param name="Incarnation">The incarnation that writes it.</param>
/// <param name="Disks">Names of the disks that hold it, in reading order.</param>
/// <param name="Generation">Tells one opening from the next.</param>
public sealed record SlotState(ulong Incarnation, ImmutableArray<string> Disks, ulong Generation);

/// <summary>A disk of a set.</summary>
/// <param name="Name">Unique in the set.</param>
/// <param name="Id">Written in its label.</param>
/// <param name="SizeBytes">Size of the device when it was added.</param>
/// <param name="SectorBytes">Logical sector.</param>
/// <param name="IsDirectIo">O_DIRECT; else the page cache, where all openers are on one host.</param>
/// <param name="Path">Path on nodes that are not in <paramref name="Paths"/>.</param>
/// <param name="Paths">Path by node name, where it differs.</param>
/// <param name="Status">State.</param>
/// <param name="Stamp">The newest stamp that is known to be on its label; null before the first.</param>
/// <param name="LeftAt">The newest stamp that may be on its label since it is not stamped any more; null while it is.</param>
public sealed record DiskState(
    string Name,
    Guid Id,
    long SizeBytes,
    int SectorBytes,
    bool IsDirectIo,
    string Path,
    ImmutableSortedDictionary<string, string> Paths,
    DiskStatus Status,
    StampState? Stamp = null,
    StampState? LeftAt = null)
{
    /// <summary>Why it is lost; <see cref="DiskLossReason.None"/> unless <see cref="Status"/> is <see cref="DiskStatus.Lost"/>.</summary>
    public DiskLossReason LossReason { get; init; }

    /// <summary>For people: what was seen, with the errno if there was one.</summary>
    public string? LossDetail { get; init; }

    /// <summary>Log index at which it was lost; 0 unless it is.</summary>
    public ulong LostAtIndex { get; init; }

    /// <summary>Who may still have I/O to a lost disk in its kernel, by node and incarnation: it is not returned before each of them
    /// has reported that none is left, or its machine has rebooted.</summary>
    public ImmutableArray<DiskUser> Users { get; init; } = [];

    /// <summary>Log index at which it was taken back last; 0 if it never was. A handle from before is not used any more.</summary>
    public ulong ReturnedAtIndex { get; init; }

    /// <summary>It was returned and has not been stamped since: its label is the old one, and an older copy that bears it would pass for it.</summary>
    public bool AwaitsStamp { get; init; }

    /// <summary>The path of the disk on a node.</summary>
    public string PathOn(string node) => Paths.GetValueOrDefault(node, Path);
}
