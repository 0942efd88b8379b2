using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Nodes come and go while the cluster works.</summary>
public sealed class MembershipTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task DeadNode_ReplacedUnderLoad_NothingIsLostAndTheNewOneServes() => TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var a = cluster["a"];
            await cluster.CreateSetAsync("rep", disks: 2, megabytes: 256);
            await cluster.CreateMirrorAsync("rep/v", "64M");
            await cluster.CliAsync("raft", "transfer", "--to", "a");
            var ledger = new BlockLedger(0, 16 << 20, 16 << 10, seed: 0x4E77);
            await using var client = await NbdClient.ConnectAsync(a, "rep/v");
            using var stop = new CancellationTokenSource();
            var load = BlockWriter.BurstAsync(client, ledger, seed: 3, stop.Token);

            // While it is up and serves, it is not taken out.
            var refused = await a.CliAsync("raft", "remove", "c");
            Assert.Equal((4, "nodeServes"), (refused.ExitCode, CodeOf(refused)));
            cluster["c"].Kill();
            await Eventually.TrueAsync("c is removed", Limit, async () => (await a.CliAsync("raft", "remove", "c")).ExitCode == 0);

            var c = cluster.AddNode("c");
            cluster.Start(c);
            await cluster.WaitUntilReadyAsync(c);
            Assert.False((bool)PeerOf(await PeersAsync(a), "c")["voter"]!);
            await cluster.CliAsync("raft", "promote", "c");
            await cluster.WaitUntilHealthyAsync("rep/v");
            var seen = ledger.Acknowledged;
            await Eventually.TrueAsync("writes went on", Limit, () => Task.FromResult(ledger.Acknowledged > seen + 200));
            await stop.CancelAsync();
            Assert.False(await load, "the client at a lost its connection");

            var peers = await PeersAsync(a);
            Assert.Equal([1, 2, 4], peers["peers"]!.AsArray().Select(peer => (int)peer!["id"]!).Order());
            Assert.All(peers["peers"]!.AsArray(), peer => Assert.True((bool)peer!["voter"]!));
            await ledger.VerifyAsync(client, "through a");
            await using (var other = await NbdClient.ConnectAsync(c, "rep/v")) await ledger.VerifyAsync(other, "through the new c");
            await Legs.AssertIdenticalAsync(cluster, "rep/v", 64 << 20);

            // The new one counts: without b it is needed for every commit.
            cluster["b"].Kill();
            await cluster.CliAsync("set", "create", "after", "--nodes", "a,c");
        },
        arguments: (_, _) => ["--snapshot-entries", "64"]);

    [Fact]
    public Task OneNode_GrowsToThreeAndFive_EachVoterCountsAndGuardsHold() => TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var a = cluster["a"];
            var last = await a.CliAsync("raft", "demote", "a");
            Assert.Equal((4, "lastVoter"), (last.ExitCode, CodeOf(last)));
            Assert.Equal(3, (await a.CliAsync("raft", "promote", "z")).ExitCode);
            await cluster.CliAsync("set", "create", "first", "--nodes", "a");

            // One is expected before it starts, the others add themselves.
            var b = cluster.AddNode("b");
            var added = await a.CliAsync("raft", "add", "b", "--peer", b.Peer, "--learner", "--priority", "50");
            Assert.Equal(2, (int)added.Expect().Json["data"]!["id"]!);
            Assert.Equal((8, "notCaughtUp"), await CodesAsync(a, "raft", "promote", "b", "--timeout", "4s"));
            NodeProcess[] others = [b, cluster.AddNode("c"), cluster.AddNode("d"), cluster.AddNode("e")];
            foreach (var node in others) cluster.Start(node);
            await cluster.WaitUntilReadyAsync(others);
            foreach (var node in others[..2]) await a.CliAsync("raft", "promote", node.Name).Expect();
            Assert.Equal(3, Voters(await PeersAsync(b)));
            await cluster.CliAsync("set", "create", "second", "--nodes", "a,b,c");
            foreach (var node in others[2..]) await a.CliAsync("raft", "promote", node.Name).Expect();
            var peers = await PeersAsync(a);
            Assert.Equal(5, Voters(peers));
            Assert.Equal((50, "member"), ((int)PeerOf(peers, "b")["priority"]!, (string?)PeerOf(peers, "b")["standing"]));

            // Two may fail. Then nobody else may go.
            cluster["d"].Kill();
            cluster["e"].Kill();
            await cluster.CliAsync("set", "create", "third", "--nodes", "a");
            await Eventually.TrueAsync("it would lose its majority", Limit, async () =>
                CodeOf(await a.CliAsync("raft", "demote", "b", "--dry-run")) == "wouldLoseQuorum");
            Assert.Equal((4, "wouldLoseQuorum"), await CodesAsync(a, "raft", "remove", "b"));
            await Eventually.TrueAsync("d is removed", Limit, async () => (await a.CliAsync("raft", "remove", "d")).ExitCode == 0);
            await cluster.CliAsync("raft", "remove", "e");
            Assert.Equal(3, Voters(await PeersAsync(a)));

            var log = (await a.CliAsync("raft", "log", "--count", "200")).Expect().Json;
            Assert.Contains(log["entries"]!.AsArray(), entry => (string?)entry!["configuration"] is { } text && text.StartsWith("(1 2)&&(1)", StringComparison.Ordinal));
            Assert.Contains(log["entries"]!.AsArray(), entry => (string?)entry!["type"] == "CreateSet" && (int)entry["bytes"]! > 0);
            var status = await cluster.StatusAsync(a);
            Assert.Equal("removed", (string?)status["nodes"]!.AsArray().Single(node => (string?)node!["name"] == "e")!["standing"]);
        },
        nodes: 1);

    [Fact]
    public Task DivergedNode_IsQuarantined_SaysWhyServesNothingAndIsSeededAnew() => TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var (a, b) = (cluster["a"], cluster["b"]);
            await cluster.CreateSetAsync("div", disks: 2, megabytes: 256);
            await cluster.CreateMirrorAsync("div/v", "32M");
            var ledger = new BlockLedger(0, 4 << 20, 16 << 10, seed: 0xD17);
            await using var client = await NbdClient.ConnectAsync(b, "div/v");
            await BlockWriter.FillAsync(client, ledger);

            // Its hashes become wrong while it serves. Entries bring the next comparison, and a snapshot for later.
            await client.DisposeAsync();
            b.Kill();
            b.Arguments.AddRange(["--fault-hash-from", $"{(ulong)(await PeersAsync(a))["commit"]! + 60}"]);
            await cluster.RestartAsync(b);
            await cluster.WaitUntilHealthyAsync("div/v");
            await using var dropped = await NbdClient.ConnectAsync(b, "div/v");
            await ledger.VerifyAsync(dropped, "through b before it diverges");
            JsonNode? peer = null;
            for (var i = 0; i < 60 && !dropped.Disconnected.IsCompleted; i++) await cluster.CreateEmptySetAsync(a, $"fill{i}");
            await dropped.Disconnected.WaitAsync(Limit);
            await Eventually.TrueAsync("b is quarantined", Limit, async () =>
            {
                peer = PeerOf(await PeersAsync(a), "b");
                return (string?)peer["standing"] == "quarantined";
            }, () => peer?.ToJsonString() ?? "");
            Assert.Contains("a majority's is", (string?)peer!["reason"], StringComparison.Ordinal);
            var asked = await b.CliAsync("status");
            Assert.Equal((6, "nodeQuarantined"), (asked.ExitCode, CodeOf(asked)));
            Assert.Equal(6, (await b.CliAsync("set", "create", "no", "--nodes", "b", "--timeout", "2s")).ExitCode);
            await Assert.ThrowsAnyAsync<Exception>(() => NbdClient.ConnectAsync(b, "div/v"));
            await using (var other = await NbdClient.ConnectAsync(a, "div/v")) await ledger.VerifyAsync(other, "through a");
            await Eventually.TrueAsync("b is fenced", Limit, async () => (string?)NodeOf(await cluster.StatusAsync(a), "b")["state"] is "fenced" or "down");
            Assert.Equal("quarantined", (string?)NodeOf(await cluster.StatusAsync(a), "b")["standing"]);

            // A restart alone heals nothing.
            b.Kill();
            b.Arguments.Clear();
            b.Arguments.AddRange(["--snapshot-entries", "32"]);
            cluster.Start(b);
            await Eventually.TrueAsync("b still says so", Limit, async () => (string?)PeerOf(await PeersAsync(a), "b")["standing"] == "quarantined");
            Assert.Equal((4, "notQuarantined"), await CodesAsync(a, "raft", "reseed", "a"));
            await cluster.CliAsync("raft", "reseed", "b");
            await cluster.WaitUntilReadyAsync(b);
            await cluster.WaitUntilHealthyAsync("div/v");
            Assert.Equal("member", (string?)PeerOf(await PeersAsync(a), "b")["standing"]);
            await using (var again = await NbdClient.ConnectAsync(b, "div/v")) await ledger.VerifyAsync(again, "through b");
            var snapshots = (await b.CliAsync("raft", "snapshot", "list")).Expect().Json["snapshots"]!.AsArray();
            Assert.Contains(snapshots, snapshot => (string?)snapshot!["node"] == "b" && (ulong)snapshot["index"]! > 0);
        },
        arguments: (_, _) => ["--snapshot-entries", "32"]);

    private static string? CodeOf(CliResult result) => result.ExitCode == 0 ? "ok" : (string?)JsonNode.Parse(result.Error)!["code"];

    private static async Task<(int, string?)> CodesAsync(NodeProcess node, params string[] arguments)
    {
        var result = await node.CliAsync(arguments);
        return (result.ExitCode, CodeOf(result));
    }

    internal static async Task<JsonNode> PeersAsync(NodeProcess node) => (await node.CliAsync("raft", "peers")).Expect().Json;

    internal static JsonNode PeerOf(JsonNode peers, string name) => peers["peers"]!.AsArray().Single(peer => (string?)peer!["name"] == name)!;

    private static JsonNode NodeOf(JsonNode status, string name) => status["nodes"]!.AsArray().Single(node => (string?)node!["name"] == name)!;

    internal static int Voters(JsonNode peers) => peers["peers"]!.AsArray().Count(peer => (bool)peer!["voter"]!);
}
