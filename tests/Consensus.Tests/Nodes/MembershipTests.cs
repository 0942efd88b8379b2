using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>Membership, snapshots and divergence of real nodes over loopback TCP and real files.</summary>
public sealed class MembershipTests
{
    private static readonly NodeId One = new(1);
    private static readonly NodeId Two = new(2);
    private static readonly NodeId Three = new(3);

    [Fact]
    public async Task OneNode_GrowsToThree_AndServesWithoutTheFirst()
    {
        await using var cluster = await LocalCluster.StartAsync(1);
        var first = await cluster.LeaderAsync();
        for (var i = 0; i < 20; i++) await LocalCluster.CommitAsync(first, $"early {i}");
        foreach (var id in new[] { Two, Three })
        {
            Assert.Null(await ChangeAsync(first, MembershipAction.AddLearner, id, cluster.AddressOf(id)));
            await cluster.JoinAsync(id, first.ClusterId);
            await LocalCluster.CaughtUpAsync(cluster.Nodes[id], first);
            Assert.Null(await ChangeAsync(first, MembershipAction.Promote, id));
        }

        Assert.Equal([One, Two, Three], first.Status.Members.Where(member => member.IsVoter).Select(member => member.Id));
        Assert.Null(await ChangeAsync(cluster.Nodes[Three], MembershipAction.Remove, One)); // Asked of a follower.
        await cluster.StopAsync(One);
        var second = await cluster.LeaderAsync();
        Assert.EndsWith(":late", await LocalCluster.CommitAsync(second, "late"));
        await LocalCluster.CaughtUpAsync(cluster.Follower(second), second);
        Assert.All(cluster.Machines.Values, machine => Assert.Equal(21, machine.Applied.Count));
        Assert.Equal([Two, Three], second.Status.Members.Select(member => member.Id));
    }

