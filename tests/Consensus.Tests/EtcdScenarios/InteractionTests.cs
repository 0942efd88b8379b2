using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using Xunit.Abstractions;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>etcd's interaction scenarios on our cores, compared by facts: what nodes have come to, not how.</summary>
public sealed class InteractionTests(ITestOutputHelper output)
{
    private const int Files = 12;
    private const int CommandsRun = 258;
    private const int FactsCompared = 562;

    [DataFact("etcd-raft")]
    public void RaftCore_EtcdScenarios_ComesToTheSameFacts()
    {
        var folder = TestData.Require("etcd-raft");
        var all = new List<Facts>();
        var commands = 0;
        foreach (var path in Directory.GetFiles(Path.Combine(folder, "interaction")).Order(StringComparer.Ordinal))
        {
            var facts = new Facts($"interaction/{Path.GetFileName(path)}");
            all.Add(facts);
            var scenario = new Scenario();
            var expectations = new Expectations();
            foreach (var command in DataDriven.Read(folder, facts.File))
            {
                commands++;
                Run(scenario, expectations, command, facts);
                CheckInvariants(scenario, command);
            }

            var wrong = scenario.Heal();
            Assert.True(wrong is null, $"{facts.File}: afterwards, without faults: {wrong}");
            output.WriteLine($"{facts.File}: {facts.Compared} facts, {facts.Differing} differ as listed");
        }

        Facts.Verify(all);
        var compared = all.Sum(facts => facts.Compared);
        output.WriteLine($"{all.Count} files, {commands} commands, {compared} facts, {all.Sum(facts => facts.Differing)} differ as listed");
        Assert.Equal((Files, CommandsRun, FactsCompared), (all.Count, commands, compared));
    }

    private static void Run(Scenario scenario, Expectations expectations, DataDrivenCase command, Facts facts)
    {
        string? answer;
        try
        {
            answer = scenario.Execute(command);
        }
        catch (Exception exception) when (exception is not FormatException)
        {
            throw new InvalidOperationException($"{command}: {exception.Message}", exception);
        }

        switch (command.Command)
        {
            case "raft-log":
                facts.Compare(command.Line, "log", expectations.LogAnswer(command), answer!);
                return;
            case "raft-state":
                facts.Compare(command.Line, "state", Expectations.StateAnswer(command), answer!);
                return;
            case "status":
                facts.Compare(command.Line, "status", expectations.StatusAnswer(command), answer!);
                return;
            case "propose" or "propose-conf-change":
                facts.Compare(command.Line, "proposal", command.Expected is ["ok"] ? "taken" : "refused", answer!);
                return;
            case "transfer-leadership":
                facts.Compare(command.Line, "transfer", "taken", answer!);
                return;
            case "campaign":
                var isRefused = command.Expected.Any(line => line.Contains("unpromotable", StringComparison.Ordinal));
                facts.Compare(command.Line, "campaign", isRefused ? "refused" : "campaigns", answer!);
                break;
        }

        foreach (var ((node, fact), theirs) in expectations.Read(command).OrderBy(pair => pair.Key))
            facts.Compare(command.Line, $"{fact} of {node}", theirs, Ours(scenario, scenario.Node(node), fact, theirs));
    }

    private static string Ours(Scenario scenario, ScenarioNode node, string fact, string theirs)
    {
        switch (fact)
        {
            case "role":
                return Answers.Role(node);
            case "leader":
                return Answers.Leader(node);
            case "term":
                return $"{node.Core.Term}";
            case "vote":
                return $"{node.Core.Vote}";
            case "commit":
                return $"{scenario.Plain(node.Core.Commit)}";
            case "voters":
                return Answers.Voters(node);
            default:
                // Of their log only the end may be known: as many of ours.
                var entries = node.DurableLog.Where(entry => entry.Type != EntryType.Configuration).ToList();
                var count = theirs.Count(c => c == '/');
                return string.Join(' ', entries.TakeLast(count).Select(entry => Answers.Entry(scenario, entry)));
        }
    }

    /// <summary>What holds whatever the scenario does: one leader per term, log matching, and one committed history.</summary>
    internal static void CheckInvariants(Scenario scenario, DataDrivenCase command)
    {
        var leaders = scenario.Nodes.Where(node => node.Core.Role == RaftRole.Leader).Select(node => node.Core.Term).ToList();
        Assert.True(leaders.Distinct().Count() == leaders.Count, $"{command}: two leaders of one term");
        var byId = new Dictionary<EntryId, LogEntry>();
        var committed = new Dictionary<ulong, EntryId>();
        foreach (var node in scenario.Nodes)
        {
            foreach (var entry in node.DurableLog)
            {
                var known = byId.TryAdd(entry.Id, entry) ? entry : byId[entry.Id];
                Assert.True(known.Payload.Span.SequenceEqual(entry.Payload.Span), $"{command}: {entry.Id} is two different entries");
                if (entry.Index > node.Core.Commit || node.Core.Log.LastIndex < entry.Index) continue;
                var first = committed.TryAdd(entry.Index, entry.Id) ? entry.Id : committed[entry.Index];
                Assert.True(first == entry.Id, $"{command}: {first} and {entry.Id} are both committed");
            }
        }
    }
}
