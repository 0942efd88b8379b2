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
        Assert.True(fencedAt - 1000 >= grantor.Options.HorizonMs, $"fenced at {fencedAt}");
        Assert.Equal(NodeStatus.Fenced, bench.State.Nodes["a"].Status);
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
        for (long now = 50_000; now < 50_000 + grantor.Options.HorizonMs; now += 20)
            Assert.DoesNotContain(grantor.Tick(now, bench.State), static p => p.Body is FenceNode);
        var fences = grantor.Tick(50_000 + grantor.Options.HorizonMs, bench.State).Select(static p => p.Body).OfType<FenceNode>();
        Assert.Equal([("a", 10ul), ("b", 10ul)], fences.Select(static f => (f.Node, f.Incarnation)));
        Assert.False(grantor.Renew("b", 20, 60_000, bench.State).IsGranted);
    }
}