    [Fact]
    public async Task DeadNode_IsReplacedByAnother()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        await LocalCluster.CommitAsync(leader, "before");
        var dead = cluster.Follower(leader).Status.Self;
        await cluster.StopAsync(dead);
        var four = new NodeId(4);
        Assert.Null(await ChangeAsync(leader, MembershipAction.AddLearner, default, cluster.AddressOf(four)));
        await cluster.JoinAsync(four, leader.ClusterId);
        await LocalCluster.CaughtUpAsync(cluster.Nodes[four], leader);
        Assert.Null(await ChangeAsync(leader, MembershipAction.Promote, four));
        Assert.Null(await ChangeAsync(leader, MembershipAction.Remove, dead));
        Assert.Contains("no member", await ChangeAsync(leader, MembershipAction.Remove, dead));
        Assert.Contains("never given again", await ChangeAsync(leader, MembershipAction.AddLearner, dead, cluster.AddressOf(dead)));
        await LocalCluster.CommitAsync(leader, "after");
        await LocalCluster.CaughtUpAsync(cluster.Nodes[four], leader);
        Assert.Equal(["before", "after"], cluster.Machines[four].Applied.Select(applied => applied.Command));
    }

    [Fact]
    public async Task Follower_BehindTheCompactedLog_IsRestoredFromASnapshot()
    {
        await using var cluster = new LocalCluster(3) { Configure = Small };
        foreach (var id in new[] { One, Two, Three }) await cluster.StartAsync(id);
        var leader = await cluster.LeaderAsync();
        await LocalCluster.CommitAsync(leader, "first");
        var away = cluster.Follower(leader).Status.Self;
        await cluster.StopAsync(away);
        for (var i = 0; i < 100; i++) await LocalCluster.CommitAsync(leader, $"{i}");
        await cluster.StartAsync(away);
        await LocalCluster.CommitAsync(leader, "last");
        await LocalCluster.CaughtUpAsync(cluster.Nodes[away], leader);
        Assert.Equal(
            cluster.Machines[leader.Status.Self].Applied.Select(applied => applied.Command),
            cluster.Machines[away].Applied.Select(applied => applied.Command));
        Assert.Equal(cluster.Machines[leader.Status.Self].StateHash, cluster.Machines[away].StateHash);
        Assert.NotNull(cluster.Nodes[away].SnapshotInfo);
    }

    [Fact]
    public async Task AllNodes_RestartedAfterSnapshots_HaveEverything()
    {
        await using var cluster = new LocalCluster(3) { Configure = Small };
        foreach (var id in new[] { One, Two, Three }) await cluster.StartAsync(id);
        var leader = await cluster.LeaderAsync();
        for (var i = 0; i < 90; i++) await LocalCluster.CommitAsync(leader, $"{i}");
        foreach (var id in new[] { One, Two, Three }) await cluster.StopAsync(id);
        foreach (var id in new[] { One, Two, Three }) await cluster.StartAsync(id);
        leader = await cluster.LeaderAsync();
        await LocalCluster.CommitAsync(leader, "again");
        foreach (var id in new[] { One, Two, Three })
        {
            await LocalCluster.CaughtUpAsync(cluster.Nodes[id], leader);
            Assert.Equal(91, cluster.Machines[id].Applied.Count);
            Assert.Equal(1, cluster.Machines[id].Restores);
        }
    }

    [Fact]
    public async Task DivergedNode_IsQuarantined_TheOthersGoOn_SeedingAnewCures()
    {
        await using var cluster = new LocalCluster(3) { Configure = options => Small(options) with { CheckpointEntries = 4 } };
        foreach (var id in new[] { One, Two, Three }) await cluster.StartAsync(id);
        var leader = await cluster.LeaderAsync();
        var sick = cluster.Follower(leader).Status.Self;
        for (var i = 0; i < 40; i++) await LocalCluster.CommitAsync(leader, $"{i}");
        cluster.Machines[sick].Corrupt();
        var diverged = cluster.Nodes[sick].Diverged;
        for (var i = 0; !diverged.IsCompleted && i < 1000; i++) await LocalCluster.CommitAsync(leader, $"more {i}");
        var note = await diverged.WaitAsync(LocalCluster.Patience);
        Assert.NotNull(note.Majority);
        Assert.All(cluster.Nodes.Values.Where(node => node.Status.Self != sick), node => Assert.Null(node.Quarantine));

        // It stays so over a restart.
        await cluster.StopAsync(sick);
        await cluster.StartAsync(sick);
        Assert.Equal(note, cluster.Nodes[sick].Quarantine);
        for (var i = 0; i < 60; i++) await LocalCluster.CommitAsync(leader, $"later {i}");
        using var patience = new CancellationTokenSource(LocalCluster.Patience);
        Assert.Null(await cluster.Nodes[sick].ReseedAsync(leader.Status.Self, patience.Token));
        await cluster.StopAsync(sick);
        await cluster.StartAsync(sick);
        Assert.Null(cluster.Nodes[sick].Quarantine);
        await LocalCluster.CommitAsync(leader, "last");
        await LocalCluster.CaughtUpAsync(cluster.Nodes[sick], leader);
        Assert.Equal(cluster.Machines[leader.Status.Self].StateHash, cluster.Machines[sick].StateHash);
        Assert.Contains("not quarantined", await cluster.Nodes[sick].ReseedAsync(null, patience.Token));
    }

    private static RaftNodeOptions Small(RaftNodeOptions options) => options with { SnapshotEntries = 16, CheckpointEntries = 8 };

    private static async Task<string?> ChangeAsync(RaftNode node, MembershipAction action, NodeId id, string address = "")
    {
        var change = new MembershipChange(action, new Member(id, $"node {id}", address));
        var error = await node.ChangeMembersAsync(change, CancellationToken.None).AsTask().WaitAsync(LocalCluster.Patience);
        if (node.Failure.IsCompleted) Assert.Fail($"{error}: {await node.Failure}");
        return error;
    }
}
