using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DirectoryCopies;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>A node's data directory is put back to an older copy (design §14.24): it has forgotten what it acknowledged.</summary>
public sealed class RestoredDirectoryTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);
    private static readonly string[] Made = ["w0", "w1", "w2"];

    /// <summary>The peer that was down all the time knows the later start of the one that was put back: with it alone no majority arises.</summary>
    [Fact]
    public Task OneOfThreePutBack_WhoKnowsMoreIsDown_NobodyLeadsUntilItIsBackAndNothingIsLost() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("s", disks: 2, megabytes: 128);
        b.Kill();
        var copy = CopyOf(b);
        await cluster.RestartAsync(b);
        c.Kill();
        foreach (var volume in Made) await cluster.CliAsync("mirror", "create", $"s/{volume}", "--size", "8M", "--on", "d0,d1");
        a.Kill();
        b.Kill();
        PutBack(b, copy);
        cluster.Start(b);
        cluster.Start(c);

        await BarredAsync(b, "outdated");
        Assert.Contains(b.Directory, await UnreadyAsync(b), StringComparison.Ordinal);
        await Eventually.TrueAsync("c says why nobody leads", Limit, async () =>
            (await UnreadyAsync(c)).Contains("'b'", StringComparison.Ordinal), c.Output);
        var refused = await c.CliAsync("status");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("raft reseed b", refused.Error, StringComparison.Ordinal);
        b.Kill();
        cluster.Start(b); // It does not become newer by being started once more.
        await BarredAsync(b, "outdated");

        cluster.Start(a);
        await cluster.WaitUntilReadyAsync(a, c);
        foreach (var node in (NodeProcess[])[a, c]) Assert.Equal(Made, await VolumesAsync(cluster, node));
        var status = await cluster.StatusAsync(a);
        Assert.Equal("outdated", (string?)Node(status, "b")["standing"]);
        Assert.Contains(status["disksets"]![0]!["causes"]!.AsArray(), cause => ((string?)cause!["code"])!.StartsWith("RM1461", StringComparison.Ordinal));

        await a.CliAsync("raft", "reseed", "b").Expect();
        await cluster.WaitUntilReadyAsync(b);
        a.Kill(); // Now b counts again: it has to have everything.
        await cluster.WaitUntilReadyAsync(b, c);
        Assert.Equal(Made, await VolumesAsync(cluster, b));
    });

    [Fact]
    public Task LeaderPutBack_OthersServe_IsRefusedAndSeededAnew() => TestCluster.RunAsync(output, async cluster =>
    {
        var leader = await cluster.LeaderAsync();
        var others = cluster.Nodes.Where(node => node != leader).ToArray();
        leader.Kill();
        var copy = CopyOf(leader);
        await cluster.RestartAsync(leader);
        leader.Kill();
        await cluster.RestartAsync(leader); // Two starts later: the others do not even let the older one in.
        await Eventually.TrueAsync($"{leader.Name} leads again", Limit, async () =>
            await cluster.LeaderAsync() == leader || (await others[0].CliAsync("raft", "transfer", "--to", leader.Name)).ExitCode == 0);
        await cluster.CreateEmptySetAsync(leader, "made");
        leader.Kill();
        PutBack(leader, copy);
        cluster.Start(leader);
        await BarredAsync(leader, "outdated");
        await cluster.WaitUntilReadyAsync(others);
        Assert.NotNull((await cluster.StatusAsync(others[0]))["disksets"]!.AsArray().Single(set => (string?)set!["name"] == "made"));
        await others[0].CliAsync("raft", "reseed", leader.Name).Expect();
        await cluster.WaitUntilReadyAsync();
        var peers = await MembershipTests.PeersAsync(others[0]);
        Assert.Equal(3, MembershipTests.Voters(peers));
    });

    [Fact]
    public Task TwoOfThreePutBack_ThirdKnows_NobodyLeadsAndTheNewerDirectoriesEndIt() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        NodeProcess[] old = [a, b];
        foreach (var node in cluster.Nodes) node.Kill();
        var copies = old.ToDictionary(node => node, CopyOf);
        foreach (var node in cluster.Nodes) cluster.Start(node);
        await cluster.WaitUntilReadyAsync();
        await cluster.CreateEmptySetAsync(c, "made");
        foreach (var node in cluster.Nodes) node.Kill();
        var newer = old.ToDictionary(node => node, CopyOf);
        foreach (var node in old) PutBack(node, copies[node]);
        foreach (var node in cluster.Nodes) cluster.Start(node);
        foreach (var node in old) await BarredAsync(node, "outdated");
        Assert.NotEqual(0, (await c.CliAsync("status")).ExitCode);

        foreach (var node in old)
        {
            node.Kill();
            PutBack(node, newer[node]);
        }

        // With the third dead for good, too: a cold start does not wait for it.
        c.Kill();
        foreach (var node in old) cluster.Start(node);
        await cluster.WaitUntilReadyAsync(old);
        Assert.NotNull((await cluster.StatusAsync(a))["disksets"]!.AsArray().Single(set => (string?)set!["name"] == "made"));
    });

    /// <summary>Nobody who is up knows, and there is no disk to ask: a majority goes another way. When the third comes back, all stop until
    /// it is said whose history counts.</summary>
    [Fact]
    public Task MajorityWentAnotherWay_WhoKnowsComesBack_AllStopUntilOneHistoryIsGivenUp() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        c.Kill();
        b.Kill();
        var copy = CopyOf(b);
        await cluster.RestartAsync(b);
        await cluster.CreateEmptySetAsync(a, "first");
        await cluster.CreateEmptySetAsync(a, "second"); // So that both know that the first is committed.
        a.Kill();
        b.Kill();
        PutBack(b, copy);
        cluster.Start(b);
        cluster.Start(c);
        await cluster.WaitUntilReadyAsync(b, c);
        await cluster.CreateEmptySetAsync(b, "other");
        await cluster.CreateEmptySetAsync(b, "another");

        cluster.Start(a);
        await BarredAsync(b, "outdated", "conflicting");
        await BarredAsync(c, "conflicting");
        // Where a has led before it heard of the other history, it need not know that its own was committed, and finds no majority any more.
        await Eventually.TrueAsync("node a stops", Limit, async () => await UnreadyAsync(a) is var reasons
            && (reasons.Contains("conflicting", StringComparison.Ordinal) || reasons.Contains("no leader is known", StringComparison.Ordinal)));

        foreach (var node in (NodeProcess[])[b, c]) await node.CliAsync("raft", "reseed", node.Name, "--from", "a").Expect();
        await cluster.WaitUntilReadyAsync();
        var sets = (await cluster.StatusAsync(c))["disksets"]!.AsArray().Select(set => (string)set!["name"]!).Order(StringComparer.Ordinal).ToArray();
        Assert.Equal(["first", "second"], sets);
    });

    /// <summary>The third knows, and is down; the disks know too. Afterwards it is said that its history counts.</summary>
    [Fact]
    public Task MajorityPutBack_ThirdIsDown_TheDisksTellAndNobodyServesUntilItIsBack() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        NodeProcess[] old = [a, b];
        var disks = await cluster.CreateSetAsync("s", disks: 2, megabytes: 128);
        foreach (var node in old) node.Kill();
        var copies = old.ToDictionary(node => node, CopyOf);
        foreach (var node in old) cluster.Start(node);
        await cluster.WaitUntilReadyAsync();
        foreach (var volume in Made) await cluster.CliAsync("mirror", "create", $"s/{volume}", "--size", "8M", "--on", "d0,d1");
        await BeatAsync(disks);
        foreach (var node in cluster.Nodes) node.Kill();
        foreach (var node in old) PutBack(node, copies[node]);
        foreach (var node in old) cluster.Start(node);

        foreach (var node in old)
        {
            await BarredAsync(node, "outdated");
            var reasons = await UnreadyAsync(node);
            Assert.Contains(node.Directory, reasons, StringComparison.Ordinal);
            Assert.Contains(disks, disk => reasons.Contains(disk, StringComparison.Ordinal));
            var refused = await node.CliAsync("status");
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains($"raft reseed {node.Name}", refused.Error, StringComparison.Ordinal);
            await Assert.ThrowsAnyAsync<Exception>(async () => await Nbd.NbdClient.ConnectAsync(node, "s/w0"));
        }

        b.Kill();
        cluster.Start(b); // It does not become newer by being started once more.
        await BarredAsync(b, "outdated");
        cluster.Start(c);
        await Eventually.TrueAsync("c answers", Limit, async () => (await UnreadyAsync(c)).Contains("outdated", StringComparison.Ordinal)
            || (await UnreadyAsync(c)).Contains("older copy", StringComparison.Ordinal), c.Output);
        foreach (var node in old) await node.CliAsync("raft", "reseed", node.Name, "--from", "c").Expect();
        await cluster.WaitUntilReadyAsync();
        foreach (var node in cluster.Nodes) Assert.Equal(Made, await VolumesAsync(cluster, node));
        await cluster.WaitUntilHealthyAsync("s/w0");
    });

    /// <summary>Everybody dies a moment after a beat, and one node misses the end: nobody is taken for old, and the one that is behind votes.</summary>
    [Fact]
    public Task AllKilledAfterABeat_OneWasBehind_AllTakePartAgain() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        var disks = await cluster.CreateSetAsync("s", disks: 2, megabytes: 128);
        c.Kill();
        foreach (var volume in Made) await cluster.CliAsync("mirror", "create", $"s/{volume}", "--size", "8M", "--on", "d0,d1");
        await BeatAsync(disks);
        a.Kill();
        b.Kill();
        cluster.Start(b);
        cluster.Start(c); // c alone with b: it lacks what the disks say, and b has it.
        await cluster.WaitUntilReadyAsync(b, c);
        Assert.Equal(Made, await VolumesAsync(cluster, c));
        cluster.Start(a);
        await cluster.WaitUntilReadyAsync();
        Assert.All(cluster.Nodes, node => Assert.Contains("Before it takes part this node asked", node.Output(), StringComparison.Ordinal));
    });

    [Fact]
    public Task LearnerPutBack_OthersServe_IsRefusedAndSeededAnew() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, c) = (cluster["a"], cluster["c"]);
        await cluster.CliAsync("raft", "demote", "c");
        await cluster.CreateSetAsync("s", disks: 2, megabytes: 128);
        c.Kill();
        var copy = CopyOf(c);
        await cluster.RestartAsync(c);
        await cluster.CreateMirrorAsync("s/w0", "8M");
        c.Kill();
        PutBack(c, copy);
        cluster.Start(c);
        await BarredAsync(c, "outdated");
        await a.CliAsync("raft", "reseed", "c").Expect();
        await cluster.WaitUntilReadyAsync();
        Assert.Equal(["w0"], await VolumesAsync(cluster, c));
    });

    /// <summary>Waits until a disk carries a stamp that was opened from now on.</summary>
    private static Task BeatAsync(IReadOnlyList<string> disks)
    {
        var before = Math.Max(StampOn(disks[0]), StampOn(disks[1]));
        return Eventually.TrueAsync("a beat is on a disk", Limit, () => Task.FromResult(disks.Any(disk => StampOn(disk) >= before + 2)));
    }

    private static async Task<string> UnreadyAsync(NodeProcess node) => (await node.ReadyzAsync()).Text;

    private static JsonNode Node(JsonNode status, string name) => status["nodes"]!.AsArray().Single(node => (string?)node!["name"] == name)!;

    private static async Task<string[]> VolumesAsync(TestCluster cluster, NodeProcess node) =>
    [
        .. (await cluster.StatusAsync(node))["disksets"]!.AsArray().SelectMany(set => set!["volumes"]!.AsArray())
            .Select(volume => (string)volume!["name"]!).Order(StringComparer.Ordinal),
    ];
}
