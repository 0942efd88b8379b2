using System.Globalization;
using RaftMirror.Consensus.Model;
using Xunit.Abstractions;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>etcd's tables of majority arithmetic, their final values.</summary>
public sealed class QuorumTableTests(ITestOutputHelper output)
{
    private const int Cases = 66;

    [DataFact("etcd-raft")]
    public void Quorum_EtcdTables_GivesTheSameValues()
    {
        var folder = TestData.Require("etcd-raft");
        var all = new List<Facts>();
        var run = 0;
        var votes = 0;
        foreach (var file in new[] { "quorum/majority_commit.txt", "quorum/joint_commit.txt" })
        {
            var facts = new Facts(file);
            all.Add(facts);
            foreach (var table in DataDriven.Read(folder, file))
            {
                Assert.Equal("committed", table.Command);
                var (configuration, reached) = Read(table);
                var value = Quorum.Reached(configuration, reached);
                facts.Compare(table.Line, "committed", Last(table), Text(value));
                votes += CheckVotes(table, configuration, reached, value);

                // As etcd's own runner demands: sets commute, and a set joint with itself is the set.
                var swapped = new Configuration(configuration.OutgoingVoters, configuration.Voters);
                Assert.Equal(value, Quorum.Reached(swapped, reached));
                if (!configuration.IsJoint)
                    Assert.Equal(value, Quorum.Reached(new Configuration(configuration.Voters, configuration.Voters), reached));
                run++;
            }
        }

        Facts.Verify(all);

        output.WriteLine($"{run} values of committed indices, {votes} votes that follow from them");
        Assert.Equal(Cases, run);
        Assert.True(votes > 2 * Cases, $"only {votes}");
    }

    /// <summary>A vote is won exactly if a majority has reached it: grants of those that have value v win if the committed value is at least v,
    /// and with refusals of all others the vote is lost if it is less, and open if the others have not answered.</summary>
    private static int CheckVotes(DataDrivenCase table, Configuration configuration, ulong[] reached, ulong committed)
    {
        if (configuration.Members.Length == 0) return 0;
        var count = 0;
        foreach (var value in reached.Where(value => value > 0).Distinct())
        {
            sbyte[] silent = [.. reached.Select(other => (sbyte)(other >= value ? 1 : 0))];
            sbyte[] refusing = [.. reached.Select(other => (sbyte)(other >= value ? 1 : -1))];
            var wins = committed >= value;
            Assert.True(
                (wins ? VoteResult.Won : VoteResult.Pending) == Quorum.Vote(configuration, silent)
                && (wins ? VoteResult.Won : VoteResult.Lost) == Quorum.Vote(configuration, refusing),
                $"{table}: votes of those that reached {value}");
            count += 2;
        }

        return count;
    }

    /// <summary>Values are given in the order of cfg, then of those of cfgj that are not in it; "_" is silence.</summary>
    private static (Configuration Configuration, ulong[] Reached) Read(DataDrivenCase table)
    {
        Assert.All(table.Arguments, argument => Assert.True(argument.Key is "cfg" or "cfgj" or "idx", $"{table}: {argument.Key}"));
        var voters = Ids(table.Values("cfg") ?? []);
        var outgoing = table.Values("cfgj") is null or ["zero"] ? [] : Ids(table.Values("cfgj")!);
        var values = table.Values("idx") ?? [];
        var order = voters.Concat(outgoing).Distinct().ToList();
        Assert.Equal(order.Count, values.Length);
        var configuration = new Configuration(voters, outgoing);
        var reached = new ulong[configuration.Members.Length];
        for (var i = 0; i < values.Length; i++)
        {
            var text = values[i].Trim();
            reached[configuration.SlotOf(order[i])] = text == "_" ? 0 : ulong.Parse(text, CultureInfo.InvariantCulture);
        }

        return (configuration, reached);
    }

    private static NodeId[] Ids(string[] values) => [.. values.Select(value => new NodeId(ushort.Parse(value.Trim(), CultureInfo.InvariantCulture)))];

    private static string Last(DataDrivenCase table) => table.Expected[^1].Replace("<empty majority quorum>", "", StringComparison.Ordinal);

    private static string Text(ulong value) => value == ulong.MaxValue ? "∞" : value.ToString(CultureInfo.InvariantCulture);
}
