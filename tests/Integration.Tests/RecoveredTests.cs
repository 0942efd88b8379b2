using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>ABR: reads stay on one leg after a writer died, until somebody says that the application has repaired the volume (design §14.18).</summary>
public sealed class RecoveredTests(ITestOutputHelper output)
{
    private const int Block = 4096;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task Writer_KilledThenRecovered_ReadsUseEveryLegAgainUntilTheNextOneDies() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("abr", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("abr/v", "16M", "--recovery", "app");
        await cluster.CreateMirrorAsync("abr/log", "16M");
        var refused = (await a.CliAsync("mirror", "recovered", "abr/v")).Expect(4);
        Assert.Contains("not pinned", refused.Error, StringComparison.Ordinal);
        Assert.Contains("notAbr", (await a.CliAsync("mirror", "recovered", "abr/log")).Expect(4).Error, StringComparison.Ordinal);

        // What a torn write leaves: the legs differ.
        var legs = await Legs.MapAsync(cluster, "abr/v");
        Legs.Write(legs[0], 0, Filled(1));
        Legs.Write(legs[1], 0, Filled(2));
        Assert.Equal([1, 2], await SeenAsync(a));

        b.Kill();
        var pin = await PinnedByAsync(a, "b");
        Assert.Equal([1], await SeenAsync(a));
        var status = await cluster.StatusAsync(a);
        var cause = status["disksets"]![0]!["causes"]!.AsArray().Single(item => ((string?)item!["code"])!.StartsWith("RM1302", StringComparison.Ordinal))!;
        Assert.Contains("writer b crashed", (string?)cause["cause"], StringComparison.Ordinal);
        Assert.Contains($"raftmirror mirror recovered abr/v --as-of {pin["crashedAtIndex"]}", (string?)cause["action"], StringComparison.Ordinal);

        // The repair, and the word that it is done; a repeat under its id is the same word.
        var id = Guid.CreateVersion7().ToString();
        var done = (await a.CliAsync("mirror", "recovered", "abr/v", "--request-id", id)).Expect().Json;
        var again = (await a.CliAsync("mirror", "recovered", "abr/v", "--request-id", id)).Expect().Json;
        Assert.Equal((ulong)done["index"]!, (ulong)again["index"]!);
        await Eventually.TrueAsync("reads use both legs again", Limit, async () => (await SeenAsync(a)) is [1, 2]);
        Assert.Null((await cluster.VolumeAsync(a, "abr/v"))["readPin"]);
        (await a.CliAsync("mirror", "recovered", "abr/v")).Expect(4);
        Assert.Contains(await cluster.EventsAsync(), e => (string?)e["type"] == "MirrorRecovered" && (string?)e["volume"] == "v");

        // Another writer dies: pinned anew, and what was repaired before does not count for it.
        await cluster.RestartAsync(b);
        await cluster.WaitUntilHealthyAsync("abr/log");
        c.Kill();
        var second = await PinnedByAsync(a, "c");
        Assert.Contains("crashedSince", (await a.CliAsync("mirror", "recovered", "abr/v", "--as-of", (string)pin["crashedAtIndex"]!.ToString())).Expect(4).Error, StringComparison.Ordinal);
        (await a.CliAsync("mirror", "recovered", "abr/v", "--as-of", second["crashedAtIndex"]!.ToString())).Expect();
        Assert.False((bool)(await cluster.VolumeAsync(a, "abr/v"))["readPinned"]!);
    });

    private static byte[] Filled(byte value)
    {
        var block = new byte[Block];
        block.AsSpan().Fill(value);
        return block;
    }

    /// <summary>Waits until status says that reads are pinned because of that node's death, and gives the record.</summary>
    private static Task<JsonNode> PinnedByAsync(NodeProcess asked, string node) => Eventually.GetAsync($"reads are pinned since {node} died", Limit, async () =>
    {
        var status = (await asked.CliAsync("status", "abr/v")).Expect().Json;
        var volume = status["disksets"]![0]!["volumes"]![0]!;
        return (string?)volume["readPin"]?["node"] == node && (bool)volume["readPinned"]! ? volume["readPin"] : null;
    });

    /// <summary>What sixteen reads of the first block return, each value once.</summary>
    private static async Task<byte[]> SeenAsync(NodeProcess node)
    {
        await using var client = await NbdClient.ConnectAsync(node, "abr/v");
        var seen = new SortedSet<byte>();
        var block = new byte[Block];
        for (var i = 0; i < 16; i++)
        {
            await client.ReadAsync(0, block);
            Assert.All(block, value => Assert.Equal(block[0], value));
            seen.Add(block[0]);
        }

        return [.. seen];
    }
}
