using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Node.Status;

/// <summary>Live nodes of a set that do not hear each other (ADR 0019).</summary>
internal static class LinkCauses
{
    public static IEnumerable<HealthCause> Of(ClusterState state, SetState set, LiveFigures live)
    {
        foreach (var member in set.Members.Values)
        {
            if (member.HasLeft || state.Node(member.Node) is not { IsLive: true } node) continue;
            if (OfMember(set, node, member, live.Nodes.GetValueOrDefault(member.Node)?.Unheard ?? []) is { } cause) yield return cause;
        }
    }

    /// <summary>Why a node that is up does not join a set of its own, if it is kept out by others that it does not hear.</summary>
    public static IEnumerable<string> Unready(SetState set, NodeState node, IReadOnlyList<string> unheard)
    {
        if (set.Members.GetValueOrDefault(node.Name) is not { HasLeft: false } member || Duties.IsJoined(node, member)) yield break;
        if (OfMember(set, node, member, unheard) is { } cause) yield return $"{cause.Object}: {cause.Cause}; {cause.Action}";
    }

    private static HealthCause? OfMember(SetState set, NodeState node, MemberState member, IReadOnlyList<string> unheard)
    {
        var names = string.Join(", ", unheard.Where(set.Members.ContainsKey));
        if (names.Length == 0) return null;
        return new HealthCause(
            "RM1406 NODES_APART", $"{set.Name}:{member.Node}",
            $"node {member.Node} and {names} do not hear each other"
                + (Duties.IsJoined(node, member) ? "; the one with fewer links, else with the higher name, loses its lease"
                    : $", so {member.Node} does not join the set: who serves it would wait for {member.Node}"),
            $"mend the network between {member.Node} and {names}; it goes on by itself then");
    }
}
