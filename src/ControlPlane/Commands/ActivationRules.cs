using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>When a set may be activated, joined, stamped and left (design §14.19). Each throws a refusal or returns. Pure.</summary>
internal static class ActivationRules
{
    /// <summary>A node that joins must find a node that serves, or activate the set: whoever serves first must have stamped the disks.</summary>
    public static void CheckJoin(ClusterState state, SetState set)
    {
        if (set.Disks.IsEmpty) return;
        if (set.Members.Values.Any(member => Duties.IsJoined(state.Nodes[member.Node], member))) return;
        if (Stamps.NeedsActivation(set))
            Reject("notActive", $"Nobody serves '{set.Name}': its disks are stamped first, then it is joined. The node does that by itself.");
        Reject("busy", $"Nodes that served '{set.Name}' are silent and not fenced yet; wait until they are, or are back.");
    }

    /// <summary>Nobody serves the set, and no live node is activating it.</summary>
    public static void CheckStart(ClusterState state, SetState set, string node, ulong incarnation)
    {
        if (!Stamps.NeedsActivation(set))
            Reject("active", $"'{set.Name}' is served, or has no disks, or a former node of it is not fenced yet: join it when that is so.");
        if (Stamps.IsActivatedByOther(state, set, node, incarnation))
            Reject("busy", $"Node '{set.Activating!.Node}' is activating '{set.Name}'; wait for it.");
    }

    /// <summary>The activation is the one under way, and a disk carries it.</summary>
    public static void CheckComplete(ClusterState state, SetState set, CompleteActivation c)
    {
        CheckUnderWay(set, c.Activation, c.Node, c.Incarnation);
        CheckDisks(set, c.Disks);
        if (c.Disks.IsEmpty && !Stamps.DisksToStamp(set).IsEmpty) // With all of them lost, somebody must join to bring them back.
            Reject("noDisk", $"No disk of '{set.Name}' could be stamped, so it cannot be served.");
        if (FindNewer(state, set, c) is { } newer)
            Reject("diskNewer", $"'{newer.Disk}' is newer than the cluster's state, so to serve '{set.Name}' without it would be to go back in time: {newer.Detail}.");
    }

    /// <summary>The activation is the one under way, and the node's.</summary>
    public static void CheckUnderWay(SetState set, ulong activation, string node, ulong incarnation)
    {
        if (set.Activating is not { } running || running.Number != activation || running.Node != node || running.Incarnation != incarnation)
            Reject("staleActivation", $"Activation {activation} of '{set.Name}' by '{node}' is not under way any more.");
    }

    /// <summary>What the activating node found, or another live one that has looked.</summary>
    private static DiskComplaint? FindNewer(ClusterState state, SetState set, CompleteActivation c)
    {
        var own = c.Complaints.IsDefault ? [] : c.Complaints;
        var others = set.Members.Values
            .Where(member => member.Node != c.Node && state.Node(member.Node) is { IsLive: true } node && member.DisksBy == node.Incarnation)
            .SelectMany(static member => member.Disks);
        return own.Concat(others).FirstOrDefault(known => known.Reason == DiskLossReason.Newer && set.Disks.ContainsKey(known.Disk));
    }

    /// <summary>The stamp is the one that may be written, by the one node that may write it.</summary>
    public static void CheckStamp(ClusterState state, SetState set, StampLabels c)
    {
        if (Duties.SetDuty(state, set)?.Name != c.Node)
            Reject("notDuty", $"Node '{c.Node}' does not stamp the disks of '{set.Name}': {Duties.SetDuty(state, set)?.Name ?? "nobody"} does.");
        if (c.Stamp > set.NextStamp!.Number) Reject("badStamp", $"Stamp {c.Stamp} of '{set.Name}' was never opened; {set.NextStamp.Number} is.");
        CheckDisks(set, c.Disks);
    }

    /// <summary>The last node to leave a set has made its closing beat, or says that it could not.</summary>
    public static void CheckClosed(SetState set, string node, ulong incarnation, bool isClosed)
    {
        if (isClosed || !Stamps.IsLastJoined(set, node, incarnation)) return;
        Reject("closingBeatOwed", $"Node '{node}' is the last one that serves '{set.Name}': it stamps the disks once more before it goes.");
    }

    /// <summary>True if the survivors of every lost submirror carry the generation, so that its barrier may end: design §14.10 wants it on
    /// the disks that will be read.</summary>
    public static bool IsGenerationStamped(SetState set, ImmutableArray<string> stamped)
    {
        foreach (var volume in set.Volumes.Values)
        {
            var survivors = Stamps.Survivors(set, volume);
            if (!survivors.IsEmpty && !survivors.Any(disk => stamped.Contains(disk))) return false;
        }

        return true;
    }

    private static void CheckDisks(SetState set, ImmutableArray<string> disks)
    {
        if (disks.IsDefault) throw new RejectionException("badDisks", RejectionKind.Usage, false, "Name the disks that were stamped.");
        foreach (var disk in disks)
        {
            if (set.Disks.GetValueOrDefault(disk) is not { } known || !Stamps.IsInUse(set, known))
                Reject("diskNotOkay", $"'{disk}' is no disk of '{set.Name}' that is in use; it is not stamped.");
        }
    }

    [System.Diagnostics.CodeAnalysis.DoesNotReturn]
    private static void Reject(string code, string message) => throw new RejectionException(code, RejectionKind.Precondition, true, message);
}
