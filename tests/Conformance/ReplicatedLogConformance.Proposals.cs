using System.Collections.Concurrent;
using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Conformance;

/// <summary>Proposals: three outcomes, one application, one order.</summary>
public abstract partial class ReplicatedLogConformance
{
    private const int ConcurrentProposers = 48;
    private const int StormCommands = 3000;

    [Fact]
    public async Task Propose_OnEveryNode_IsAppliedThereWithTheMachinesResult()
    {
        await using var cluster = await StartAsync(3);
        foreach (var node in cluster.Running)
        {
            var result = await CommitAsync(cluster.LogOf(node), $"by {node}");
            var ledger = cluster.MachineOf(node).Entries;
            var place = ledger.ToList().FindIndex(entry => entry.Position == result.Position);
            Assert.True(place >= 0, "Committed means: applied here.");
            Assert.Equal($"by {node}", ledger[place].Command);
            Assert.Equal(LedgerMachine.ResultOf(place, ledger[place]), Encoding.UTF8.GetString(result.Result.Span));
        }

        Assert.Equal(["by 1", "by 2", "by 3"], (await SameLedgerAsync(cluster)).Select(entry => entry.Command));
    }

    [Fact]
    public async Task Propose_ConcurrentlyOnAllNodes_GivesOneOrder()
    {
        await using var cluster = await StartAsync(3);
        await LeaderAsync(cluster);
        var results = await Task.WhenAll(Enumerable.Range(0, 300).Select(
            async i => (Command: $"c{i}", Result: await CommitAsync(cluster.LogOf(cluster.Running[i % 3]), $"c{i}"))));
        var ledger = await SameLedgerAsync(cluster);
        Assert.Equal(300, ledger.Count);
        Assert.Equal(
            results.OrderBy(item => item.Result.Position).Select(item => (item.Result.Position, item.Command)),
            ledger.Select(entry => (entry.Position, entry.Command)));
    }

    [Fact]
    public async Task Propose_OneAfterAnotherOnDifferentNodes_GetsGrowingPositions()
    {
        await using var cluster = await StartAsync(3);
        var last = default(LogPosition);
        for (var i = 0; i < 30; i++)
        {
            var position = (await CommitAsync(cluster.LogOf(cluster.Running[i % 3]), $"c{i}")).Position;
            Assert.True(position.CompareTo(last) > 0, $"{position} came after {last}.");
            last = position;
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1024 * 1024)]
    public async Task Propose_SmallestAndLargest_AreCommittedOnAllNodes(int bytes)
    {
        await using var cluster = await StartAsync(3);
        var command = new string('x', bytes);
        foreach (var node in cluster.Running) await CommitAsync(cluster.LogOf(node), command);
        Assert.All(await SameLedgerAsync(cluster), entry => Assert.Equal(command, entry.Command));
    }

    [Fact]
    public async Task Propose_BufferReusedAfterwards_AppliesWhatWasProposed()
    {
        await using var cluster = await StartAsync(3);
        await LeaderAsync(cluster);
        var buffer = new byte[8];
        var proposals = new List<Task<CommitResult>>();
        for (var i = 0; i < 60; i++)
        {
            Encoding.UTF8.GetBytes($"text {i,3}").CopyTo(buffer, 0);
            proposals.Add(cluster.LogOf(cluster.Running[i % 3]).ProposeAsync(buffer, null, CancellationToken.None).AsTask());
        }

        buffer.AsSpan().Fill((byte)'!');
        Assert.All(await Task.WhenAll(proposals).WaitAsync(Patience), result => Assert.Equal(ProposalOutcome.Committed, result.Outcome));
        Assert.Equal(
            Enumerable.Range(0, 60).Select(i => $"text {i,3}"), (await SameLedgerAsync(cluster)).Select(entry => entry.Command).Order());
    }

