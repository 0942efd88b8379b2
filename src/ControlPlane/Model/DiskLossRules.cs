using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>What the members of a set, taken together, say of a disk.</summary>
public enum DiskView
{
    /// <summary>A member that is up can use it, or nobody has said anything against it.</summary>
    Seen,

    /// <summary>Each member that has spoken misses it; another one may still come that does not.</summary>
    MissedSoFar,

    /// <summary>Every member is up and misses it.</summary>
    Missed,
}

/// <summary>Who may go on without a disk, and when a lost one may come back (design §14.21): path is not media, so one node's word never
/// takes a disk from the others. Pure.</summary>
public static class DiskLossRules
{
    /// <summary>What all members say of a disk, lost or not.</summary>
    public static DiskView ViewOf(ClusterState state, SetState set, string disk)
    {
        var (isMissed, isOpen) = (false, false);
        foreach (var member in set.Members.Values)
        {
            if (member.HasLeft) continue;
            if (state.Node(member.Node) is not { IsLive: true } node || member.DisksBy != node.Incarnation)
            {
                isOpen = true; // Down, or has not looked yet.
                continue;
            }

            if (member.ComplaintOf(disk, node.Incarnation) is not { } complaint) return DiskView.Seen;
            isMissed = true;
            isOpen |= complaint.Reason == DiskLossReason.Unproven; // It waits for another node's word.
        }

        return !isMissed ? DiskView.Seen : isOpen ? DiskView.MissedSoFar : DiskView.Missed;
    }

    /// <summary>Disks in use that no member sees, so that the set must go on without them; those that a member who is not there yet may see
    /// only if the wait for it is over.</summary>
    public static ImmutableArray<string> ToLose(ClusterState state, SetState set, bool hasWaited) =>
    [
        .. set.Disks.Values.Where(disk => disk.Status == DiskStatus.Okay && ViewOf(state, set, disk.Name) switch
        {
            DiskView.Missed => true,
            DiskView.MissedSoFar => hasWaited,
            _ => false,
        }).OrderBy(disk => IsContentDoubtful(set.Members.Values.SelectMany(static member => member.Disks).Where(told => told.Disk == disk.Name)) ? 0 : 1)
            .Select(static disk => disk.Name),
    ];

    /// <summary>True if what is said of a disk is that what is on it does not count. Of disks that are lost together those go first: the last source
    /// of a volume stays one, and it must be the leg that is merely away.</summary>
    public static bool IsContentDoubtful(IEnumerable<DiskComplaint> complaints) => complaints.Any(static told => told.Reason
        is DiskLossReason.Older or DiskLossReason.Newer or DiskLossReason.Foreign or DiskLossReason.Cloned or DiskLossReason.Resized);

    /// <summary>True if a node may be the first to serve a set although it misses disks: no member that is up misses fewer, and, unless the
    /// wait for them is over, none may still come.</summary>
    public static bool MayEnterFirst(ClusterState state, SetState set, string self, bool hasWaited)
    {
        var own = Missed(set, set.Members[self]);
        if (own == 0) return true;
        foreach (var member in set.Members.Values)
        {
            if (member.Node == self || member.HasLeft) continue;
            if (state.Node(member.Node) is not { IsLive: true } node || member.DisksBy != node.Incarnation)
            {
                if (!hasWaited) return false;
                continue;
            }

            var isBetter = Missed(set, member) < own || (Missed(set, member) == own && node.Id < state.Nodes[self].Id);
            if (isBetter) return false;
        }

        return true;
    }

    /// <summary>Disks in use that a member misses; lost ones are missed by all alike.</summary>
    private static int Missed(SetState set, MemberState member) =>
        member.Disks.Count(complaint => set.Disks.GetValueOrDefault(complaint.Disk)?.Status == DiskStatus.Okay);

    /// <summary>True if a node has a part in the set: it can use a disk, or there is none to use. A node that can use none serves nothing, and
    /// stays out, which status shows.</summary>
    public static bool HasPart(SetState set, IReadOnlyCollection<DiskComplaint> complaints) =>
        set.Disks.Values.All(static disk => disk.Status != DiskStatus.Okay)
        || set.Disks.Values.Any(disk => disk.Status == DiskStatus.Okay && complaints.All(complaint => complaint.Disk != disk.Name));

    /// <summary>True if nothing stands against the return of a lost disk but its content: each member that serves the set sees it, and nothing of
    /// the loss is under way.</summary>
    public static bool MayReturn(ClusterState state, SetState set, DiskState disk)
    {
        if (disk.Status != DiskStatus.Lost || !disk.Users.IsEmpty) return false;
        foreach (var volume in set.Volumes.Values)
        {
            foreach (var barrier in volume.Barriers)
            {
                if (barrier.Kind == BarrierKind.LegLoss && volume.Submirrors.Any(leg => leg.Name == barrier.Submirror && leg.IsOn(disk.Name)))
                    return false;
            }
        }

        var joined = set.Members.Values.Where(member => state.Node(member.Node) is { } node && Duties.IsJoined(node, member)).ToList();
        return joined.Count > 0 && joined.TrueForAll(member => member.DisksBy == member.JoinedIncarnation
            && member.ComplaintOf(disk.Name, member.JoinedIncarnation) is null or { MayBeRefilled: true }
            && !(NeedsRefill(set, disk.Name) && HoldsOnlySource(set, disk.Name)));
    }

    /// <summary>True if a member that serves the set says that nothing on the disk counts, so that all must be copied to it anew.</summary>
    public static bool NeedsRefill(SetState set, string disk) => set.Members.Values.Any(
        member => member.JoinedIncarnation != 0 && member.ComplaintOf(disk, member.JoinedIncarnation) is { MayBeRefilled: true });

    /// <summary>True if some volume on that disk has no other source now: an older copy must not take its place.</summary>
    public static bool HoldsOnlySource(SetState set, string disk) => OnlySources(set, disk).Any();

    /// <summary>Volumes that have their data on a lost disk alone, or on others that are lost too: nothing can be copied to it now, and of two old
    /// copies nobody can say yet which one is to be overwritten.</summary>
    public static IEnumerable<VolumeState> OnlySources(SetState set, string disk) => set.Volumes.Values.Where(volume =>
        volume.Submirrors.Any(leg => leg.IsReadable && leg.IsOn(disk))
        || (volume.Submirrors.Any(leg => leg.Status == LegState.Offline && leg.IsOn(disk))
            && !volume.Submirrors.Any(leg => leg.IsReadable && leg.Extents.All(extent => set.Disks[extent.Disk].Status != DiskStatus.Lost))));
}
