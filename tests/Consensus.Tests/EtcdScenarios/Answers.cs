using System.Text;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>Facts about our nodes in the words of etcd's scenarios. Logs are shown as they are on disk, without configurations, and positions as
/// if these were not there.</summary>
internal static class Answers
{
    /// <summary>A log, one entry after another: term/position "payload".</summary>
    public static string Log(Scenario scenario, ScenarioNode node) => string.Join(
        ' ',
        node.DurableLog.Where(entry => entry.Type != EntryType.Configuration).Select(entry => Entry(scenario, entry)));

    public static string Entry(Scenario scenario, LogEntry entry) =>
        $"{entry.Term}/{scenario.Plain(entry.Index)} \"{Encoding.UTF8.GetString(entry.Payload.Span)}\"";

    public static string State(Scenario scenario) => string.Join(
        "; ",
        scenario.Nodes.Select(node =>
            $"{node.Id}: {Role(node)} ({(node.Core.Configuration.IsVoter(node.Id) ? "Voter" : "Non-Voter")}) "
            + $"Term:{node.Core.Term} Lead:{Leader(node)}"));

    /// <summary>What a leader knows of each member: how it sends, what it has matched, what comes next.</summary>
    public static string Status(Scenario scenario, ScenarioNode leader) => string.Join(
        "; ",
        leader.Core.Configuration.Members.Select(id =>
        {
            if (id == leader.Id)
            {
                var durable = scenario.Plain(leader.Core.DurableIndex);
                return $"{id}: StateReplicate match={durable} next={durable + 1}";
            }

            var progress = leader.Core.ProgressOf(id)!;
            return $"{id}: State{progress.State} match={scenario.Plain(progress.Match)} next={scenario.Plain(progress.Next)}";
        }));

    public static string Role(ScenarioNode node) => $"State{node.Core.Role}";

    public static string Leader(ScenarioNode node) => $"{node.Core.Leader?.Value ?? 0}";

    public static string Voters(ScenarioNode node)
    {
        var configuration = node.Core.Configuration;
        return $"({string.Join(' ', configuration.Voters)})" + (configuration.IsJoint ? $"&&({string.Join(' ', configuration.OutgoingVoters)})" : "");
    }
}
