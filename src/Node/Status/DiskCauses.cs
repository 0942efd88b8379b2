using System.Globalization;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using DiskPhase = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Status;

/// <summary>What waits for a disk that hangs, for how long, and what to do: nothing waits without a cause that names it (design §14.20).</summary>
internal static class DiskCauses
{
    private const long SlowMs = 1000;

    public static IEnumerable<HealthCause> Of(SetState set, LiveFigures live) =>
        set.Disks.Values.SelectMany(disk => OfDisk(set, disk, live)).Concat(
            set.Volumes.Values.OrderBy(volume => volume.Number).SelectMany(volume => OfVolume(set, volume, live))).Concat(
            set.Members.Values.SelectMany(member => OfLog(set, member)));

    private static IEnumerable<HealthCause> OfDisk(SetState set, DiskState disk, LiveFigures live)
    {
        var name = $"{set.Name}/{disk.Name}";
        foreach (var here in live.Disks.GetValueOrDefault(name) ?? [])
        {
            if (here.GrownToBytes > 0)
            {
                yield return new HealthCause(
                    "RM1206 DISK_GROWN", name, $"disk {disk.Name} has grown to {here.GrownToBytes} bytes; it is used up to {disk.SizeBytes}, which it was added with",
                    $"none: its data is safe; to be rid of this, give it {disk.SizeBytes} bytes again, which cuts nothing that is used");
            }

            if (here.IsPathGone)
            {
                yield return new HealthCause(
                    "RM1207 DISK_PATH_GONE", name,
                    $"what {here.Node} uses as disk {disk.Name} is not under {disk.PathOn(here.Node)} any more: it was deleted, moved or replaced; it is used as long as the nodes that have it open run",
                    "if it was moved, move it back before a node is restarted; if it was deleted, see that its volumes have another submirror: they go on without it after a restart");
            }

            if (here.OldestMs < SlowMs || disk.Status == DiskPhase.Lost) continue;
            var (what, action) = here.Phase switch
            {
                "onlyHere" => ("; another node reaches it, so that this node serves nothing that needs it",
                    $"check the path of {disk.Name} on {here.Node}; clients go on through the other nodes"),
                "allSlow" => ("; what lies on it lies elsewhere on disks that are slow as well, so none is given up",
                    "check what the disks have in common: controller, path, pool, host"),
                _ => ($"; from {Seconds(set.DeviceTimeoutMs)} on it is lost where the other nodes say the same",
                    $"none yet; if it lasts, check {disk.Name} and its path on {here.Node}"),
            };
            yield return new HealthCause(
                "RM1203 DISK_SLOW", name, $"a call to {disk.Name} has been hanging on {here.Node} for {Seconds(here.OldestMs)}{what}", action);
        }

        if (disk.Status != DiskPhase.Lost || disk.Users.IsEmpty) yield break;
        var users = string.Join(", ", disk.Users.Select(user => Waits(name, user, live)));
        yield return new HealthCause(
            "RM1204 DISK_IO_OUTSTANDING", name, $"calls to the lost disk {disk.Name} may still land: {users}; until they have ended it is not used again",
            "none if it answers again; else reboot the machines named, which ends them; of one that stays off for good: raftmirror node confirm-off NODE");
    }

    private static string Waits(string disk, DiskUser user, LiveFigures live)
    {
        var here = (live.Disks.GetValueOrDefault(disk) ?? []).FirstOrDefault(item => item.Node == user.Node);
        return here is { OldestMs: > 0 } ? $"{user.Node} (the oldest for {Seconds(here.OldestMs)})" : $"{user.Node} (incarnation {user.Incarnation})";
    }

    private static IEnumerable<HealthCause> OfVolume(SetState set, VolumeState volume, LiveFigures live)
    {
        var name = $"{set.Name}/{volume.Name}";
        if (live.Volumes.GetValueOrDefault(name)?.Wait is not { } wait || wait.AgeMs < SlowMs) yield break;
        var isLast = volume.Submirrors.Count(leg => leg.IsReadable) < 2;
        yield return new HealthCause(
            "RM1105 IO_WAITS", name,
            $"{wait.Requests} {(wait.Requests == 1 ? "request waits" : "requests wait")} on {wait.Node}, the oldest for {Seconds(wait.AgeMs)} for {wait.Leg} on disk {wait.Disk}"
            + (isLast ? ", the only submirror with the data: it is never given up, and ownership does not move meanwhile" : ""),
            isLast ? $"check {wait.Disk} and its path on {wait.Node}; clients are dropped after 30 s and may connect anew"
                : $"none: {wait.Disk} is given up after {Seconds(set.DeviceTimeoutMs)} if no node reaches it");
    }

    private static IEnumerable<HealthCause> OfLog(SetState set, MemberState member)
    {
        var okay = set.Disks.Values.Count(disk => disk.Status == DiskPhase.Okay);
        if (member is not { IsMergeOwed: false, Slot: { Disks.Length: 1 } slot } || okay < 2) yield break;
        yield return new HealthCause(
            "RM1404 LOG_ON_ONE_DISK", $"{set.Name}:{member.Node}",
            $"the dirty log of {member.Node} is on disk {slot.Disks[0]} alone, since its other one was slow or missing; if that is lost, everything is compared",
            $"none: once the set is at rest, {member.Node} opens it anew on two by itself");
    }

    private static string Seconds(long ms) => string.Create(CultureInfo.InvariantCulture, $"{ms / 1000.0:0.0} s");
}
