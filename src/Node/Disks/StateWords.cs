using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Node.Disks;

/// <summary>What the replicated state says of disks, in the words of those who read labels. Pure.</summary>
internal static class StateWords
{
    private const int MaxDetail = 1024;

    /// <summary>The disk that should be under a node's path.</summary>
    public static ExpectedDisk Expected(ClusterState cluster, SetState set, DiskState disk, string node) => new(
        disk.Name, disk.PathOn(node), cluster.Id, set.Id, disk.Id, disk.SizeBytes,
        set.Disks.Values.Where(other => other.Id != disk.Id).ToDictionary(other => other.Id, other => other.Name))
    {
        OtherPaths = [.. set.Disks.Values.Where(other => other.Id != disk.Id).Select(other => other.PathOn(node))],
    };

    /// <summary>What its label may carry, by states that enclose the reading of the label.</summary>
    /// <param name="before">Contains all that was committed before the label was read.</param>
    /// <param name="after">Contains all that was committed when it was read.</param>
    /// <param name="disk">Name of the disk.</param>
    public static StampExpectation Stamps(SetState before, SetState after, string disk) => new(
        Of(before.Disks.GetValueOrDefault(disk) is { } then ? ControlPlane.Model.Stamps.CompletedOf(then) : StampState.None),
        Of(after.Disks.GetValueOrDefault(disk) is { } now ? ControlPlane.Model.Stamps.NewestOf(after, now) : StampState.None))
    {
        IsEverythingOwed = before.Disks.GetValueOrDefault(disk) is { AwaitsStamp: true, Stamp: null, Status: ControlPlane.Model.DiskStatus.Okay },
        Opened = [.. after.OpenedStamps.Select(Of)],
    };

    /// <summary>A stamp as a label carries it.</summary>
    public static LabelStamp Of(StampState? stamp) => stamp is null ? default : new LabelStamp(stamp.Number, stamp.Nonce, stamp.Activation);

    /// <summary>What a node says of disks that it cannot use, by name.</summary>
    public static ImmutableArray<DiskComplaint> Complaints(IReadOnlyDictionary<string, DiskVerdict> verdicts) =>
        [.. verdicts.Where(one => !one.Value.IsUsable).OrderBy(one => one.Key, StringComparer.Ordinal).Select(one => Complaint(one.Key, one.Value))];

    /// <summary>What a node says of a disk that it cannot use.</summary>
    public static DiskComplaint Complaint(string disk, DiskVerdict verdict) => new(
        disk,
        verdict.Finding switch
        {
            DiskFinding.Missing => DiskLossReason.Absent,
            DiskFinding.Silent => DiskLossReason.TimedOut,
            DiskFinding.Unproven => DiskLossReason.Unproven,
            DiskFinding.Foreign or DiskFinding.Swapped => DiskLossReason.Foreign,
            DiskFinding.Resized => DiskLossReason.Resized,
            DiskFinding.Older => DiskLossReason.Older,
            DiskFinding.Newer => DiskLossReason.Newer,
            DiskFinding.Cloned => DiskLossReason.Cloned,
            _ => DiskLossReason.Unreachable,
        },
        Line(verdict.Message))
    {
        MayBeRefilled = verdict.MayBeRefilled,
    };

    /// <summary>As much of a text as a command takes.</summary>
    public static string Line(string text) => text.Length <= MaxDetail ? text : text[..MaxDetail];

    /// <summary>The label that a disk of a set is to carry now: it follows from the state, so that whoever writes it writes the same.</summary>
    /// <exception cref="IOException">The disk does not fit its set.</exception>
    public static DiskLabel Label(ClusterState cluster, SetState set, DiskState disk, ReadOnlyMemory<byte> logPosition)
    {
        return new DiskLabel(
            cluster.Id, set.Id, disk.Id, disk.SizeBytes, set.MetadataBytes, set.MaxNodes, 0, Layout(set, disk).SlotBytes, set.Generation,
            cluster.MembershipEpoch, Of(set.NextStamp), logPosition);
    }

    /// <summary>Where a disk's label, slots and data lie.</summary>
    /// <exception cref="IOException">The disk does not fit its set.</exception>
    public static DiskLayout Layout(SetState set, DiskState disk) =>
        DiskLayout.TryCreate(disk.SizeBytes, set.MetadataBytes, set.MaxNodes, out var layout, out var refusal)
            ? layout
            : throw new IOException($"Disk '{disk.Name}' does not fit its set: {refusal}.");
}
