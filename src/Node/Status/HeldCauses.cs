using System.Globalization;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Status;

/// <summary>Client requests that wait without I/O of their own under way: for what, since when, and what to do (design §14.20).</summary>
internal static class HeldCauses
{
    private const long ShownFromMs = 1000;

    public static IEnumerable<HealthCause> Of(SetState set, LiveFigures live)
    {
        foreach (var volume in set.Volumes.Values.OrderBy(volume => volume.Number))
        {
            var name = $"{set.Name}/{volume.Name}";
            if (live.Volumes.GetValueOrDefault(name)?.Held is not { } held || held.AgeMs < ShownFromMs) continue;
            var (what, action) = Describe(name, held);
            yield return new HealthCause(
                "RM1107 REQUEST_HELD", name,
                $"{held.Requests} {(held.Requests == 1 ? "request waits" : "requests wait")} on {held.Node}, the oldest for {Seconds(held.AgeMs)}, {what}; "
                    + "after 30 s it is dropped, counted anew from a submirror's failure under it",
                action);
        }
    }

    private static (string What, string Action) Describe(string volume, HoldLive held)
    {
        var on = held.On ?? "another node";
        return held.Reason switch
        {
            HoldReason.OlderWrite => (
                $"for an older write of the same bytes on {on}: its client may have given that one up, so it must end first",
                $"see what {on} waits for; if it hangs on a disk, check that disk and its path on {on}"),
            HoldReason.Answer => (
                $"until {on} answers whether it has older writes of the same bytes",
                $"none: {on} answers, or is fenced; if it lasts or comes back, check {on} and the network between {on} and {held.Node}"),
            HoldReason.FormerConnection => (
                $"until what came on former connections has ended on {on}",
                $"none: {on} says so, or is fenced; if it lasts, see what {on} waits for"),
            HoldReason.Owner => (
                $"for ownership{(held.On is null ? "" : $", which {on} has not given up yet")}",
                $"none; if it lasts, see what {on} waits for, and raftmirror owner show {volume}"),
            HoldReason.LegLoss => (
                $"until the loss of {held.On ?? "a submirror"} is committed, and every node has stopped using it",
                "none: it needs a majority, and each joined node's word; check nodes that are not up"),
            HoldReason.Disk => ($"since {on}", "see the causes that name the disk"),
            HoldReason.Marks => ("for its mark in the dirty log", $"none; if it lasts, check the disks of the dirty log of {held.Node}"),
            HoldReason.Log => ($"for a dirty log on {held.Node}", $"none; if it lasts, look at the log of {held.Node}"),
            HoldReason.Lease => ("for a lease from the leader", $"check the network between {held.Node} and the leader; without a majority of voters there is none"),
            HoldReason.Join => ($"until {held.Node} has joined the set", $"none; if it lasts, look at the log of {held.Node}"),
            HoldReason.Copy => ($"for a copy of its bytes, which {on} makes", $"none; if it lasts, check {on}"),
            HoldReason.Merge => ($"until what {on} wrote last is merged", $"none: {on} answers, or is fenced and merged"),
            HoldReason.Repair => ($"until {on} has made the submirrors equal where it reads", $"none; if it lasts, check {on}"),
            _ => ("for a request of the same bytes", $"see what {held.Node} waits for"),
        };
    }

    private static string Seconds(long ms) => (ms / 1000.0).ToString("0.0", CultureInfo.InvariantCulture) + " s";
}
