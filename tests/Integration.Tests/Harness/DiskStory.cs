using System.Buffers.Binary;
using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>What tests of disks that are old, moved, cut or missing do to volumes, and look at.</summary>
internal static class DiskStory
{
    /// <summary>How long anything may take.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    private const int Block = 4096;
    private const int StampOffset = 112; // docs/formats.md.

    /// <summary>Writes a block through a node, and a flush with it; repeated while the node does not serve the volume.</summary>
    public static Task WriteAsync(NodeProcess node, string volume, byte content, long offset = 0) =>
        Eventually.TrueAsync($"{node.Name} takes a write to {volume}", Limit, async () =>
        {
            await using var client = await NbdClient.ConnectAsync(node, volume);
            return await client.WriteAsync(offset, Enumerable.Repeat(content, Block).ToArray(), forceUnitAccess: true) == 0;
        });

    /// <summary>Fails unless each of some reads through a node, which take the legs in turn, gives a content.</summary>
    public static async Task AssertReadsAsync(NodeProcess node, string volume, byte content, long offset = 0)
    {
        for (var i = 0; i < 4; i++)
        {
            var buffer = new byte[Block];
            await Eventually.TrueAsync($"{node.Name} answers a read of {volume}", Limit, async () =>
            {
                await using var client = await NbdClient.ConnectAsync(node, volume);
                await client.ReadAsync(offset, buffer);
                return true;
            });
            Assert.All(buffer, read => Assert.Equal(content, read));
        }
    }

    /// <summary>True if the node does not serve the volume now.</summary>
    public static async Task AssertNotServedAsync(NodeProcess node, string volume) => await Assert.ThrowsAsync<NbdDisconnectedException>(async () =>
    {
        await using var client = await NbdClient.ConnectOnceAsync(node, volume);
        await client.ReadAsync(0, new byte[Block]);
    });

    /// <summary>Kills every node, with no time for a closing beat.</summary>
    public static void KillAll(TestCluster cluster)
    {
        foreach (var node in cluster.Nodes) node.Kill();
    }

    /// <summary>Stops every node cleanly.</summary>
    public static async Task StopAllAsync(TestCluster cluster)
    {
        foreach (var node in cluster.Nodes) await node.TerminateAsync(Limit);
    }

    /// <summary>Starts every node and waits until all are up.</summary>
    public static async Task StartAllAsync(TestCluster cluster)
    {
        foreach (var node in cluster.Nodes) cluster.Start(node);
        await cluster.WaitUntilReadyAsync();
    }

    /// <summary>The set as a node's status shows it.</summary>
    public static async Task<JsonNode> SetAsync(TestCluster cluster, NodeProcess node) => (await cluster.StatusAsync(node))["disksets"]![0]!;

    /// <summary>Waits until the status of a node has a cause about an object.</summary>
    /// <param name="cluster">Cluster.</param>
    /// <param name="node">Who is asked.</param>
    /// <param name="code">Begin of its code.</param>
    /// <param name="about">Its object.</param>
    /// <param name="text">Part of cause or action.</param>
    public static async Task CauseAsync(TestCluster cluster, NodeProcess node, string code, string about, string text = "")
    {
        JsonNode? set = null;
        await Eventually.TrueAsync(
            $"{code} {about}: {text}", Limit,
            async () => (set = await SetAsync(cluster, node))["causes"]!.AsArray().Any(cause => ((string)cause!["code"]!).StartsWith(code, StringComparison.Ordinal)
                && (string?)cause["object"] == about && $"{cause["cause"]} {cause["action"]}".Contains(text, StringComparison.Ordinal)),
            () => set?["causes"]?.ToJsonString() ?? "");
    }

    /// <summary>Waits until a set has no cause at all: nothing is left to be said or done.</summary>
    public static async Task OkayAsync(TestCluster cluster, NodeProcess node)
    {
        JsonNode? set = null;
        await Eventually.TrueAsync(
            "the set is okay", Limit, async () => (string?)(set = await SetAsync(cluster, node))["health"] == "okay", () => set?.ToJsonString() ?? "");
    }

    /// <summary>Waits for an event about a disk, after an index.</summary>
    public static Task<JsonNode> EventAsync(TestCluster cluster, string type, string disk, ulong since = 0) => Eventually.GetAsync(
        $"{type} {disk}", Limit,
        async () => (await cluster.EventsAsync(since)).LastOrDefault(record => (string?)record["type"] == type && (string?)record["disk"] == disk));

    /// <summary>Number of the stamp in a label on a disk's file: its head, or its tail.</summary>
    public static ulong StampOn(string path, bool isTail = false)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        file.Position = (isTail ? (file.Length - Block) / Block * Block : 0) + StampOffset;
        var number = new byte[8];
        file.ReadExactly(number);
        return BinaryPrimitives.ReadUInt64LittleEndian(number);
    }

    /// <summary>Waits until a label carries a later stamp than one.</summary>
    public static Task StampedAfterAsync(string path, ulong number) =>
        Eventually.TrueAsync($"a stamp after {number} is on {path}", Limit, () => Task.FromResult(StampOn(path) > number));
}
