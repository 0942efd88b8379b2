using RaftMirror.Consensus.Model;

namespace RaftMirror.Conformance;

/// <summary>Restarts, absence, members.</summary>
public abstract partial class ReplicatedLogConformance
{
    [Fact]
    public async Task Restart_OfAllNodes_KeepsEverythingAcknowledged()
    {
        await using var cluster = await StartAsync(3);
        NodeId[] nodes = [.. cluster.Running];
        var expected = new List<(LogPosition, string)>();
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < 40; i++)
                expected.Add(((await CommitAsync(cluster.LogOf(nodes[i % 3]), $"{round}-{i}")).Position, $"{round}-{i}"));
            foreach (var node in nodes) await (round == 0 ? cluster.StopAsync(node) : cluster.KillAsync(node));
            foreach (var node in nodes) await cluster.StartAsync(node);
            Assert.Equal(expected, (await SameLedgerAsync(cluster)).Select(entry => (entry.Position, entry.Command)));
        }
    }

    [Fact]
    public async Task NodeAway_ForHundredsOfCommands_ReturnsWithTheSameState()
    {
        await using var cluster = await StartAsync(3);
        var leader = await LeaderAsync(cluster);
        await CommitAsync(cluster.LogOf(leader), "first");
        var away = Other(cluster, leader);
        await cluster.StopAsync(away);
        var leaderLog = cluster.LogOf(leader);
        for (var batch = 0; batch < 5; batch++) await Task.WhenAll(Enumerable.Range(0, 50).Select(i => CommitAsync(leaderLog, $"{batch}-{i}")));
        await cluster.StartAsync(away);
        var result = await CommitAsync(cluster.LogOf(away), "back");
        Assert.EndsWith("back", System.Text.Encoding.UTF8.GetString(result.Result.Span), StringComparison.Ordinal);
        Assert.Equal(252, (await SameLedgerAsync(cluster)).Count);
    }

    [Fact]
    public async Task OneNode_CommitsReadsAndRestartsAlone()
    {
        await using var cluster = await StartAsync(1);
        var one = cluster.Running[0];
        for (var i = 0; i < 40; i++) await CommitAsync(cluster.LogOf(one), $"c{i}");
        await cluster.StopAsync(one);
        await cluster.StartAsync(one);
        await cluster.LogOf(one).ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.Equal(Enumerable.Range(0, 40).Select(i => $"c{i}"), cluster.MachineOf(one).Entries.Select(entry => entry.Command));
    }

    [Fact]
    public async Task Members_LearnerAddedPromotedAndOldOneRemoved_WhileClientsWrite()
    {
        await using var cluster = await StartAsync(3);
        var leader = await LeaderAsync(cluster);
        var four = new NodeId(4);
        var removed = cluster.Running.Last(node => node != leader);
        var asked = cluster.Running.First(node => node != removed);
        var logs = cluster.Running.Where(node => node != removed).Select(cluster.LogOf).ToList();
        using var done = new CancellationTokenSource();
        var committed = 0;
        var writers = logs.Select(async log =>
        {
            var own = 0;
            while (!done.IsCancellationRequested)
            {
                if ((await ProposeAsync(log, $"{log.Status.Self}-{own++}")).Outcome == ProposalOutcome.Committed) Interlocked.Increment(ref committed);
            }
        }).ToArray();
        await ChangeAsync(cluster, asked, MembershipAction.AddLearner, four);
        await cluster.JoinAsync(four);

        // Its first places may be covered by the state that it is brought: their outcome is unknown to it.
        await CommitInTheEndAsync(cluster.LogOf(four), "from the learner");
        Assert.False(cluster.LogOf(four).Status.Members.Single(member => member.Id == four).IsVoter);
        await ChangeAsync(cluster, asked, MembershipAction.Promote, four);
        await ChangeAsync(cluster, asked, MembershipAction.Remove, removed);
        await cluster.StopAsync(removed);
        var sofar = Volatile.Read(ref committed);
        await UntilAsync("commands are committed by the new members", () => Volatile.Read(ref committed) > sofar + 10);
        await done.CancelAsync();
        await Task.WhenAll(writers).WaitAsync(Patience);
        var ledger = (await SameLedgerAsync(cluster)).Select(entry => entry.Command).ToList();
        Assert.Equal(ledger.Distinct(), ledger);
        Assert.True(ledger.Count >= committed, "Acknowledged commands are there.");
        foreach (var node in cluster.Running)
        {
            var voters = cluster.LogOf(node).Status.Members.Where(member => member.IsVoter).Select(member => member.Id);
            Assert.Equal(cluster.Running, voters);
        }

        // A number is never given again, and who is no member cannot be removed.
        Assert.NotNull(await cluster.LogOf(asked).ChangeMembersAsync(
            new MembershipChange(MembershipAction.AddLearner, new Member(removed, "again", cluster.AddressOf(four))), CancellationToken.None));
        Assert.NotNull(await cluster.LogOf(asked).ChangeMembersAsync(
            new MembershipChange(MembershipAction.Remove, new Member(new NodeId(99), string.Empty, string.Empty)), CancellationToken.None));
    }

    /// <summary>Repeats a change until it is seen: one that did nothing may be asked for again, one whose outcome is unknown is looked up.</summary>
    private static async Task ChangeAsync(ILogCluster cluster, NodeId asked, MembershipAction action, NodeId node)
    {
        using var patience = new CancellationTokenSource(Patience);
        var address = action == MembershipAction.AddLearner ? cluster.AddressOf(node) : string.Empty;
        var change = new MembershipChange(action, new Member(node, $"node {node}", address));
        while (await cluster.LogOf(asked).ChangeMembersAsync(change, patience.Token) is { } error)
        {
            Assert.False(patience.IsCancellationRequested, $"{action} of {node}: {error}");
            await cluster.LogOf(asked).ReadBarrierAsync(patience.Token);
            var member = cluster.LogOf(asked).Status.Members.FirstOrDefault(known => known.Id == node);
            var isDone = action switch
            {
                MembershipAction.AddLearner => member is not null,
                MembershipAction.Promote => member is { IsVoter: true },
                _ => member is null,
            };
            if (isDone) return;
        }
    }
}
