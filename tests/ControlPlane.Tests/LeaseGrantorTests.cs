using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

public sealed class LeaseGrantorTests
{
    [Fact] // Design §6.2.
    public void Tick_SilentNode_SuspectedThenFencedAfterTheHorizon()
    {
        var bench = Bench.Cluster();
        var grantor = new LeaseGrantor(new LeaseOptions(), "b");
        Assert.False(grantor.Renew("a", 10, 0, bench.State).IsGranted);
        grantor.LeadershipGained(0, 3);
        Assert.True(grantor.Renew("a", 10, 1000, bench.State).IsGranted);
        SuspectNode? suspicion = null;
        long suspectedAt = 0, fencedAt = 0;
        for (long now = 1000; now < 20_000 && fencedAt == 0; now += 100)
        {
            grantor.Renew("b", 10, now, bench.State);
            grantor.Renew("c", 10, now, bench.State);
            foreach (var proposal in grantor.Tick(now, bench.State))
            {
                Assert.Equal(3ul, proposal.Term);
                if (proposal.Body is SuspectNode suspect) (suspicion, suspectedAt) = (suspect, now);
                if (proposal.Body is FenceNode) fencedAt = now;
                bench.Ok(proposal.Body);
            }
        }

        Assert.Equal("a", suspicion!.Node);
        Assert.Equal(2500, suspectedAt);
        Assert.True(fencedAt - 1000 >= grantor.Options.HorizonMsOf(bench.State, "a"), $"fenced at {fencedAt}");
        Assert.Equal(NodeStatus.Fenced, bench.State.Nodes["a"].Status);
    }

    [Fact] // Its log is full: it asks, applies nothing and gives nothing up, so that nobody else could write either.
    public void Tick_NodeAsksAndDoesNotFollowTheLog_IsSuspectedThenFenced()
    {
        var bench = Bench.Cluster();
        Assert.Contains(bench.State.Sets.Values, static set => set.Members["a"].JoinedIncarnation == 10);
        var grantor = new LeaseGrantor(new LeaseOptions(), "b");
        grantor.LeadershipGained(0, 3);
        var stuck = bench.State.Index;
        bench.Ok(new SuspectNode("c", 10, "something that it does not apply"));
        bench.Ok(new ClearSuspicion("c", 10));
        long refusedAt = 0, suspectedAt = 0, fencedAt = 0;
        string? why = null, suspicion = null;
        for (long now = 0; now < 40_000 && fencedAt == 0; now += 100)
        {
            var answer = grantor.Renew("a", 10, now, bench.State, enacted: stuck);
            if (!answer.IsGranted && refusedAt == 0) (refusedAt, why) = (now, answer.Reason);
            grantor.Renew("b", 10, now, bench.State, enacted: bench.State.Index);
            grantor.Renew("c", 10, now, bench.State, enacted: bench.State.Index);
            foreach (var proposal in grantor.Tick(now, bench.State))
            {
                if (proposal.Body is SuspectNode suspect) (suspectedAt, suspicion) = (now, suspect.Reason);
                if (proposal.Body is FenceNode) fencedAt = now;
                bench.Ok(proposal.Body);
            }
        }

        Assert.Equal(grantor.Options.FollowMs, refusedAt);
        Assert.Contains("followed", why, StringComparison.Ordinal);
        Assert.Contains("followed", suspicion, StringComparison.Ordinal);
        Assert.Equal(NodeStatus.Fenced, bench.State.Nodes["a"].Status);
        Assert.True(fencedAt - (refusedAt - 100) >= grantor.Options.HorizonMsOf(bench.State, "a"), $"fenced at {fencedAt}");
        Assert.True(suspectedAt > refusedAt);
    }

    [Fact] // A slow one is asked for what was there a while ago, not for the newest.
    public void Renew_NodeLagsBehindAndFollows_IsGranted()
    {
        var bench = Bench.Cluster();
        var grantor = new LeaseGrantor(new LeaseOptions(), "b");
        grantor.LeadershipGained(0, 1);
        var (old, older) = (bench.State.Index, bench.State.Index);
        for (long now = 0; now < 30_000; now += 500)
        {
            bench.Ok(new SuspectNode("c", 10, "new entries all the time"));
            bench.Ok(new ClearSuspicion("c", 10));
            Assert.True(grantor.Renew("a", 10, now, bench.State, enacted: older).IsGranted, $"at {now}");
            if (now % 1500 == 0) (older, old) = (old, bench.State.Index);
        }
    }

    [Fact]
    public void Renew_Suspect_RefusedUntilCleared()
    {
        var bench = Bench.Cluster();
        var grantor = new LeaseGrantor(new LeaseOptions(), "b");
        grantor.LeadershipGained(0, 1);
        grantor.Tick(0, bench.State);
        var stale = bench.State;
        var suspect = grantor.Tick(1500, bench.State).Select(static p => p.Body).OfType<SuspectNode>().Single(static s => s.Node == "a");
        Assert.False(grantor.Renew("a", 10, 1501, stale).IsGranted);
        bench.Ok(suspect);
        grantor.Tick(1600, bench.State);
        Assert.False(grantor.Renew("a", 10, 1700, bench.State).IsGranted);
        var clear = Assert.Single(grantor.Tick(2200, bench.State).Select(static p => p.Body).OfType<ClearSuspicion>());
        Assert.False(grantor.Renew("a", 10, 2201, bench.State).IsGranted);
        bench.Ok(clear);
        Assert.True(grantor.Renew("a", 10, 2300, bench.State).IsGranted);
    }

