using RaftMirror.Cli.Api;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Cli.Output;

/// <summary>Live nodes of a set that do not hear each other (ADR 0019).</summary>
internal static class LinkCauses
{
    public static IEnumerable<HealthCause> Of(ClusterState state, SetState set, LiveFigures live)
    {
        foreach (var member in set.Members.Values)
        {
            if (member.HasLeft || state.Node(member.Node) is not { IsLive: true } node) continue;
            var unheard = (live.Nodes.GetValueOrDefault(member.Node)?.Unheard ?? []).Where(set.Members.ContainsKey).ToList();
            if (unheard.Count == 0) continue;
            var isJoined = Duties.IsJoined(node, member);
            yield return new HealthCause(
                "RM1406 NODES_APART", $"{set.Name}:{member.Node}",
                $"node {member.Node} and {string.Join(", ", unheard)} do not hear each other"
                    + (isJoined ? "; the one with fewer links, else with the higher name, loses its lease"
                        : $", so {member.Node} does not join the set: who serves it would wait for {member.Node}"),
                $"mend the network between {member.Node} and {string.Join(", ", unheard)}; it goes on by itself then");
        }
    }
}