    [Fact]
    public async Task Propose_ExpectedEpochIsOver_IsRefusedAndLeavesNothing()
    {
        await using var cluster = await StartAsync(3);
        var first = await LeaderAsync(cluster);
        var epoch = cluster.LogOf(first).Status.Epoch;
        Assert.Equal(ProposalOutcome.Committed, (await ProposeAsync(cluster.LogOf(Other(cluster, first)), "in time", epoch)).Outcome);
        await TransferAsync(cluster, Other(cluster, first));
        foreach (var node in cluster.Running)
        {
            await CommitAsync(cluster.LogOf(node), $"now {node}"); // Each node knows the new leader.
            Assert.Equal(ProposalOutcome.NotCommitted, (await ProposeAsync(cluster.LogOf(node), "late", epoch)).Outcome);
            Assert.Equal(ProposalOutcome.NotCommitted, (await ProposeAsync(cluster.LogOf(node), "early", epoch + 1000)).Outcome);
        }

        var ledger = await SameLedgerAsync(cluster);
        Assert.Equal(["in time", "now 1", "now 2", "now 3"], ledger.Select(entry => entry.Command));
        Assert.Equal(epoch, ledger[0].Epoch);
        Assert.All(ledger.Skip(1), entry => Assert.True(entry.Epoch > epoch));
    }

    [Fact]
    public async Task Propose_ExpectedEpochWhileLeadersChange_IsAppliedInThatEpochOrNever()
    {
        await using var cluster = await StartAsync(3);
        await LeaderAsync(cluster);
        var outcomes = new ConcurrentDictionary<string, (ulong Epoch, ProposalOutcome Outcome)>();
        using var done = new CancellationTokenSource();
        var proposers = cluster.Running.Select(async node =>
        {
            for (var i = 0; !done.IsCancellationRequested; i++)
            {
                var log = cluster.LogOf(node);
                var epoch = log.Status.Epoch;
                outcomes[$"{node}-{i}"] = (epoch, (await ProposeAsync(log, $"{node}-{i}", epoch)).Outcome);
            }
        }).ToArray();
        for (var i = 0; i < 6; i++) await TransferAsync(cluster, cluster.Running[i % 3]);
        await done.CancelAsync();
        await Task.WhenAll(proposers).WaitAsync(Patience);
        var ledger = (await SameLedgerAsync(cluster)).ToDictionary(entry => entry.Command);
        foreach (var (command, (epoch, outcome)) in outcomes)
        {
            var isApplied = ledger.TryGetValue(command, out var entry);
            if (isApplied) Assert.Equal(epoch, entry!.Epoch);
            if (outcome == ProposalOutcome.Committed) Assert.True(isApplied, $"{command} is lost.");
            if (outcome == ProposalOutcome.NotCommitted) Assert.False(isApplied, $"{command} was refused and is there.");
        }
    }

    /// <summary>An engine once appended a proposal twice, when its own retry overtook the proposal: each was made once here, so each may be there
    /// once at most, whatever happens to leaders and nodes.</summary>
    [Fact]
    public async Task Propose_ThousandsAcrossLeaderChangesAndRestarts_AreAppliedOnceAtMost()
    {
        await using var cluster = await StartAsync(3);
        await LeaderAsync(cluster);
        var outcomes = new ConcurrentDictionary<string, ProposalOutcome>();
        var logs = new ConcurrentDictionary<NodeId, IReplicatedLog>(cluster.Running.ToDictionary(node => node, cluster.LogOf));
        var next = 0;
        var faults = 0;
        var proposers = Enumerable.Range(0, ConcurrentProposers).Select(async proposer =>
        {
            var home = new NodeId((ushort)((proposer % 3) + 1));
            while (Interlocked.Increment(ref next) is var number && (number <= StormCommands || Volatile.Read(ref faults) < 3))
            {
                var result = await logs[home].ProposeAsync(Bytes($"c{number}"), null, CancellationToken.None).AsTask().WaitAsync(Patience);
                outcomes[$"c{number}"] = result.Outcome;

                // A node that is down refuses at once; it is not the only one to ask.
                if (result.Outcome != ProposalOutcome.Committed) home = new NodeId((ushort)((home.Value % 3) + 1));
            }
        }).ToArray();
        var all = Task.WhenAll(proposers);
        while (!all.IsCompleted && Volatile.Read(ref faults) < 9)
        {
            var leader = await LeaderAsync(cluster);
            switch (faults % 3)
            {
                case 0:
                    await TransferAsync(cluster, Other(cluster, leader));
                    break;
                case 1:
                    await cluster.KillAsync(leader);
                    await LeaderAsync(cluster);
                    await cluster.StartAsync(leader);
                    logs[leader] = cluster.LogOf(leader);
                    break;
                default:
                    var follower = Other(cluster, leader);
                    await cluster.StopAsync(follower);
                    await cluster.StartAsync(follower);
                    logs[follower] = cluster.LogOf(follower);
                    break;
            }

            Interlocked.Increment(ref faults);
        }

        await all.WaitAsync(Patience);
        var ledger = await SameLedgerAsync(cluster);
        var counts = ledger.GroupBy(entry => entry.Command).ToDictionary(group => group.Key, group => group.Count());
        Assert.All(counts, count => Assert.True(count.Value == 1, $"{count.Key} was applied {count.Value} times."));
        Assert.True(outcomes.Count >= StormCommands);
        foreach (var (command, outcome) in outcomes)
        {
            if (outcome == ProposalOutcome.Committed) Assert.True(counts.ContainsKey(command), $"{command} is lost.");
            if (outcome == ProposalOutcome.NotCommitted) Assert.False(counts.ContainsKey(command), $"{command} was refused and is there.");
        }

        Assert.True(outcomes.Values.Count(outcome => outcome == ProposalOutcome.Committed) > StormCommands / 4, "Too few were committed.");
    }

