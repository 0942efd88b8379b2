using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>The majority is gone for good.</summary>
public sealed class RecoveryTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task TwoOfThreeDestroyed_SurvivorRecovered_HasAllRefusesOldMembersAndGrowsAgain() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("dis", disks: 2, megabytes: 256);
        await cluster.CreateMirrorAsync("dis/v", "32M");
        var ledger = new BlockLedger(0, 4 << 20, 16 << 10, seed: 0xD15);
        await using (var client = await NbdClient.ConnectAsync(a, "dis/v")) await BlockWriter.FillAsync(client, ledger);
        Assert.Equal(4, (await TestCluster.RunCliAsync("raft", "verify", "--data", a.Directory, "-o", "json")).ExitCode);
        foreach (var node in cluster.Nodes) node.Kill();
        System.IO.Directory.Delete(c.Directory, recursive: true);

        var seen = (await TestCluster.RunCliAsync("raft", "inspect", "--data", a.Directory, "--entries", "50", "--frames", "-o", "json")).Expect().Json;
        Assert.Equal("a", (string?)seen["name"]);
        Assert.Equal("(1 2 3)", (string?)seen["node"]!["members"]);
        var lastIndex = (ulong)seen["node"]!["lastIndex"]!;
        Assert.Contains(seen["entries"]!.AsArray(), entry => (string?)entry!["type"] == "CreateMirror");
        Assert.NotEmpty(seen["node"]!["frames"]!.AsArray());
        var verdict = (await TestCluster.RunCliAsync("raft", "verify", "--data", a.Directory, "-o", "json")).Expect().Json;
        Assert.Contains((string?)verdict["verdict"], (string[])["intact", "tornTail"]);
        Assert.Equal(lastIndex, (ulong)verdict["lastIndex"]!);

        var directory = cluster.File("recovered");
        string[] order = ["raft", "recover", "--data", a.Directory, "--to", directory, "--reason", "the fire of Saturday", "-o", "json"];
        var unsure = await TestCluster.RunCliAsync(order);
        Assert.Equal(4, unsure.ExitCode);
        Assert.False(System.IO.Directory.Exists(directory));
        Assert.Equal(2, (await TestCluster.RunCliAsync([.. order, "--confirm", "b"])).ExitCode);
        var report = (await TestCluster.RunCliAsync([.. order, "--confirm", "a"])).Expect().Json;
        Assert.Equal(lastIndex, (ulong)report["recovery"]!["keptLastIndex"]!);
        var receipt = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(directory, "raft", "receipt.json")))!;
        Assert.Equal("the fire of Saturday", (string?)receipt["reason"]);

        // A salvaged log under the old identity is refused.
        var stolen = cluster.File("stolen");
        System.IO.Directory.CreateDirectory(Path.Combine(stolen, "raft"));
        foreach (var file in System.IO.Directory.GetFiles(Path.Combine(directory, "raft"))) File.Copy(file, Path.Combine(stolen, "raft", Path.GetFileName(file)));
        foreach (var name in (string[])["node.json", "members.json"]) File.Copy(Path.Combine(a.Directory, name), Path.Combine(stolen, name));
        var refused = await TestCluster.RunCliAsync(
            "node", "run", "--name", "a", "--data", stolen, "--api", "127.0.0.1:0", "--peer", a.Peer, "--nbd", "127.0.0.1:0", "-o", "json");
        Assert.Equal(4, refused.ExitCode);
        Assert.Contains("salvaged", refused.Error, StringComparison.Ordinal);

        var survivor = cluster.AddNode("a", joins: false, directory);
        survivor.Peer = a.Peer; // Old members would dial it there.
        cluster.Start(survivor);
        await cluster.WaitUntilReadyAsync(survivor);
        var peers = await MembershipTests.PeersAsync(survivor);
        Assert.Equal("a", (string?)Assert.Single(peers["peers"]!.AsArray())!["name"]);

        // An old member that was not destroyed after all is refused, and rules nothing.
        cluster.Start(b);
        await Eventually.TrueAsync("b is refused", Limit, () => Task.FromResult(b.Output().Contains("handshake refused", StringComparison.Ordinal)), b.Output);
        await Eventually.TrueAsync("b's API answers", Limit, async () => (await b.CliAsync("raft", "peers")).ExitCode == 0, b.Output);
        Assert.Null((string?)(await MembershipTests.PeersAsync(b))["leader"]);
        b.Kill();

        foreach (var name in (string[])["b", "c"]) cluster.Start(cluster.AddNode(name));
        await cluster.WaitUntilReadyAsync();
        foreach (var name in (string[])["b", "c"]) await survivor.CliAsync("raft", "promote", name).Expect();
        Assert.Equal(3, MembershipTests.Voters(await MembershipTests.PeersAsync(survivor)));
        await cluster.WaitUntilHealthyAsync("dis/v");
        foreach (var node in cluster.Nodes)
        {
            await using var reader = await NbdClient.ConnectAsync(node, "dis/v");
            await ledger.VerifyAsync(reader, $"through {node.Name}");
        }

        await Legs.AssertIdenticalAsync(cluster, "dis/v", 32 << 20);
    }, arguments: (_, _) => ["--snapshot-entries", "32"]);
}
