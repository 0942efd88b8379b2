using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Status;

/// <summary>Why a set is not okay and what to do, worst first. Codes are stable.</summary>
internal static class HealthCauses
{
    public static IEnumerable<HealthCause> Of(
        ClusterState state, SetState set, bool isServed, Func<string, string?>? standingOf = null)
    {
        if (!isServed)
        {
            yield return set.Members.Values.Any(member => member.JoinedIncarnation != 0)
                ? new HealthCause("RM1001 NO_LIVE_NODE", set.Name, "every joined node is suspect, fenced or down", "start a node of the set")
                : new HealthCause("RM1002 RELEASED", set.Name, "no node has joined", $"start a node of the set, or: raftmirror set join {set.Name} --member NODE");
        }

        var volumes = set.Volumes.Values.OrderBy(volume => volume.Number).ToList();
        foreach (var cause in volumes.SelectMany(volume => OfLegs(set, volume))) yield return cause;
        foreach (var cause in volumes.SelectMany(volume => OfRepair(set, volume))) yield return cause;
        foreach (var disk in set.Disks.Values.Where(disk => disk.Status == ControlPlane.Model.DiskStatus.Failed))
        {
            yield return new HealthCause(
                "RM1201 DISK_FAILED", $"{set.Name}/{disk.Name}", $"disk {disk.Name} takes no new logs or submirrors",
                "check its path on every node");
        }

        foreach (var cause in MissingDiskCauses.Of(state, set)) yield return cause;
        foreach (var cause in set.Members.Values.SelectMany(member => OfMember(state, set, member, standingOf?.Invoke(member.Node)))) yield return cause;
    }

    private static IEnumerable<HealthCause> OfLegs(SetState set, VolumeState volume)
    {
        var name = $"{set.Name}/{volume.Name}";
        if (!volume.Submirrors.Any(leg => leg.IsReadable))
        {
            yield return new HealthCause("RM1101 NO_READABLE_LEG", name, "no submirror has the data", "restore it from a backup");
        }

        foreach (var leg in volume.Submirrors)
        {
            var disks = string.Join(", ", leg.Extents.Select(extent => extent.Disk).Distinct());
            if (leg.Status == LegState.Maintenance)
            {
                yield return new HealthCause(
                    "RM1102 LEG_FAILED", name, $"submirror {leg.Name} on {disks} failed",
                    $"check {disks}; then make a new mirror from the data, which the other legs have");
            }

            if (leg.Status == LegState.LastErred)
            {
                yield return new HealthCause(
                    "RM1103 LAST_GOOD_LEG", name, $"submirror {leg.Name} on {disks} fails and is the only source",
                    "copy the data away now");
            }

            if (leg.Status == LegState.Offline)
            {
                yield return new HealthCause(
                    "RM1104 LEG_OFFLINE", name, $"submirror {leg.Name} on {disks} is offline; what it misses is kept",
                    $"bring {disks} back: it then gets what it missed, by itself");
            }
        }
    }

    private static IEnumerable<HealthCause> OfRepair(SetState set, VolumeState volume)
    {
        var name = $"{set.Name}/{volume.Name}";
        if (volume.Resync is { } resync)
        {
            var why = volume.Submirrors.Any(leg => leg.Status == LegState.Resyncing)
                ? resync.IsEverythingOwed ? "a submirror that came back gets a full copy" : "a submirror that came back gets what it missed"
                : resync.Kind == ResyncKind.Submirror ? "a new submirror gets a full copy"
                : resync.IsEverythingOwed ? "a dirty log was in doubt, so everything is compared" : "a writer crashed; its marked regions are made equal";
            yield return new HealthCause(
                "RM1301 RESYNC", name, why,
                volume.Pass == 0 ? "pass number 0: it never starts by itself" : "none: it ends by itself");
        }

        if (volume.ReadPin is { } pin)
        {
            var earlier = pin.SinceIndex < pin.CrashedAtIndex ? $", and others since {TimeOf(pin.SinceMs)}" : "";
            yield return new HealthCause(
                "RM1302 READS_PINNED", name,
                $"writer {pin.Node} crashed at {TimeOf(pin.CrashedAtMs)} (index {pin.CrashedAtIndex}){earlier}; reads of this ABR volume use one leg, since the legs may differ",
                $"let the application recover the volume, then: raftmirror mirror recovered {name} --as-of {pin.CrashedAtIndex}");
        }
    }

    private static string TimeOf(long unixMs) =>
        DateTimeOffset.FromUnixTimeMilliseconds(unixMs).ToString("yyyy-MM-dd HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private static IEnumerable<HealthCause> OfMember(ClusterState state, SetState set, MemberState member, string? standing)
    {
        if (member.IsMergeOwed)
        {
            yield return new HealthCause(
                "RM1401 MERGE_OWED", $"{set.Name}:{member.Node}", $"the dirty log of {member.Node} is not merged yet",
                "none while another node of the set is up");
        }

        if (standing is NodeStandings.Outdated or NodeStandings.Conflicting)
        {
            yield return new HealthCause(
                standing == NodeStandings.Outdated ? "RM1461 DIRECTORY_OUTDATED" : "RM1462 HISTORIES_CONFLICT", $"{set.Name}:{member.Node}",
                standing == NodeStandings.Outdated
                    ? $"the data directory of {member.Node} is an older copy: it neither votes nor serves"
                    : $"the committed history of {member.Node} contradicts another's: nothing is changed until one is given up",
                NodeStandings.HelpFor(standing, member.Node)!);
        }
        else if (state.Node(member.Node) is { } node && !node.IsLive && !member.HasLeft)
        {
            yield return new HealthCause(
                "RM1402 NODE_NOT_UP", $"{set.Name}:{member.Node}", $"node {member.Node} is {(standing is "quarantined" or "removed" ? standing : StatusBuilder.WordOf(node))}",
                standing switch
                {
                    "quarantined" => $"raftmirror raft reseed {member.Node}; its volumes are served by the others",
                    "removed" => $"start a new {member.Node} with an empty --data and --join: it takes this place",
                    _ => $"start node {member.Node}; its volumes are served by the others",
                });
        }
    }
}