    [Fact]
    public async Task Propose_RepeatedUnderItsRequestId_HasOneEffectAndTheFirstResult()
    {
        await using var cluster = await StartAsync(3);
        NodeId[] nodes = [.. cluster.Running];
        var first = await Task.WhenAll(Enumerable.Range(0, 30).Select(i => CommitAsync(cluster.LogOf(nodes[i % 3]), $"#{i}: by {i % 3}")));
        await RepeatAsync();
        await TransferAsync(cluster, Other(cluster, await LeaderAsync(cluster)));
        await RepeatAsync();
        foreach (var node in nodes) await cluster.StopAsync(node);
        foreach (var node in nodes) await cluster.StartAsync(node);
        await RepeatAsync();
        Assert.Equal(30, (await SameLedgerAsync(cluster)).Count);

        async Task RepeatAsync()
        {
            for (var i = 0; i < first.Length; i++)
            {
                var again = await CommitAsync(cluster.LogOf(nodes[(i + 1) % 3]), $"#{i}: by {i % 3}");
                Assert.True(again.Position.CompareTo(first[i].Position) > 0, "It is another entry with the same id.");
                Assert.Equal(Encoding.UTF8.GetString(first[i].Result.Span), Encoding.UTF8.GetString(again.Result.Span));
            }
        }
    }

    [Fact]
    public async Task Propose_WithoutAMajority_IsNotCommittedAndRefusedOnesNeverAppear()
    {
        await using var cluster = await StartAsync(3, requestLimit: TimeSpan.FromSeconds(1));
        var leader = await LeaderAsync(cluster);
        await CommitAsync(cluster.LogOf(leader), "before");
        NodeId[] away = [.. cluster.Running.Where(node => node != leader)];
        foreach (var node in away) await cluster.StopAsync(node);
        var outcomes = new Dictionary<string, ProposalOutcome>();
        for (var i = 0; i < 2; i++)
        {
            // All at once, and again when the leader has noticed that it is alone.
            var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(
                async j => (Command: $"alone {i} {j}", (await ProposeAsync(cluster.LogOf(leader), $"alone {i} {j}")).Outcome)));
            foreach (var (command, outcome) in results) outcomes[command] = outcome;
        }

