using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>A file or logical unit changes its size under the set (design §14.19): size is checked where it can change.</summary>
public sealed class ResizedDiskTests(ITestOutputHelper output)
{
    private const int LegBytes = 16 << 20;
    private const long DiskBytes = 96L << 20;

    [Fact]
    public Task FileOfALeg_GrowsIsCutAndGrowsBack_IsNamedUsedLostAndFilledAnew() => TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("cut", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("cut/v", "16M");
        await WriteAsync(cluster["a"], "cut/v", 1);

        // Grown: used up to the size that is known, and said.
        SetLength(paths[1], DiskBytes + (32 << 20));
        await CauseAsync(cluster, cluster["b"], "RM1206", "cut/d1", $"used up to {DiskBytes}");
        await WriteAsync(cluster["b"], "cut/v", 2);
        Assert.Equal("okay", (string?)(await SetAsync(cluster, cluster["a"]))["volumes"]![0]!["state"]);
        SetLength(paths[1], DiskBytes);
        await OkayAsync(cluster, cluster["b"]);

        // Cut: the next write does not make it long again.
        SetLength(paths[1], 70 << 20);
        await using (var client = await NbdClient.ConnectAsync(cluster["a"], "cut/v"))
            Assert.Equal(0u, await client.WriteAsync(LegBytes - 4096, Enumerable.Repeat((byte)9, 4096).ToArray()).WaitAsync(Limit));
        Assert.Equal(70L << 20, new FileInfo(paths[1]).Length);
        await AssertReadsAsync(cluster["a"], "cut/v", 2);
        await CauseAsync(cluster, cluster["a"], "RM1202", "cut/d1", $"give it {DiskBytes} bytes");
        Assert.Equal("degraded", (string?)(await cluster.VolumeAsync(cluster["a"], "cut/v"))["state"]);

        // Large enough again: what lay behind the cut is gone, so all of it is copied.
        var since = await cluster.LastEventAsync();
        SetLength(paths[1], DiskBytes);
        var returned = await EventAsync(cluster, "DiskReturned", "d1", since);
        Assert.True((bool?)returned["isEverythingOwed"]);
        Assert.Contains("large enough again", (string?)returned["why"], StringComparison.Ordinal);
        await OkayAsync(cluster, cluster["a"]);
        await Legs.AssertIdenticalAsync(cluster, "cut/v", LegBytes);
        foreach (var node in cluster.Nodes)
        {
            await AssertReadsAsync(node, "cut/v", 2);
            await AssertReadsAsync(node, "cut/v", 9, LegBytes - 4096);
        }
    });

    [Fact] // Nobody writes: the next beat sees it, before anybody reads the hole for data.
    public Task IdleFileOfALegIsCut_TheNextBeatSeesIt() => TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("cut", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("cut/v", "16M");
        await WriteAsync(cluster["a"], "cut/v", 1);
        var since = await cluster.LastEventAsync();
        SetLength(paths[1], 70 << 20);
        Assert.Equal("Resized", (string?)(await EventAsync(cluster, "DiskLost", "d1", since))["reason"], ignoreCase: true);
        SetLength(paths[1], DiskBytes);
        await EventAsync(cluster, "DiskReturned", "d1", since);
        await OkayAsync(cluster, cluster["a"]);
        await Legs.AssertIdenticalAsync(cluster, "cut/v", LegBytes);
    });

    private static void SetLength(string path, long bytes)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        file.SetLength(bytes);
    }
}
