using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>Folds the return of a disk into a set. Pure.</summary>
internal static class ReturnEvolution
{
    public static SetState After(SetState set, DiskReturned e, ulong index)
    {
        var members = set.Members;
        // That it is old was said of what is overwritten now: each node judges it anew.
        foreach (var (name, member) in set.Members)
            members = members.SetItem(name, member with { Disks = member.Disks.RemoveAll(told => told.Disk == e.Disk && told.MayBeRefilled) });
        var disk = set.Disks[e.Disk];
        return set with
        {
            Members = members,
            Disks = set.Disks.SetItem(e.Disk, disk with
            {
                Status = DiskStatus.Okay,
                LossReason = DiskLossReason.None,
                LossDetail = null,
                LostAtIndex = 0,
                Users = [],
                Stamp = e.IsEverythingOwed ? null : disk.Stamp, // An old label is on it until the next beat, which is due at once.
                LeftAt = null,
                ReturnedAtIndex = index,
                AwaitsStamp = true,
            }),
        };
    }
}
