using System.Text;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>A proposer whose node skips entries because a snapshot brought their effects.</summary>
public sealed class RestoredProposerTests
{
    [Fact]
    public async Task Proposals_PlacesCoveredByASnapshot_AreNeverCalledNotCommitted()
    {
        await using var cluster = new LocalCluster(3) { Configure = options => options with { SnapshotEntries = 16, CheckpointEntries = 8 } };
        foreach (var id in (NodeId[])[new(1), new(2), new(3)]) await cluster.StartAsync(id);
        for (var round = 0; round < 3; round++)
        {
            var leader = await cluster.LeaderAsync();
            var proposer = cluster.Follower(leader).Status.Self;
            await cluster.StopAsync(proposer);
            for (var i = 0; i < 100; i++) await LocalCluster.CommitAsync(leader, $"before {round} {i}");
            await cluster.StartAsync(proposer);
            var outcomes = new List<(string Command, Task<CommitResult> Outcome)>();
            for (var i = 0; i < 150; i++)
            {
                var command = $"{round} {i}";
                outcomes.Add((command, cluster.Nodes[proposer].ProposeAsync(Encoding.UTF8.GetBytes(command), null, CancellationToken.None).AsTask()));
                await LocalCluster.CommitAsync(leader, $"beside {round} {i}");
            }

            foreach (var (_, outcome) in outcomes) await outcome.WaitAsync(LocalCluster.Patience);
            await LocalCluster.CaughtUpAsync(cluster.Nodes[proposer], leader);
            await LocalCluster.CaughtUpAsync(leader, cluster.Nodes[proposer]); // A leader may apply later than who learned from it.
            Assert.True(cluster.Machines[proposer].Restores > 0, "the proposer was never restored: the test shows nothing");
            var applied = cluster.Machines[leader.Status.Self].Applied.Select(entry => entry.Command).ToHashSet(StringComparer.Ordinal);
            foreach (var (command, outcome) in outcomes)
            {
                var result = await outcome;
                Assert.False(result.Outcome == ProposalOutcome.NotCommitted && applied.Contains(command), $"'{command}' was committed: {result.Reason}");
                Assert.False(result.Outcome == ProposalOutcome.Committed && !applied.Contains(command), $"'{command}' was not committed");
            }
        }
    }
}
