using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>What clients see of a volume.</summary>
[Collection(SharedClusterTests.Name)]
public sealed class ExportTests(SharedCluster shared, ITestOutputHelper output)
{
    private static readonly TimeSpan ToolLimit = TimeSpan.FromSeconds(60);

    private readonly TestCluster _cluster = shared.Cluster;

    [ToolFact("nbdinfo")]
    public Task Export_AskedOnEveryNodeAndSocket_HasTheSameSizeAndFlags() => _cluster.WatchAsync(output, async () =>
    {
        await _cluster.CreateMirrorAsync("main/same", "48M");
        var answers = new List<(string Uri, string Facts)>();
        foreach (var node in _cluster.Nodes)
        {
            foreach (var uri in (string[])[node.NbdUri("main/same"), $"nbd+unix:///main/same?socket={node.NbdSocket}"])
            {
                var info = JsonNode.Parse((await Tool.RunAsync("nbdinfo", ToolLimit, "--json", uri)).Output)!;
                var export = info["exports"]!.AsArray().Single()!.AsObject();
                Assert.Equal("main/same", (string?)export["export-name"]);
                Assert.Equal(48L << 20, (long)export["export-size"]!);
                Assert.False((bool)export["is_read_only"]!);
                Assert.True((bool)export["can_flush"]!);
                Assert.True((bool)export["can_fua"]!);
                Assert.True((bool)export["can_trim"]!);
                Assert.True((bool)export["can_zero"]!);
                export.Remove("uri");
                export.Remove("content");
                answers.Add((uri, export.ToJsonString()));
            }

            var list = JsonNode.Parse((await Tool.RunAsync("nbdinfo", ToolLimit, "--list", "--json", $"nbd://127.0.0.1:{node.NbdPort}")).Output)!;
            Assert.Contains("main/same", list["exports"]!.AsArray().Select(item => (string?)item!["export-name"]));
        }

        foreach (var (uri, facts) in answers) Assert.True(facts == answers[0].Facts, $"{uri} says {facts}, {answers[0].Uri} says {answers[0].Facts}");
        await _cluster.DeleteMirrorAsync("main/same");
    });

    [ToolFact("qemu-io")]
    public Task Export_TrimmedAndZeroedThroughOneNode_ReadsZerosThroughOthers() => _cluster.WatchAsync(output, async () =>
    {
        await _cluster.CreateMirrorAsync("main/zero", "32M");
        await Tool.RunAsync(
            "qemu-io", ToolLimit, "-f", "raw", "-c", "write -P 0x5a 0 8M", "-c", "write -z 1M 2M", "-c", "write -f -P 0x77 5M 64k", "-c", "flush",
            _cluster["a"].NbdUri("main/zero"));
        foreach (var node in (NodeProcess[])[_cluster["b"], _cluster["c"]])
        {
            var read = await Tool.RunAsync(
                "qemu-io", ToolLimit, "-f", "raw", "-c", "read -P 0x5a 0 1M", "-c", "read -P 0 1M 2M", "-c", "read -P 0x5a 3M 2M",
                "-c", "read -P 0x77 5M 64k", node.NbdUri("main/zero"));
            Assert.DoesNotContain("failed", read.Output, StringComparison.Ordinal);
        }

        await _cluster.DeleteMirrorAsync("main/zero");
    });

    [Fact]
    public Task Volume_DeletedWithAClient_IsRefusedUntilTheClientIsGone() => _cluster.WatchAsync(output, async () =>
    {
        await Assert.ThrowsAsync<NbdDisconnectedException>(() => NbdClient.ConnectAsync(_cluster["a"], "main/nothing"));
        await _cluster.CreateMirrorAsync("main/gone", "16M");
        await using (var client = await NbdClient.ConnectAsync(_cluster["b"], "main/gone"))
        {
            var refused = (await _cluster["a"].CliAsync("mirror", "delete", "main/gone")).Expect(4);
            Assert.Contains("client", refused.Error, StringComparison.Ordinal);
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
        }

        await _cluster.DeleteMirrorAsync("main/gone");
        foreach (var node in _cluster.Nodes)
            await Assert.ThrowsAsync<NbdDisconnectedException>(() => NbdClient.ConnectAsync(node, "main/gone"));
    });
}
