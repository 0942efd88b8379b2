using System.Collections.Concurrent;
using System.Diagnostics;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Conformance;

/// <summary>Barriers, waiting, leadership and what is told of it.</summary>
public abstract partial class ReplicatedLogConformance
{
    [Fact]
    public async Task ReadBarrier_OnEveryNode_SeesWhatWasAcknowledgedBefore()
    {
        await using var cluster = await StartAsync(3);
        var last = new ConcurrentDictionary<NodeId, LogPosition>();
        for (var round = 0; round < 12; round++)
        {
            // The leader changes between two rounds: the new one has not said anything yet when it is asked.
            if (round % 4 == 3) await TransferAsync(cluster, cluster.Running[round % 3]);
            var command = $"r{round}";
            var position = (await CommitAsync(cluster.LogOf(cluster.Running[round % 3]), command)).Position;
            await Task.WhenAll(cluster.Running.Select(async node =>
            {
                var barrier = await cluster.LogOf(node).ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience);
                Assert.True(barrier.CompareTo(position) >= 0, $"The barrier is {barrier}; {position} was acknowledged before.");
                Assert.True(cluster.LogOf(node).Status.Applied.CompareTo(barrier) >= 0, "What a barrier promises is applied.");
                Assert.Contains(cluster.MachineOf(node).Entries, entry => entry.Command == command);
                Assert.True(barrier.CompareTo(last.GetValueOrDefault(node)) >= 0, "Barriers do not go back.");
                last[node] = barrier;
            }));
        }
    }

    [Fact]
    public async Task ReadBarrier_AfterTheLeaderIsLost_SeesWhatItAcknowledged()
    {
        await using var cluster = await StartAsync(3);
        for (var round = 0; round < 3; round++)
        {
            var leader = await LeaderAsync(cluster);
            await CommitAsync(cluster.LogOf(leader), $"r{round}");
            await cluster.KillAsync(leader);
            foreach (var node in cluster.Running)
            {
                await cluster.LogOf(node).ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience);
                Assert.Equal($"r{round}", cluster.MachineOf(node).Entries[^1].Command);
            }

            await cluster.StartAsync(leader);
        }
    }

    [Fact]
    public async Task ReadBarrier_ManyWhileOthersWrite_EachSeesItsOwnPast()
    {
        await using var cluster = await StartAsync(3);
        await LeaderAsync(cluster);
        var acknowledged = 0;
        using var done = new CancellationTokenSource();
        var writer = Task.Run(async () =>
        {
            for (var i = 1; !done.IsCancellationRequested; i++)
            {
                await CommitAsync(cluster.LogOf(cluster.Running[i % 3]), $"{i}");
                Volatile.Write(ref acknowledged, i);
            }
        });
        await Task.WhenAll(Enumerable.Range(0, 12).Select(async reader =>
        {
            var node = cluster.Running[reader % 3];
            for (var i = 0; i < 25; i++)
            {
                var before = Volatile.Read(ref acknowledged);
                await cluster.LogOf(node).ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience);
                var seen = cluster.MachineOf(node).Entries.Count;
                Assert.True(seen >= before, $"{before} were acknowledged before the barrier began, {seen} are seen.");
            }
        }));
        await done.CancelAsync();
        await writer.WaitAsync(Patience);
    }

    [Fact]
    public async Task ReadBarrier_WithoutAMajority_FailsInTime()
    {
        await using var cluster = await StartAsync(3, requestLimit: TimeSpan.FromSeconds(1));
        var leader = await LeaderAsync(cluster);
        foreach (var node in cluster.Running.Where(node => node != leader).ToArray()) await cluster.StopAsync(node);
        await ConfirmsNoMoreAsync(cluster.LogOf(leader));
        var watch = Stopwatch.StartNew();
        await Assert.ThrowsAsync<NoLeaderException>(
            () => cluster.LogOf(leader).ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience));
        Assert.True(watch.Elapsed > TimeSpan.FromSeconds(0.5), "It tried.");
        using var giveUp = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => cluster.LogOf(leader).ReadBarrierAsync(giveUp.Token).AsTask().WaitAsync(Patience));
    }

    [Fact]
    public async Task WaitApplied_ReturnsWhenThePositionIsAppliedAndNotBefore()
    {
        await using var cluster = await StartAsync(3);
        var leader = await LeaderAsync(cluster);
        var follower = cluster.LogOf(Other(cluster, leader));
        var first = await CommitAsync(cluster.LogOf(leader), "first");
        await follower.WaitAppliedAsync(first.Position, CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.Contains(cluster.MachineOf(follower.Status.Self).Entries, entry => entry.Command == "first");
        Assert.True(follower.WaitAppliedAsync(first.Position, CancellationToken.None).AsTask().IsCompletedSuccessfully);
        using var giveUp = new CancellationTokenSource();
        var never = follower.WaitAppliedAsync(new LogPosition(first.Position.Value + 1_000_000), giveUp.Token).AsTask();
        await CommitAsync(cluster.LogOf(leader), "second");
        Assert.False(never.IsCompleted);
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => never.WaitAsync(Patience));
    }

    [Fact]
    public async Task Transfer_ToEachNodeAskedOfAnyNode_MakesItLead()
    {
        await using var cluster = await StartAsync(3);
        var leader = await LeaderAsync(cluster);
        for (var i = 0; i < 3; i++)
        {
            var before = cluster.LogOf(leader).Status.Epoch;
            var target = Other(cluster, leader);
            await TransferAsync(cluster, target);
            var result = await CommitAsync(cluster.LogOf(leader), $"after {i}");
            Assert.True(result.Position.Value > 0);
            Assert.True(cluster.LogOf(target).Status.Epoch > before, "Each leader has an epoch of its own.");
            leader = target;
        }

        Assert.NotNull(await cluster.LogOf(leader).TransferLeadershipAsync(new NodeId(999), CancellationToken.None).AsTask().WaitAsync(Patience));
        Assert.Equal(leader, await LeaderAsync(cluster));
        Assert.Equal(3, (await SameLedgerAsync(cluster)).Count);
    }

    [Fact]
    public async Task StatusChanged_OverLeaderChanges_EpochsGrowAndEachHasOneLeader()
    {
        await using var cluster = await StartAsync(3);
        var seen = new ConcurrentQueue<LogStatus>();
        var logs = cluster.Running.Select(cluster.LogOf).ToList();
        foreach (var log in logs) log.StatusChanged += seen.Enqueue;
        var leader = await LeaderAsync(cluster);
        for (var i = 0; i < 3; i++)
        {
            await TransferAsync(cluster, leader = Other(cluster, leader));
            await CommitAsync(cluster.LogOf(Other(cluster, leader)), $"c{i}");
        }

        await UntilAsync("every node has told of the last leader", () => logs.TrueForAll(
            log => seen.Any(status => status.Self == log.Status.Self && status.Leader == leader && status.Epoch == log.Status.Epoch)));
        foreach (var own in seen.GroupBy(status => status.Self))
        {
            Assert.Equal(own.Select(status => status.Epoch).Order(), own.Select(status => status.Epoch));
            Assert.Equal(own.Select(status => status.Applied).Order(), own.Select(status => status.Applied));
        }

        foreach (var epoch in seen.GroupBy(status => status.Epoch))
        {
            Assert.True(epoch.Where(status => status.IsLeader).Select(status => status.Self).Distinct().Count() <= 1);
            Assert.True(epoch.Select(status => status.Leader).OfType<NodeId>().Distinct().Count() <= 1);
        }

        Assert.Equal([new NodeId(1), new NodeId(2), new NodeId(3)], logs[0].Status.Members.Select(member => member.Id));
        Assert.All(logs[0].Status.Members, member => Assert.True(member.IsVoter));
    }

    /// <summary>A backend with leases may confirm reads for a while after its majority is gone, but not for long.</summary>
    private static async Task ConfirmsNoMoreAsync(IReplicatedLog log)
    {
        var watch = Stopwatch.StartNew();
        try
        {
            while (watch.Elapsed < LongestLease) await log.ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience);
        }
        catch (NoLeaderException)
        {
            return;
        }

        Assert.Fail("Reads are confirmed without a majority.");
    }

    [Fact]
    public async Task IsolatedLeader_CommitsAndConfirmsNothing_AndRefusesItsOldEpochLater()
    {
        await using var cluster = await StartAsync(3, requestLimit: TimeSpan.FromSeconds(2));
        if (!cluster.CanIsolate) return;
        var old = await LeaderAsync(cluster);
        var epoch = cluster.LogOf(old).Status.Epoch;
        await CommitAsync(cluster.LogOf(old), "before");
        cluster.Isolate(old);
        var stranded = Enumerable.Range(0, 5).Select(i => ProposeAsync(cluster.LogOf(old), $"stranded {i}")).ToArray();
        var bound = ProposeAsync(cluster.LogOf(old), "bound", epoch);
        var leader = await LeaderAsync(cluster, status => status.Self != old);
        var meanwhile = await CommitInTheEndAsync(cluster.LogOf(leader), "meanwhile");
        await Assert.ThrowsAsync<NoLeaderException>(
            () => cluster.LogOf(old).ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(Patience));
        Assert.DoesNotContain(cluster.MachineOf(old).Entries, entry => entry.Command == meanwhile);
        cluster.Heal();
        var outcomes = await Task.WhenAll(stranded);
        var boundOutcome = (await bound).Outcome;
        await CommitInTheEndAsync(cluster.LogOf(old), "healed"); // So it knows the epoch that is.
        Assert.Equal(ProposalOutcome.NotCommitted, (await ProposeAsync(cluster.LogOf(old), "late", epoch)).Outcome);
        var ledger = (await SameLedgerAsync(cluster)).Select(entry => entry.Command).ToList();
        Assert.Equal(ledger.Distinct(), ledger);
        Assert.Contains(meanwhile, ledger);
        Assert.DoesNotContain("late", ledger);
        Assert.DoesNotContain("bound", ledger); // Its epoch ended without a majority.
        Assert.NotEqual(ProposalOutcome.Committed, boundOutcome);
        for (var i = 0; i < outcomes.Length; i++)
        {
            if (outcomes[i].Outcome == ProposalOutcome.Committed) Assert.Contains($"stranded {i}", ledger);
            if (outcomes[i].Outcome == ProposalOutcome.NotCommitted) Assert.DoesNotContain($"stranded {i}", ledger);
        }
    }
}