        Assert.DoesNotContain(ProposalOutcome.Committed, outcomes.Values);
        foreach (var node in away) await cluster.StartAsync(node);
        await LeaderAsync(cluster);
        var ledger = (await SameLedgerAsync(cluster)).Select(entry => entry.Command).ToList();
        Assert.Equal("before", ledger[0]);
        Assert.Equal(ledger.Distinct(), ledger);
        Assert.All(ledger.Skip(1), command => Assert.Equal(ProposalOutcome.Unknown, outcomes[command]));
    }

    /// <summary>An engine once left such proposals without an answer until their time was over: it looked only at what is applied at their
    /// places, and the log of the next leader did not come as far.</summary>
    [Fact]
    public async Task Propose_OnALeaderThatIsReplaced_IsDecidedWhenItLearnsOfIt()
    {
        await using var cluster = await StartAsync(3, requestLimit: TimeSpan.FromHours(1));
        if (!cluster.CanIsolate) return;
        var old = await LeaderAsync(cluster);
        await CommitAsync(cluster.LogOf(old), "before");
        old = await LeaderAsync(cluster); // Whoever leads now, should that have changed.
        cluster.Isolate(old);
        var stranded = Enumerable.Range(0, 50).Select(i => ProposeAsync(cluster.LogOf(old), $"stranded {i}")).ToArray();
        var leader = await LeaderAsync(cluster, status => status.Self != old);
        await CommitAsync(cluster.LogOf(leader), "meanwhile");
        cluster.Heal();
        var outcomes = await Task.WhenAll(stranded).WaitAsync(Patience);
        var ledger = (await SameLedgerAsync(cluster)).Select(entry => entry.Command).ToList();
        Assert.Equal(["before", "meanwhile"], ledger.Where(command => !command.StartsWith("stranded", StringComparison.Ordinal)));
        for (var i = 0; i < outcomes.Length; i++)
        {
            Assert.NotEqual(ProposalOutcome.Unknown, outcomes[i].Outcome);
            Assert.Equal(outcomes[i].Outcome == ProposalOutcome.Committed, ledger.Contains($"stranded {i}"));
        }
    }

    [Fact]
    public async Task Propose_CallerGivesUp_IsUnknownAndNoException()
    {
        await using var cluster = await StartAsync(3);
        var leader = await LeaderAsync(cluster);
        NodeId[] away = [.. cluster.Running.Where(node => node != leader)];
        foreach (var node in away) await cluster.StopAsync(node);
        using var giveUp = new CancellationTokenSource();
        var pending = Enumerable.Range(0, 5)
            .Select(i => cluster.LogOf(leader).ProposeAsync(Bytes($"p{i}"), null, giveUp.Token).AsTask()).ToArray();
        Assert.All(pending, proposal => Assert.False(proposal.IsCompleted));
        await giveUp.CancelAsync();
        var results = await Task.WhenAll(pending).WaitAsync(Patience);
        Assert.All(results, result => Assert.Equal(ProposalOutcome.Unknown, result.Outcome));
        var late = await cluster.LogOf(leader).ProposeAsync(Bytes("late"), null, giveUp.Token).AsTask().WaitAsync(Patience);
        Assert.NotEqual(ProposalOutcome.Committed, late.Outcome);
        foreach (var node in away) await cluster.StartAsync(node);
        var ledger = (await SameLedgerAsync(cluster)).Select(entry => entry.Command).ToList();
        Assert.Equal(ledger.Distinct(), ledger);
        Assert.Subset(Enumerable.Range(0, 5).Select(i => $"p{i}").ToHashSet(), ledger.ToHashSet());
    }

    [Fact]
    public async Task Stop_RequestsOutstanding_AllEnd()
    {
        await using var cluster = await StartAsync(3);
        var leader = await LeaderAsync(cluster);
        NodeId[] away = [.. cluster.Running.Where(node => node != leader)];
        foreach (var node in away) await cluster.StopAsync(node);
        var log = cluster.LogOf(leader);
        var proposals = Enumerable.Range(0, 20).Select(i => log.ProposeAsync(Bytes($"p{i}"), null, CancellationToken.None).AsTask()).ToArray();
        var barrier = log.ReadBarrierAsync(CancellationToken.None).AsTask();
        var waiting = log.WaitAppliedAsync(new LogPosition(ulong.MaxValue), CancellationToken.None).AsTask();
        await cluster.StopAsync(leader);
        var results = await Task.WhenAll(proposals).WaitAsync(Patience);
        Assert.All(results, result => Assert.NotEqual(ProposalOutcome.Committed, result.Outcome));
        await Assert.ThrowsAsync<NoLeaderException>(() => waiting.WaitAsync(Patience));

        // A backend with leases may have confirmed it before it stopped; without an answer it may not stay.
        if (await Record.ExceptionAsync(() => barrier.WaitAsync(Patience)) is { } error) Assert.IsType<NoLeaderException>(error);
        var after = await log.ProposeAsync(Bytes("after"), null, CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.Equal(ProposalOutcome.NotCommitted, after.Outcome);
    }
}
