using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk appears on several nodes, and on one of them it is a copy: no two nodes take different ones for it (design §14.19, ADR 0020).</summary>
public sealed class CopiedDiskTests(ITestOutputHelper output)
{
    private const long LegBytes = 16 << 20;
    private const string Volume = "copy/v";

    [Fact] // Both labels are right: it was copied when it had left, and the set went on without it.
    public Task LostDiskAppearsAndOneNodeSeesACopy_StaysOutUntilAllSeeTheSame() => TestCluster.RunAsync(output, async cluster =>
    {
        await CreateAsync(cluster);
        await StopAllAsync(cluster);
        foreach (var node in cluster.Nodes) File.Delete(Link(cluster, node));
        await StartAllAsync(cluster);
        await EventAsync(cluster, "DiskLost", "d1");
        await WriteAsync(cluster["a"], Volume, 2);
        File.Copy(Disk(cluster), Disk(cluster) + ".copy");
        var since = await cluster.LastEventAsync();
        foreach (var node in cluster.Nodes) Point(cluster, node, node.Name == "b" ? ".copy" : "");

        await CauseAsync(cluster, cluster["a"], "RM1202", "copy/d1", "there are copies of it");
        foreach (var node in cluster.Nodes) await AssertReadsAsync(node, Volume, 2);
        await WriteAsync(cluster["b"], Volume, 3);
        foreach (var node in cluster.Nodes) await AssertReadsAsync(node, Volume, 3);
        Assert.DoesNotContain(await cluster.EventsAsync(since), static record => (string?)record["type"] == "DiskReturned");

        Point(cluster, cluster["b"], "");
        await EventAsync(cluster, "DiskReturned", "d1", since);
        await OkayAsync(cluster, cluster["a"]);
        foreach (var node in cluster.Nodes) await AssertReadsAsync(node, Volume, 3);
        await Legs.AssertIdenticalAsync(cluster, Volume, LegBytes);
    });

    [Fact] // Nothing was asked at a later look than the first: the copy was taken, since the node had once said that it misses the disk.
    public Task CopyAppearsOnANodeThatMissedTheDisk_IsNotUsedThere() => TestCluster.RunAsync(output, async cluster =>
    {
        await CreateAsync(cluster);
        foreach (var name in (string[])["a", "b"])
        {
            await cluster[name].TerminateAsync(Limit);
            File.Delete(Link(cluster, cluster[name]));
        }

        foreach (var name in (string[])["a", "b"]) await cluster.RestartAsync(cluster[name]);
        foreach (var name in (string[])["a", "b"]) await CauseAsync(cluster, cluster["c"], "RM1205", $"copy/d1:{name}", "absent");
        await WriteAsync(cluster["c"], Volume, 2);
        File.Copy(Disk(cluster), Disk(cluster) + ".copy");
        foreach (var name in (string[])["a", "b"]) Point(cluster, cluster[name], name == "b" ? ".copy" : "");

        await CauseAsync(cluster, cluster["c"], "RM1205", "copy/d1:b", "copy of the disk");
        await WriteAsync(cluster["a"], Volume, 3);
        await AssertReadsAsync(cluster["a"], Volume, 3);
        await AssertReadsAsync(cluster["c"], Volume, 3);
        await AssertNotServedAsync(cluster["b"], Volume);

        Point(cluster, cluster["b"], "");
        await AssertReadsAsync(cluster["b"], Volume, 3);
        await OkayAsync(cluster, cluster["a"]);
        await Legs.AssertIdenticalAsync(cluster, Volume, LegBytes);
    });

    [ToolFact("gcc")] // What was open failed for good; the disk that came back was judged by another handle, and used by the old one.
    public async Task DiskFailsForAllNodesAndComesBackAsAnotherDevice_IsUsedByANewHandle() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            const int NoSuchDevice = 6;
            var faults = DiskFaults.Of(cluster);
            var paths = await cluster.CreateSetAsync("copy", disks: 2, megabytes: 96);
            await cluster.CreateMirrorAsync(Volume, "16M");
            foreach (var node in cluster.Nodes) await WriteAsync(node, Volume, 1);
            var since = await cluster.LastEventAsync();

            faults.Fail("copy-d1", "rwf", NoSuchDevice, cluster.Nodes);
            await WriteAsync(cluster["a"], Volume, 2);
            await EventAsync(cluster, "DiskLost", "d1", since);
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            await WriteAsync(cluster["b"], Volume, 3, 1 << 20);

            // A new node of the file system with the old bytes, as a logical unit that is added again has a new device.
            File.Copy(paths[1], paths[1] + ".new");
            File.Move(paths[1] + ".new", paths[1], overwrite: true);
            faults.End(cluster.Nodes);
            Assert.False((bool?)(await EventAsync(cluster, "DiskReturned", "d1", since))["isEverythingOwed"]);
            await OkayAsync(cluster, cluster["a"]);
            foreach (var node in cluster.Nodes) await WriteAsync(node, Volume, 4, 2 << 20);
            await OkayAsync(cluster, cluster["a"]);
            await Legs.AssertIdenticalAsync(cluster, Volume, LegBytes);
            var life = (await cluster.EventsAsync(since)).Select(static record => (string?)record["type"]).Where(static type => type is "DiskLost" or "DiskReturned" or "DiskFailed");
            Assert.Equal(["DiskLost", "DiskReturned"], life);
        },
        arguments: await DiskFaults.PrepareAsync());

    private static async Task CreateAsync(TestCluster cluster)
    {
        await cluster.CliAsync("set", "create", "copy", "--nodes", "a,b,c");
        await cluster.CliAsync("disk", "add", "copy", "d0", cluster.CreateDisk("copy-d0", 96));
        cluster.CreateDisk("copy-d1", 96);
        foreach (var node in cluster.Nodes) Point(cluster, node, "");
        await cluster.CliAsync(
            "disk", "add", "copy", "d1", Link(cluster, cluster["a"]), "--path",
            $"b={Link(cluster, cluster["b"])},c={Link(cluster, cluster["c"])}");
        await cluster.CreateMirrorAsync(Volume, "16M");
        await WriteAsync(cluster["a"], Volume, 1);
    }

    private static string Disk(TestCluster cluster) => cluster.File("copy-d1.img");

    private static string Link(TestCluster cluster, NodeProcess node) => cluster.File($"{node.Name}-d1");

    private static void Point(TestCluster cluster, NodeProcess node, string suffix)
    {
        var link = Link(cluster, node);
        File.CreateSymbolicLink(link + ".new", Disk(cluster) + suffix);
        File.Move(link + ".new", link, overwrite: true);
    }
}
