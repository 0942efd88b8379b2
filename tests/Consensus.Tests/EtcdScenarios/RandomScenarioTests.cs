using RaftMirror.Consensus.Core;
using RaftMirror.Primitives;
using Xunit.Abstractions;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>Random scenarios in the same language: elections, proposals, changes of membership, transfers, snapshots, lost messages, slow disks.
/// After each command the invariants hold; without faults the cluster comes to rest.</summary>
public sealed class RandomScenarioTests(ITestOutputHelper output)
{
    private const int Seeds = 30000;
    private const int Commands = 60;
    private const int First = 2;

    [Fact]
    public void Scenario_RandomCommands_KeepsItsInvariantsAndHeals()
    {
        ulong committed = 0;
        var changes = 0;
        for (var seed = 1UL; seed <= Seeds; seed++)
        {
            var text = Make(new Xoshiro(seed));
            var scenario = new Scenario();
            var command = "";
            try
            {
                foreach (var one in DataDriven.Parse($"seed {seed}", text))
                {
                    command = $"{one}";
                    scenario.Execute(one);
                    InteractionTests.CheckInvariants(scenario, one);
                }

                command = "afterwards";
                Assert.Null(scenario.Heal());
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"seed {seed}, {command}: {exception.Message}\n{string.Join('\n', text)}", exception);
            }

            var leader = scenario.Nodes.Single(node => node.Core.Role == RaftRole.Leader).Core;
            committed += leader.Commit;
            changes += leader.ConfigurationIndex > First ? 1 : 0;
        }

        output.WriteLine($"{Seeds} scenarios of {Commands} commands: {committed} entries committed, {changes} with changed members");
        Assert.True(changes > Seeds / 10);
    }

    private static string[] Make(Xoshiro random)
    {
        var nodes = random.Next(1, 6);
        var lines = new List<string>();
        void Add(params string[] command) => lines.AddRange([.. command, "----", ""]);
        var voters = string.Join(',', Enumerable.Range(1, nodes));
        Add($"add-nodes {nodes} voters=({voters}) index={First} async-storage-writes={(random.Chance(0.5) ? "true" : "false")}");
        for (var i = 0; i < Commands; i++)
        {
            var node = random.Next(1, nodes + 1);
            var other = random.Next(1, nodes + 1);
            switch (random.Next(25))
            {
                case < 2:
                    Add($"campaign {node}");
                    break;
                case < 4:
                    Add("stabilize");
                    break;
                case < 7:
                    Add($"stabilize {node} {other}");
                    break;
                case < 11:
                    Add($"propose {node} p{i}");
                    break;
                case < 13:
                    Add($"process-ready {node}");
                    break;
                case < 15:
                    Add($"deliver-msgs {node}");
                    break;
                case < 16:
                    Add($"deliver-msgs drop=({node})");
                    break;
                case < 18:
                    Add($"process-append-thread {node}");
                    break;
                case < 19:
                    Add($"tick-heartbeat {node}");
                    break;
                case < 20:
                    Add($"tick-election {node}");
                    break;
                case 24:
                    Add($"compact {node} applied");
                    break;
                case < 21:
                    Add($"transfer-leadership from={node} to={other}");
                    break;
                case < 22 when nodes < 7:
                    Add("add-nodes 1");
                    nodes++;
                    break;
                default:
                    Add($"propose-conf-change {node}", random.Next(3) switch { 0 => $"v{other}", 1 => $"r{other}", _ => $"l{other}" });
                    break;
            }
        }

        return [.. lines];
    }
}
