using System.Text;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus.Tests.Nodes;

public sealed class RaftNodeTests
{
    [Fact]
    public async Task Propose_ThroughAFollower_ReturnsAfterItIsAppliedThere()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var follower = cluster.Follower(await cluster.LeaderAsync());
        var result = await LocalCluster.CommitAsync(follower, "hello");
        Assert.EndsWith(":hello", result, StringComparison.Ordinal);
        Assert.Contains(cluster.Machines[follower.Status.Self].Applied, applied => applied.Command == "hello");
    }

    [Fact]
    public async Task Propose_ConcurrentlyOnAllNodes_AppliesTheSameOrderEverywhereOnce()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        await cluster.LeaderAsync();
        var proposals = Enumerable.Range(0, 300)
            .Select(i => LocalCluster.CommitAsync(cluster.Nodes[new NodeId((ushort)((i % 3) + 1))], $"c{i}"));
        await Task.WhenAll(proposals);
        foreach (var node in cluster.Nodes.Values) await node.ReadBarrierAsync(CancellationToken.None);
        var orders = cluster.Machines.Values.Select(machine => machine.Applied.ToArray()).ToArray();
        Assert.Equal(300, orders[0].Select(applied => applied.Command).Distinct().Count());
        Assert.Equal(300, orders[0].Length);
        Assert.Equal(orders[0], orders[1]);
        Assert.Equal(orders[0], orders[2]);
    }

    [Fact]
    public async Task Leader_Stopped_OthersGoOnAndItCatchesUpAfterRestart()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var id = leader.Status.Self;
        await LocalCluster.CommitAsync(leader, "before");
        var incarnation = leader.Incarnation;
        await cluster.StopAsync(id);
        await LocalCluster.CommitAsync(cluster.Nodes.Values.First(), "during");
        await cluster.StartAsync(id);
        Assert.Equal(incarnation + 1, cluster.Nodes[id].Incarnation);
        await cluster.Nodes[id].ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(LocalCluster.Patience);
        Assert.Equal(["before", "during"], cluster.Machines[id].Applied.Select(applied => applied.Command));
    }

    [Fact]
    public async Task AllNodes_Restarted_NothingCommittedIsMissing()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        for (var i = 0; i < 20; i++) await LocalCluster.CommitAsync(cluster.Nodes[new NodeId(2)], $"c{i}");
        foreach (var id in cluster.Nodes.Keys.ToArray()) await cluster.StopAsync(id);
        for (ushort id = 1; id <= 3; id++) await cluster.StartAsync(new NodeId(id));
        await cluster.Nodes[new NodeId(3)].ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(LocalCluster.Patience);
        Assert.Equal(
            Enumerable.Range(0, 20).Select(i => $"c{i}"), cluster.Machines[new NodeId(3)].Applied.Select(applied => applied.Command));
    }

    [Fact]
    public async Task ReadBarrier_OnAFollower_SeesWhatWasCommittedElsewhereBefore()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var follower = cluster.Follower(leader);
        for (var i = 0; i < 50; i++)
        {
            await LocalCluster.CommitAsync(leader, $"c{i}");
            await follower.ReadBarrierAsync(CancellationToken.None);
            Assert.Equal($"c{i}", cluster.Machines[follower.Status.Self].Applied.Last().Command);
        }
    }

    [Fact]
    public async Task Transfer_ToANamedNode_MakesItLead()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var target = cluster.Follower(leader);
        Assert.Null(await target.TransferLeadershipAsync(target.Status.Self, CancellationToken.None));
        await LocalCluster.CommitAsync(leader, "after");
        Assert.Equal(target.Status.Self, leader.Status.Leader);
    }

    [Fact]
    public async Task Propose_WithAnotherEpoch_IsNotCommitted()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var epoch = leader.Status.Epoch;
        foreach (var node in cluster.Nodes.Values)
        {
            var refused = await node.ProposeAsync("x"u8.ToArray(), epoch + 7, CancellationToken.None);
            Assert.Equal(ProposalOutcome.NotCommitted, refused.Outcome);
        }

        var taken = await cluster.Follower(leader).ProposeAsync("y"u8.ToArray(), epoch, CancellationToken.None);
        Assert.Equal(ProposalOutcome.Committed, taken.Outcome);
        Assert.DoesNotContain(cluster.Machines[leader.Status.Self].Applied, applied => applied.Command == "x");
    }

    [Fact]
    public async Task Propose_WithoutAMajority_IsUnknownWhenTheCallerGivesUp()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        foreach (var id in cluster.Nodes.Keys.Where(id => id != leader.Status.Self).ToArray()) await cluster.StopAsync(id);
        using var limit = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        var result = await leader.ProposeAsync("lost"u8.ToArray(), null, limit.Token);
        Assert.Equal(ProposalOutcome.Unknown, result.Outcome);
        using var readLimit = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await leader.ReadBarrierAsync(readLimit.Token));
    }

    [Fact]
    public async Task SingleNode_Commits()
    {
        await using var cluster = await LocalCluster.StartAsync(1);
        Assert.Equal("2:alone", await LocalCluster.CommitAsync(cluster.Nodes[new NodeId(1)], "alone"));
    }

    [Fact]
    public async Task StateMachine_Throws_TheNodeStopsLoudly()
    {
        await using var cluster = await LocalCluster.StartAsync(1);
        var node = cluster.Nodes[new NodeId(1)];
        await cluster.LeaderAsync();
        var result = await node.ProposeAsync("explode"u8.ToArray(), null, CancellationToken.None).AsTask().WaitAsync(LocalCluster.Patience);
        Assert.Equal(ProposalOutcome.Unknown, result.Outcome);
        Assert.Contains("A test asked for it", (await node.Failure.WaitAsync(LocalCluster.Patience)).Message, StringComparison.Ordinal);
        var trace = await File.ReadAllTextAsync(Path.Combine(cluster.DirectoryOf(new NodeId(1)), RaftNode.FailureFile));
        Assert.Contains("A test asked for it", trace, StringComparison.Ordinal);
        Assert.Contains("ProposeLocal → Leader", trace, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Call_HandlersOnAllNodes_AnswerWithTheCallersId()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        foreach (var node in cluster.Nodes.Values)
        {
            node.Handle("echo", (from, request, _) => ValueTask.FromResult<ReadOnlyMemory<byte>>(
                Encoding.UTF8.GetBytes($"{from}>{node.Status.Self}:{Encoding.UTF8.GetString(request.Span)}")));
        }

        foreach (var caller in cluster.Nodes.Values)
        {
            foreach (var callee in cluster.Nodes.Keys)
            {
                var answer = await caller.CallAsync(callee, "echo", "hi"u8.ToArray(), CancellationToken.None);
                Assert.Equal($"{caller.Status.Self}>{callee}:hi", Encoding.UTF8.GetString(answer.Span));
            }
        }

        var large = new byte[8 * 1024 * 1024 - 100];
        var failure = await Assert.ThrowsAsync<PeerUnreachableException>(
            async () => await cluster.Nodes[new NodeId(1)].CallAsync(new NodeId(2), "nothing", large, CancellationToken.None));
        Assert.Contains("no handler", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DataDirectory_OfAnotherNodeOrInUse_IsRefused()
    {
        await using var cluster = await LocalCluster.StartAsync(1);
        var used = cluster.Options(new NodeId(1)) with { BoundListener = null };
        await Assert.ThrowsAsync<InvalidOperationException>(
            () => RaftNode.StartAsync(used, new RecordingMachine(), null, CancellationToken.None));
        await cluster.StopAsync(new NodeId(1));
        var foreign = cluster.Options(new NodeId(1)) with { Self = new NodeId(2) };
        var refusal = await Assert.ThrowsAsync<InvalidOperationException>(
            () => RaftNode.StartAsync(foreign, new RecordingMachine(), null, CancellationToken.None));
        Assert.Contains("belongs to node 1", refusal.Message, StringComparison.Ordinal);
    }
}
