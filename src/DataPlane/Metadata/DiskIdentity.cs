using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>What a node makes of the disk under a path.</summary>
public enum DiskFinding
{
    /// <summary>The disk of the set, as the committed state knows it.</summary>
    Usable,

    /// <summary>Nothing is there, or it cannot be opened.</summary>
    Missing,

    /// <summary>It is there and its label cannot be read.</summary>
    Unreadable,

    /// <summary>Blank, damaged, or of another cluster or set.</summary>
    Foreign,

    /// <summary>Another disk of the same set.</summary>
    Swapped,

    /// <summary>It is shorter than it was, or was cut and has grown back.</summary>
    Resized,

    /// <summary>An older copy of it.</summary>
    Older,

    /// <summary>It knows more than this cluster's state does.</summary>
    Newer,

    /// <summary>It has not answered in time: what it is shows later.</summary>
    Silent,

    /// <summary>A copy of it that no serving node writes to.</summary>
    Cloned,

    /// <summary>Its label is right, and some node that serves the set has not said yet whether it sees the same one.</summary>
    Unproven,
}

/// <summary>A node's verdict on one disk.</summary>
/// <param name="Finding">What it is.</param>
/// <param name="Message">For people: what was found, and what to do; empty if usable.</param>
/// <param name="Stamp">The stamp that its label carries; default if there is no label.</param>
public sealed record DiskVerdict(DiskFinding Finding, string Message, LabelStamp Stamp = default)
{
    /// <summary>May be used.</summary>
    public bool IsUsable => Finding == DiskFinding.Usable;

    /// <summary>It is the disk and large enough, but nothing on it counts: it may come back if all data is copied to it anew.</summary>
    public bool MayBeRefilled { get; init; }
}

/// <summary>The disk that the committed state says is under a path.</summary>
/// <param name="Name">Name in the set.</param>
/// <param name="Path">Path on this node.</param>
/// <param name="Cluster">Id of the cluster.</param>
/// <param name="Set">Id of the set.</param>
/// <param name="Disk">Id of the disk.</param>
/// <param name="SizeBytes">Size when it was added.</param>
/// <param name="Others">Names of the set's other disks, by id.</param>
public sealed record ExpectedDisk(
    string Name, string Path, Guid Cluster, Guid Set, Guid Disk, long SizeBytes, IReadOnlyDictionary<Guid, string> Others)
{
    /// <summary>Paths of the set's other disks: names may have been exchanged.</summary>
    public IReadOnlyList<string> OtherPaths { get; init; } = [];
}

/// <summary>Both copies of a label as they were read, before anybody judged them.</summary>
/// <param name="Status">Not Ok if neither could be read.</param>
/// <param name="Label">The newer of the valid ones; null if none is.</param>
/// <param name="IsEndBlank">The place of the tail copy reads as zeros, or lies beyond the end.</param>
public readonly record struct LabelReading(DeviceStatus Status, DiskLabel? Label, bool IsEndBlank);

/// <summary>Tells what a disk is, from its label and size alone. The one place that decides it.</summary>
public static class DiskIdentity
{
    /// <summary>Reads both copies of the label, the tail where a disk of <paramref name="sizeBytes"/> has it. Blocks.</summary>
    public static LabelReading Read(IBlockDevice device, long sizeBytes)
    {
        ArgumentNullException.ThrowIfNull(device);
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        DiskLabel? tail = null;
        var tailStatus = DeviceStatus.Ok;
        var isEndBlank = device.SizeBytes < sizeBytes;
        if (!isEndBlank)
        {
            tailStatus = device.Read(DiskLayout.TailLabelOffsetOf(sizeBytes), bytes);
            if (tailStatus == DeviceStatus.Ok)
            {
                DiskLabel.TryRead(bytes, out tail);
                isEndBlank = bytes.IndexOfAnyExcept((byte)0) < 0;
            }
        }

        if (device.SizeBytes < DiskLayout.LabelBytes) return new LabelReading(DeviceStatus.Ok, tail, isEndBlank);
        DiskLabel? head = null;
        var headStatus = device.Read(0, bytes);
        if (headStatus == DeviceStatus.Ok) DiskLabel.TryRead(bytes, out head);
        var newer = head is null || (tail is not null && tail.IsNewerThan(head)) ? tail : head;
        return new LabelReading(headStatus == DeviceStatus.Ok ? headStatus : tail is null ? headStatus : tailStatus, newer, isEndBlank);
    }

