using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>An old, copied or cut disk is no source, and status says which one it is (design §14.19).</summary>
public sealed class OldDiskTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact] // The whole cluster is killed, so that the set is activated anew without a closing beat.
    public Task OlderCopyOfALeg_PutBackWhileAllNodesAreKilled_IsNoSource() => TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("old", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("old/v", "16M");
        await WriteAsync(cluster["a"], "old/v", 1);
        KillAll(cluster);
        File.Copy(paths[1], paths[1] + ".bak");
        await StartAllAsync(cluster);
        await WriteAsync(cluster["a"], "old/v", 2);
        KillAll(cluster);
        File.Copy(paths[1] + ".bak", paths[1], overwrite: true);
        await StartAllAsync(cluster);

        var disk = await LostAsync(cluster, "old", "d1");
        Assert.Contains("older", disk, StringComparison.OrdinalIgnoreCase);
        for (var i = 0; i < 4; i++) Assert.Equal(2, await ReadAsync(cluster["a"], "old/v"));
    });

    [Fact] // A copy has the label of the disk; what it has not is the nonce that was written a moment ago.
    public Task CopiesOfBothLegsUnderOneNodesPaths_NodeStaysOutAndSaysSo() => TestCluster.RunAsync(output, async cluster =>
    {
        await cluster.CliAsync("set", "create", "dup", "--nodes", "a,b,c");
        foreach (var name in (string[])["d0", "d1"])
        {
            var path = cluster.CreateDisk($"dup-{name}", 96);
            File.CreateSymbolicLink(cluster.File($"b-{name}"), path);
            await cluster.CliAsync("disk", "add", "dup", name, path, "--path", $"b={cluster.File($"b-{name}")}");
        }

        await cluster.CreateMirrorAsync("dup/v", "16M");
        await WriteAsync(cluster["a"], "dup/v", 1);
        var b = cluster["b"];
        b.Kill();
        foreach (var name in (string[])["d0", "d1"])
        {
            File.Copy(cluster.File($"dup-{name}.img"), cluster.File($"copy-{name}"));
            File.Delete(cluster.File($"b-{name}"));
            File.CreateSymbolicLink(cluster.File($"b-{name}"), cluster.File($"copy-{name}"));
        }

        await WriteAsync(cluster["a"], "dup/v", 2);
        cluster.Start(b);
        await cluster.WaitUntilReadyAsync(b);
        JsonNode? last = null;
        await Eventually.TrueAsync("status says what node b sees", Limit, async () =>
        {
            last = await cluster.StatusAsync(cluster["a"]);
            return last.ToJsonString().Contains("copy of the disk", StringComparison.Ordinal);
        }, () => last?.ToJsonString() ?? "");
        await Assert.ThrowsAsync<NbdDisconnectedException>(async () =>
        {
            await using var client = await NbdClient.ConnectOnceAsync(b, "dup/v");
            await client.ReadAsync(0, new byte[4096]);
        });
        Assert.Equal(2, await ReadAsync(cluster["a"], "dup/v"));
    });

    [Fact]
    public Task FileOfALegCutUnderTheSet_WriteAtItsEnd_DoesNotMakeItLongAgain() => TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("cut", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("cut/v", "16M");
        await WriteAsync(cluster["a"], "cut/v", 1);
        using (var file = new FileStream(paths[1], FileMode.Open)) file.SetLength(70 << 20);
        await using var client = await NbdClient.ConnectAsync(cluster["a"], "cut/v");
        Assert.Equal(0u, await client.WriteAsync((16 << 20) - 4096, Enumerable.Repeat((byte)9, 4096).ToArray()).WaitAsync(Limit));
        Assert.Equal(70L << 20, new FileInfo(paths[1]).Length);
        for (var i = 0; i < 4; i++) Assert.Equal(1, await ReadAsync(cluster["a"], "cut/v"));
        Assert.Equal("degraded", (string?)(await cluster.VolumeAsync(cluster["a"], "cut/v"))["state"]);
    });

    private static void KillAll(TestCluster cluster)
    {
        foreach (var node in cluster.Nodes) node.Kill();
    }

    private static async Task StartAllAsync(TestCluster cluster)
    {
        foreach (var node in cluster.Nodes) cluster.Start(node);
        await cluster.WaitUntilReadyAsync();
    }

    private static async Task WriteAsync(NodeProcess node, string volume, byte content)
    {
        await Eventually.TrueAsync("a write is acknowledged", Limit, async () =>
        {
            try
            {
                await using var client = await NbdClient.ConnectAsync(node, volume);
                return await client.WriteAsync(0, Enumerable.Repeat(content, 4096).ToArray(), forceUnitAccess: true) == 0;
            }
            catch (NbdDisconnectedException)
            {
                return false; // It may not serve yet.
            }
        });
    }

    private static Task<int> ReadAsync(NodeProcess node, string volume) => Eventually.GetAsync<object>("a read is answered", Limit, async () =>
    {
        try
        {
            await using var client = await NbdClient.ConnectAsync(node, volume);
            var buffer = new byte[4096];
            await client.ReadAsync(0, buffer);
            return (int)buffer[0];
        }
        catch (NbdDisconnectedException)
        {
            return null; // It may not serve yet.
        }
    }).ContinueWith(static read => (int)read.Result, TaskScheduler.Default);

    /// <summary>Waits until a disk is lost; what the log of events says of it.</summary>
    private static Task<string> LostAsync(TestCluster cluster, string set, string disk) => Eventually.GetAsync("the disk is lost", Limit, async () =>
        (await cluster.EventsAsync()).LastOrDefault(record =>
            (string?)record["type"] == "DiskLost" && (string?)record["set"] == set && (string?)record["disk"] == disk)?.ToJsonString());
}
