using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>One request id, two commands: the second is refused, whoever is asked, and nothing is done.</summary>
[Collection(SharedClusterTests.Name)]
public sealed class RequestIdTests(SharedCluster shared, ITestOutputHelper output)
{
    private const int Refused = 4;

    private readonly TestCluster _cluster = shared.Cluster;

    [Fact]
    public Task RequestId_OfAnotherCommand_IsRefusedOnEveryNode() => _cluster.WatchAsync(output, async () =>
    {
        var id = Guid.CreateVersion7().ToString();
        string[] create = ["mirror", "create", "main/id-one", "--size", "8M", "--on", "d0,d1", "--request-id", id];
        var first = (await _cluster["a"].CliAsync(create)).Expect().Json;
        await _cluster.WaitUntilHealthyAsync("main/id-one");
        var disk = _cluster.CreateDisk("id-disk", 128);
        var blank = await RealInput.HashAsync(disk);
        var last = await _cluster.LastEventAsync();

        foreach (var node in _cluster.Nodes)
        {
            await RefusedAsync(node, id, "mirror", "create", "main/id-two", "--size", "8M", "--on", "d0,d1");
            await RefusedAsync(node, id, "mirror", "create", "main/id-one", "--size", "16M", "--on", "d0,d1");
            await RefusedAsync(node, id, "mirror", "delete", "main/id-one");
            await RefusedAsync(node, id, "mirror", "delete", "main/id-one", "--dry-run");
            await RefusedAsync(node, id, "disk", "add", "main", "id-disk", disk);
            await RefusedAsync(node, id, "set", "create", "id-set", "--nodes", "a,b,c");
            var again = (await node.CliAsync(create)).Expect().Json;
            Assert.Equal((ulong)first["index"]!, (ulong)again["index"]!);
            Assert.Equal(first["data"]!.ToJsonString(), again["data"]!.ToJsonString());
        }

        Assert.Equal(last, await _cluster.LastEventAsync());
        Assert.Equal(blank, await RealInput.HashAsync(disk)); // Not even looked at by a stamp.
        var status = await _cluster.StatusAsync(_cluster["b"]);
        Assert.DoesNotContain("id-two", status.ToJsonString(), StringComparison.Ordinal);
        await _cluster.DeleteMirrorAsync("main/id-one");
    });

    private static async Task RefusedAsync(NodeProcess node, string id, params string[] arguments)
    {
        var result = (await node.CliAsync([.. arguments, "--request-id", id])).Expect(Refused);
        Assert.Empty(result.Output);
        var problem = JsonNode.Parse(result.Error)!;
        Assert.Equal("requestIdReused", (string?)problem["code"]);
        Assert.Equal("no", (string?)problem["applied"]);
        Assert.Contains("createMirror", (string?)problem["detail"], StringComparison.Ordinal);
    }
}