    /// <summary>The verdict. Pure.</summary>
    /// <param name="expected">The disk that should be there.</param>
    /// <param name="sizeBytes">Size of what is there.</param>
    /// <param name="reading">Its labels.</param>
    /// <param name="stamps">What the state says of its label; see <see cref="StampJudge"/> for the moments.</param>
    public static DiskVerdict Judge(ExpectedDisk expected, long sizeBytes, LabelReading reading, StampExpectation stamps)
    {
        ArgumentNullException.ThrowIfNull(expected);
        var what = $"disk '{expected.Name}' ({expected.Path})";
        if (reading.Status != DeviceStatus.Ok && reading.Label is null)
            return new DiskVerdict(DiskFinding.Unreadable, $"{what}: its label cannot be read ({reading.Status}): check the disk and the way to it");
        if (reading.Label is not { } label)
        {
            return sizeBytes < expected.SizeBytes
                ? Shrunk(what, expected, sizeBytes)
                : new DiskVerdict(DiskFinding.Foreign, $"{what} has no valid label: it is not the disk that was added; correct the path, or put that disk back");
        }

        if (label.Cluster != expected.Cluster || label.Set != expected.Set || label.Disk != expected.Disk) return Other(what, expected, label);
        if (sizeBytes < expected.SizeBytes) return Shrunk(what, expected, sizeBytes) with { Stamp = label.Stamp };
        var age = StampJudge.Judge(label.Stamp, stamps);
        if (reading.IsEndBlank && !DiskMutants.HoleBelieved && age != StampVerdict.Newer && !stamps.IsEverythingOwed)
        {
            return new DiskVerdict(
                DiskFinding.Resized,
                $"{what} was cut and has grown back to {sizeBytes} bytes: the label at its end is gone, and so may be data before it; "
                + "it is no source, and gets all data anew where another leg has it",
                label.Stamp)
            { MayBeRefilled = true };
        }

        return age switch
        {
            StampVerdict.Older => new DiskVerdict(
                DiskFinding.Older,
                $"{what} is an older copy of the disk: its label carries stamp {label.Stamp.Number}, the set knows {stamps.Completed.Number} on it; "
                + "it is no source, and gets all data anew where another leg has it",
                label.Stamp)
            { MayBeRefilled = true },
            StampVerdict.Newer => new DiskVerdict(
                DiskFinding.Newer,
                $"{what} is newer than this cluster's state: its label carries stamp {label.Stamp.Number}, the newest known here is {stamps.Newest.Number}; "
                + "start the node that has the newer state ('raftmirror raft recover' leads out for the log, not for this disk: what is newer than the state stays refused)",
                label.Stamp),
            _ => new DiskVerdict(DiskFinding.Usable, "", label.Stamp),
        };
    }

    private static DiskVerdict Shrunk(string what, ExpectedDisk expected, long sizeBytes) => new(
        DiskFinding.Resized,
        $"{what} has {sizeBytes} bytes and was added with {expected.SizeBytes}: it was shrunk, and what lay behind is gone; give it its size back, then it gets all data anew where another leg has it");

    private static DiskVerdict Other(string what, ExpectedDisk expected, DiskLabel label)
    {
        if (label.Set == expected.Set && expected.Others.GetValueOrDefault(label.Disk) is { } other)
        {
            return new DiskVerdict(
                DiskFinding.Swapped, $"{what} is disk '{other}' of the same set: the paths are swapped; correct them", label.Stamp);
        }

        return new DiskVerdict(
            DiskFinding.Foreign,
            $"{what} is disk {label.Disk} of set {label.Set}, cluster {label.Cluster}: not the disk that was added; correct the path, or put that disk back",
            label.Stamp);
    }
}
