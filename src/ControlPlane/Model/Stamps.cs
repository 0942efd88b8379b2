using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>A moment of a set as its labels show it (design §14.19). Numbers grow over the whole life of a set; the nonce tells
/// two histories apart that gave the same number, as when a node's state was restored from a copy and went on from there.</summary>
/// <param name="Number">1 and up; 0 for a disk that was never stamped.</param>
/// <param name="Nonce">Request id of the command that opened the number.</param>
/// <param name="Activation">The activation it belongs to.</param>
public sealed record StampState(ulong Number, Guid Nonce, ulong Activation)
{
    /// <summary>Before the first stamp.</summary>
    public static StampState None { get; } = new(0, Guid.Empty, 0);
}

/// <summary>An activation that has started and is neither completed nor given up: its node stamps the disks, and nobody serves the set.</summary>
/// <param name="Number">Which.</param>
/// <param name="Node">Who stamps and then joins.</param>
/// <param name="Incarnation">Of that node.</param>
public sealed record ActivationState(ulong Number, string Node, ulong Incarnation);

/// <summary>What the stamps of a set ask for, read from the state alone. Pure.</summary>
public static class Stamps
{
    /// <summary>Between two beats of a set that is served, ms.</summary>
    public const long BeatMs = 10_000;

    /// <summary>The newest stamp that may be on a disk: the one that may be written now, or for a lost disk the one that could be
    /// written when it was lost.</summary>
    public static StampState NewestOf(SetState set, DiskState disk)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(disk);
        return disk.LeftAt ?? set.NextStamp ?? StampState.None;
    }

    /// <summary>The newest stamp that is known to be on a disk.</summary>
    public static StampState CompletedOf(DiskState disk)
    {
        ArgumentNullException.ThrowIfNull(disk);
        return disk.Stamp ?? StampState.None;
    }

    /// <summary>Disks whose labels follow the state. One that is out of use, or all of whose submirrors are, keeps its last label, so that it
    /// shows as old when it comes back, and nothing waits for it.</summary>
    public static ImmutableArray<string> DisksToStamp(SetState set)
    {
        ArgumentNullException.ThrowIfNull(set);
        return [.. set.Disks.Values.Where(disk => IsInUse(set, disk) && !AreLegsLost(set, disk)).Select(static disk => disk.Name)];
    }

    /// <summary>True if nodes open the disk: it is okay, or it takes no new logs and submirrors any more and one that it has is in use.</summary>
    public static bool IsInUse(SetState set, DiskState disk)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(disk);
        return disk.Status == DiskStatus.Okay
            || (disk.Status == DiskStatus.Failed
                && set.Volumes.Values.Any(volume => volume.Submirrors.Any(leg => leg.IsWritable && leg.IsOn(disk.Name))));
    }

    /// <summary>The disks of which at least one must carry the generation before the loss of a submirror of the volume is over; empty if no
    /// loss is under way. The last source stays in use whatever its disk does: its label is waited for by nobody.</summary>
    public static ImmutableArray<string> Survivors(SetState set, VolumeState volume)
    {
        ArgumentNullException.ThrowIfNull(set);
        ArgumentNullException.ThrowIfNull(volume);
        if (!volume.Barriers.Any(static barrier => barrier.Kind == BarrierKind.LegLoss)) return [];
        return
        [
            .. volume.Submirrors.Where(static leg => leg.Status == LegState.Okay).SelectMany(static leg => leg.Extents)
                .Select(static extent => extent.Disk).Where(disk => set.Disks[disk].Status == DiskStatus.Okay),
        ];
    }

    private static bool AreLegsLost(SetState set, DiskState disk)
    {
        var hasAny = false;
        foreach (var leg in set.Volumes.Values.SelectMany(static volume => volume.Submirrors))
        {
            if (!leg.Extents.Any(extent => extent.Disk == disk.Name)) continue;
            if (leg.IsWritable) return false;
            hasAny = true;
        }

        return hasAny;
    }

    /// <summary>True if nobody has joined a set that has disks: the next node to serve it must activate it.</summary>
    public static bool NeedsActivation(SetState set)
    {
        ArgumentNullException.ThrowIfNull(set);
        return !set.Disks.IsEmpty && set.Members.Values.All(static member => member.JoinedIncarnation == 0);
    }

    /// <summary>True if a node that is up may enter the set now: some other serves it, or nobody does and no other is about to. Else silent
    /// nodes have to be fenced, or come back, before.</summary>
    public static bool IsEnterable(ClusterState state, SetState set, string node, ulong incarnation)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(set);
        if (set.Disks.IsEmpty || set.Members.Values.Any(member => Duties.IsJoined(state.Nodes[member.Node], member))) return true;
        return NeedsActivation(set) && !IsActivatedByOther(state, set, node, incarnation);
    }

    /// <summary>True if another incarnation that may still be at work has begun to activate the set.</summary>
    public static bool IsActivatedByOther(ClusterState state, SetState set, string node, ulong incarnation)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(set);
        return set.Activating is { } running
            && (running.Node != node || running.Incarnation != incarnation)
            && state.Node(running.Node) is { } other && other.Incarnation == running.Incarnation
            && other.Status is NodeStatus.Up or NodeStatus.Draining or NodeStatus.Suspect;
    }

    /// <summary>True if the set's master is to stamp its disks now: a new generation or a disk that has come back waits for it, or a beat is due.</summary>
    /// <param name="set">The set.</param>
    /// <param name="sinceLastMs">Since the reader saw the last stamp completed, on its own clock, ms.</param>
    /// <param name="canStamp">Whether the reader has a disk open: one that it cannot stamp is not waited for; null for all.</param>
    public static bool IsDue(SetState set, long sinceLastMs, Func<DiskState, bool>? canStamp = null)
    {
        ArgumentNullException.ThrowIfNull(set);
        return !set.Disks.IsEmpty
            && (set.StampedGeneration < set.Generation || sinceLastMs >= BeatMs || DisksToStamp(set).Any(disk => IsOwed(set.Disks[disk]) && canStamp?.Invoke(set.Disks[disk]) != false));
    }

    /// <summary>True if the disk has its place again, and its label is still the one of before: a copy of it could pass for it.</summary>
    public static bool IsOwed(DiskState disk)
    {
        ArgumentNullException.ThrowIfNull(disk);
        return disk.AwaitsStamp || disk.Stamp is null;
    }

    /// <summary>True if an incarnation is the last one that serves the set, so that it makes the closing beat.</summary>
    public static bool IsLastJoined(SetState set, string node, ulong incarnation)
    {
        ArgumentNullException.ThrowIfNull(set);
        return !set.Disks.IsEmpty
            && set.Members.Values.All(member => member.JoinedIncarnation == 0
                || (member.Node == node && member.JoinedIncarnation == incarnation))
            && set.Members.GetValueOrDefault(node)?.JoinedIncarnation == incarnation;
    }
}
