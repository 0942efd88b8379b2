using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Primitives;
using DiskPhase = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Status;

/// <summary>Disks that nobody uses or that a node cannot use, nodes that are kept out by them, and what to do: each with a verb that exists
/// (design §14.21).</summary>
internal static class MissingDiskCauses
{
    public static IEnumerable<HealthCause> Of(ClusterState state, SetState set) =>
        set.Volumes.Values.OrderBy(volume => volume.Number).SelectMany(volume => OfLastLeg(set, volume)).Concat(
            set.Disks.Values.SelectMany(disk => OfDisk(state, set, disk))).Concat(
            set.Members.Values.SelectMany(member => OfMember(state, set, member)));

    /// <summary>Why a node that is up does not serve a set of its own, or a volume of it: one line each.</summary>
    public static IEnumerable<string> Unready(ClusterState state, SetState set, NodeState node) =>
        set.Members.GetValueOrDefault(node.Name) is not { } member
            ? []
            : OfMember(state, set, member).Select(cause => $"{cause.Object}: {cause.Cause}; {cause.Action}");

    /// <summary>What is wrong with a lost disk, in one line.</summary>
    public static string Describe(DiskState disk) => $"{WordOf(disk.LossReason)}: {disk.LossDetail}";

    /// <summary>What a node says of the disks that it cannot use; null if it has nothing to say.</summary>
    public static string? Describe(SetState set, MemberState member, ulong incarnation)
    {
        var complaints = Complaints(set, member, incarnation);
        return complaints.Count == 0 ? null : string.Join("; ", complaints.Select(complaint => complaint.Detail));
    }

    private static List<DiskComplaint> Complaints(SetState set, MemberState member, ulong incarnation) =>
        member.DisksBy == incarnation ? [.. member.Disks.Where(complaint => set.Disks.ContainsKey(complaint.Disk))] : [];

    private static IEnumerable<HealthCause> OfLastLeg(SetState set, VolumeState volume)
    {
        var readable = volume.Submirrors.Where(leg => leg.IsReadable).ToList();
        if (readable.Count == 0 || !readable.TrueForAll(leg => LostDiskOf(set, leg) is not null)) yield break;
        var lost = string.Join(", ", readable.Select(leg => LostDiskOf(set, leg)!.Name));
        yield return new HealthCause(
            "RM1106 LAST_LEG_LOST", $"{set.Name}/{volume.Name}", $"the only submirror with the data is on {lost}, which is lost; its I/O waits",
            $"bring {lost} back: the volume goes on by itself");
    }

    private static DiskState? LostDiskOf(SetState set, SubmirrorState leg) =>
        leg.Extents.Select(extent => set.Disks[extent.Disk]).FirstOrDefault(disk => disk.Status == DiskPhase.Lost);

    private static IEnumerable<HealthCause> OfDisk(ClusterState state, SetState set, DiskState disk)
    {
        var name = $"{set.Name}/{disk.Name}";
        if (disk.Status == DiskPhase.Lost)
        {
            var now = SeenNow(state, set, disk);
            var seen = now is not null && disk.LossDetail?.Contains(now.Detail, StringComparison.Ordinal) != true ? $"; seen there now: {now.Detail}" : "";
            yield return new HealthCause(
                "RM1202 DISK_LOST", name, $"disk {disk.Name} is used by no node since index {disk.LostAtIndex} ({Describe(disk)}){seen}",
                ToDo(set, disk, now));
        }

        foreach (var member in set.Members.Values)
        {
            if (state.Node(member.Node) is not { IsLive: true } node || member.ComplaintOf(disk.Name, node.Incarnation) is not { } complaint) continue;
            var isLost = disk.Status == DiskPhase.Lost;
            if (isLost && set.Members.Values.All(other => state.Node(other.Node) is not { IsLive: true } live
                || other.ComplaintOf(disk.Name, live.Incarnation) is not null)) continue; // Nobody sees it: said above.
            yield return new HealthCause(
                "RM1205 DISK_NOT_SEEN", $"{name}:{member.Node}",
                $"node {member.Node} cannot use disk {disk.Name} ({WordOf(complaint.Reason)}: {complaint.Detail})"
                    + (isLost ? ", so it is not taken back" : ""),
                Remedy(set, disk, complaint, member.Node));
        }
    }

    /// <summary>What a node that is up says of a lost disk, the worst first: one that sees nothing there knows less than one that sees an old one.</summary>
    private static DiskComplaint? SeenNow(ClusterState state, SetState set, DiskState disk) => set.Members.Values
        .Select(member => state.Node(member.Node) is { IsLive: true } node ? member.ComplaintOf(disk.Name, node.Incarnation) : null)
        .OfType<DiskComplaint>().OrderBy(static complaint => complaint.Reason is DiskLossReason.Absent or DiskLossReason.Unreachable or DiskLossReason.TimedOut)
        .ThenBy(static complaint => complaint.MayBeRefilled).FirstOrDefault();