    [Fact] // A new leader counts from its own start: an older one may have granted just before.
    public void Tick_NewLeader_WaitsAWholeHorizon()
    {
        var bench = Bench.Cluster();
        bench.Ok(new SuspectNode("a", 10, "silent"));
        bench.Register("b", 2, 20);
        var grantor = new LeaseGrantor(new LeaseOptions(), "c");
        grantor.LeadershipGained(50_000, 7);
        for (long now = 50_000; now < 50_000 + grantor.Options.HorizonMsOf(bench.State, "a"); now += 20)
            Assert.DoesNotContain(grantor.Tick(now, bench.State), static p => p.Body is FenceNode);
        var fences = grantor.Tick(50_000 + grantor.Options.HorizonMsOf(bench.State, "a"), bench.State).Select(static p => p.Body).OfType<FenceNode>();
        Assert.Equal([("a", 10ul), ("b", 10ul)], fences.Select(static f => (f.Node, f.Incarnation)));
        Assert.False(grantor.Renew("b", 20, 60_000, bench.State).IsGranted);
    }

    [Theory] // ADR 0019: the one with fewer links, of equals the higher name; not before both have said so twice.
    [InlineData("c", "b", "", "c")]
    [InlineData("b", "c", "", "c")]
    [InlineData("a", "b", "c", "a")]
    public void Tick_TwoLiveNodesApart_OneIsSuspectedAndFenced(string by, string of, string alsoOf, string victim)
    {
        var bench = Bench.Cluster();
        var grantor = new LeaseGrantor(new LeaseOptions(), "a");
        grantor.LeadershipGained(0, 1);
        string? suspected = null;
        long suspectedAt = 0, lastGrant = 0, fencedAt = 0;
        for (long now = 0; now < 20_000 && fencedAt == 0; now += 100)
        {
            foreach (var node in new[] { "a", "b", "c" })
            {
                if (now % 500 != 0 || now == 0) continue;
                string[] unheard = node == by && now >= 2000 ? [of, alsoOf] : [];
                if (grantor.Renew(node, 10, now, bench.State, unheard).IsGranted && node == victim) lastGrant = now;
            }

            foreach (var proposal in grantor.Tick(now, bench.State))
            {
                if (proposal.Body is SuspectNode suspect) (suspected, suspectedAt) = (suspect.Node, now);
                if (proposal.Body is FenceNode) fencedAt = now;
                bench.Ok(proposal.Body);
            }
        }

        Assert.Equal(victim, suspected);
        Assert.Equal(2500, suspectedAt);
        Assert.True(fencedAt - lastGrant >= grantor.Options.HorizonMs, $"fenced at {fencedAt}, granted at {lastGrant}");
        Assert.Equal(NodeStatus.Fenced, bench.State.Nodes[victim].Status);
    }

    [Fact] // They hear each other again before the horizon: nobody is lost.
    public void Tick_ApartAndTogetherAgain_IsCleared()
    {
        var bench = Bench.Cluster();
        var grantor = new LeaseGrantor(new LeaseOptions(), "a");
        grantor.LeadershipGained(0, 1);
        var bodies = new List<string>();
        for (long now = 500; now < 9000; now += 500)
        {
            foreach (var node in new[] { "a", "b", "c" }) grantor.Renew(node, 10, now, bench.State, node == "c" && now < 3000 ? ["b"] : []);
            foreach (var proposal in grantor.Tick(now, bench.State))
            {
                bodies.Add(proposal.Body.GetType().Name);
                bench.Ok(proposal.Body);
            }
        }

        Assert.Equal([nameof(SuspectNode), nameof(ClearSuspicion)], bodies);
        Assert.Equal(NodeStatus.Up, bench.State.Nodes["c"].Status);
    }

    [Fact] // A node that stands still is unheard by all; when it goes on, nobody is judged by what was said meanwhile.
    public void Tick_NodeThatStoodStill_IsNotApart()
    {
        var bench = Bench.Cluster();
        var grantor = new LeaseGrantor(new LeaseOptions(), "a");
        grantor.LeadershipGained(0, 1);
        for (long now = 500; now < 9000; now += 100)
        {
            var isStill = now is > 2000 and < 3300;
            if (now % 500 == 0)
            {
                foreach (var node in new[] { "a", "b" }) grantor.Renew(node, 10, now, bench.State, now is > 3000 and <= 3500 ? ["c"] : []);
            }

            if (now % 500 == 0 && !isStill) grantor.Renew("c", 10, now, bench.State);
            Assert.Empty(grantor.Tick(now, bench.State));
        }
    }
}