    private static string ToDo(SetState set, DiskState disk, DiskComplaint? now)
    {
        var only = string.Join(", ", DiskLossRules.OnlySources(set, disk.Name).Select(volume => $"{set.Name}/{volume.Name}"));
        return now switch
        {
            { MayBeRefilled: true } or { Reason: DiskLossReason.Resized } when only.Length > 0 =>
                $"no other disk has the data of {only} now: bring its other submirror back, or put the disk back that was there; or give that data up (raftmirror mirror delete), and the disk comes back by itself",
            null => BringBack(set, disk),
            _ => Remedy(set, disk, now, null),
        };
    }

    /// <summary>What to do about a disk, by what was found in its place. Exhaustive: what is right for one finding makes another worse.</summary>
    /// <param name="set">Set.</param>
    /// <param name="disk">Disk of it.</param>
    /// <param name="found">What a node says of it.</param>
    /// <param name="node">The node, if it is about that one alone; null if about all.</param>
    internal static string Remedy(SetState set, DiskState disk, DiskComplaint found, string? node)
    {
        var (where, path) = (node is null ? "" : $" on {node}", node is null ? "[NODE=]PATH" : $"{node}=PATH");
        return found.Reason switch
        {
            DiskLossReason.Newer =>
                "start the node that has the newer state (raftmirror raft recover leads out for the log, not for this disk: what is newer than the state stays refused)",
            DiskLossReason.Unproven => "none: it is compared once the nodes that serve the set answer; if it lasts, look at the nodes that do not",
            DiskLossReason.Cloned => $"take the copy away{where}, or correct the path: {NewPath(set, disk, path)}",
            DiskLossReason.Foreign => $"put {disk.Name} back under its path{where}, or tell where it is: {NewPath(set, disk, path)}",
            // Where the others use the disk itself, this is another one, and they need no copy of it.
            DiskLossReason.Older when disk.Status != DiskPhase.Lost => $"put {disk.Name} itself back under its path{where}, or tell where it is: {NewPath(set, disk, path)}",
            _ when found.MayBeRefilled => "none: once every node that serves the set sees it, all data is copied to it anew, by itself",
            DiskLossReason.Older => $"put the newer one back, or tell where it is: {NewPath(set, disk, path)}",
            DiskLossReason.Resized => $"give it {disk.SizeBytes} bytes or more again; then all data is copied to it anew, by itself",
            DiskLossReason.TimedOut or DiskLossReason.FailsHere =>
                $"mend the way to it{where}: cable, controller, zoning, permissions; once it answers there it is used again, by itself",
            DiskLossReason.None or DiskLossReason.Unreachable or DiskLossReason.Absent => node is null
                ? BringBack(set, disk)
                : $"mend the way to it{where}, or: {NewPath(set, disk, path)}",
            var other => throw new InvariantException($"No remedy is known for {other}."),
        };
    }

    private static string BringBack(SetState set, DiskState disk) =>
        $"bring it back, and it gets what it missed; if it is elsewhere: {NewPath(set, disk, "[NODE=]PATH")}";

    private static string NewPath(SetState set, DiskState disk, string path) => $"raftmirror disk set {set.Name} {disk.Name} --path {path}";

    private static IEnumerable<HealthCause> OfMember(ClusterState state, SetState set, MemberState member)
    {
        if (member.HasLeft || state.Node(member.Node) is not { IsLive: true } node) yield break;
        if (Duties.IsJoined(node, member))
        {
            var unserved = set.Volumes.Values.OrderBy(volume => volume.Number)
                .Where(volume => !Duties.CanServe(state, set, volume, node.Name)).Select(volume => volume.Name).ToList();
            if (unserved.Count == 0) yield break;
            yield return new HealthCause(
                "RM1405 NOT_SERVED_HERE", $"{set.Name}:{member.Node}",
                $"node {member.Node} serves {string.Join(", ", unserved)} not at all, since it cannot use a disk of it ({Describe(set, member, node.Incarnation)})",
                "the other nodes serve it: clients of this node connect there meanwhile");
            yield break;
        }

        var remedies = Complaints(set, member, node.Incarnation)
            .Select(complaint => $"{complaint.Disk}: {Remedy(set, set.Disks[complaint.Disk], complaint, member.Node)}").ToList();
        yield return new HealthCause(
            "RM1403 NOT_JOINED", $"{set.Name}:{member.Node}",
            $"node {member.Node} is up and has not joined ({Describe(set, member, node.Incarnation) ?? "it has not said why yet"})",
            remedies.Count == 0 ? $"wait a moment; else look at the log of {member.Node}" : string.Join("; ", remedies));
    }

    private static string WordOf(DiskLossReason reason) => reason switch
    {
        DiskLossReason.Absent => "absent",
        DiskLossReason.TimedOut => "timed out",
        DiskLossReason.Older => "older copy",
        DiskLossReason.Newer => "newer than the cluster",
        DiskLossReason.Foreign => "another disk",
        DiskLossReason.Cloned => "copy",
        DiskLossReason.Resized => "resized",
        DiskLossReason.Unproven => "not compared yet",
        DiskLossReason.FailsHere => "fails there only",
        _ => "unreachable",
    };
}
