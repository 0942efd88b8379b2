using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>An old or copied disk is no source, status says which one it is, and it gets all data anew (design §14.19).</summary>
public sealed class OldDiskTests(ITestOutputHelper output)
{
    private const int LegBytes = 16 << 20;

    [Fact] // The whole cluster is killed, so that the set is activated anew without a closing beat; the second copy is of a set that is served.
    public Task OlderCopyOfALeg_PutBackWhileAllNodesAreKilled_IsNoSourceAndGetsAllDataAnew() => TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("old", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("old/v", "16M");
        await WriteAsync(cluster["a"], "old/v", 1);
        KillAll(cluster);
        File.Copy(paths[1], paths[1] + ".bak");
        await StartAllAsync(cluster);
        await WriteAsync(cluster["a"], "old/v", 2);
        KillAll(cluster);
        await PutBackAsync(cluster, paths[1], 2);

        // A copy that was taken while the set ran is older as soon as a beat has passed.
        File.Copy(paths[1], paths[1] + ".bak", overwrite: true);
        await StampedAfterAsync(paths[1], StampOn(paths[1] + ".bak"));
        await WriteAsync(cluster["b"], "old/v", 3);
        KillAll(cluster);
        await PutBackAsync(cluster, paths[1], 3);
    });

    [Fact] // The others go on with the disk that they have open; the one that comes back meets the copy under the path.
    public Task OlderCopyOfALeg_PutBackWhileOneNodeIsDown_ThatNodeDoesNotUseIt() => TestCluster.RunAsync(output, async cluster =>
    {
        var (paths, b) = (await cluster.CreateSetAsync("old", disks: 2, megabytes: 96), cluster["b"]);
        await cluster.CreateMirrorAsync("old/v", "16M");
        await WriteAsync(cluster["a"], "old/v", 1);
        File.Copy(paths[1], paths[1] + ".bak");
        b.Kill();
        await WriteAsync(cluster["a"], "old/v", 2);
        await StampedAfterAsync(paths[1], StampOn(paths[1] + ".bak"));
        File.Move(paths[1], paths[1] + ".current");
        File.Copy(paths[1] + ".bak", paths[1]);
        await cluster.RestartAsync(b);

        await CauseAsync(cluster, cluster["a"], "RM1205", "old/d1:b", "older copy");
        await CauseAsync(cluster, cluster["a"], "RM1207", "old/d1", "move it back");
        await AssertNotServedAsync(b, "old/v");
        await AssertReadsAsync(cluster["a"], "old/v", 2);
        await WriteAsync(cluster["c"], "old/v", 3);
        File.Move(paths[1] + ".current", paths[1], overwrite: true);
        await AssertReadsAsync(b, "old/v", 3);
        await OkayAsync(cluster, b);
        await Legs.AssertIdenticalAsync(cluster, "old/v", LegBytes);
    });

    [Fact] // Whoever restores an image over a disk in use: the next beat meets the older label, and from then on it is no source.
    public Task OlderCopyWrittenOverTheDiskUnderTheSet_IsLostAtTheNextBeatAndGetsAllDataAnew() => TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("old", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("old/v", "16M");
        await WriteAsync(cluster["a"], "old/v", 1);
        var copy = await File.ReadAllBytesAsync(paths[1]);
        await StampedAfterAsync(paths[1], StampOn(paths[1]));
        await WriteAsync(cluster["a"], "old/v", 2);
        var since = await cluster.LastEventAsync();
        await using (var disk = new FileStream(paths[1], FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) await disk.WriteAsync(copy);

        Assert.Equal("Older", (string?)(await EventAsync(cluster, "DiskLost", "d1", since))["reason"], ignoreCase: true);
        Assert.True((bool?)(await EventAsync(cluster, "DiskReturned", "d1", since))["isEverythingOwed"]);
        await OkayAsync(cluster, cluster["a"]);
        await Legs.AssertIdenticalAsync(cluster, "old/v", LegBytes);
        foreach (var node in cluster.Nodes) await AssertReadsAsync(node, "old/v", 2);
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
        await CauseAsync(cluster, cluster["a"], "RM1403", "dup:b", "copy of the disk");
        Assert.Equal("warning", (string?)(await SetAsync(cluster, cluster["a"]))["health"]); // A member that is up and has not joined.
        await AssertNotServedAsync(b, "dup/v");
        await AssertReadsAsync(cluster["a"], "dup/v", 2);
    });

    /// <summary>All nodes are down: the older copy takes the disk's place, and they start.</summary>
    private static async Task PutBackAsync(TestCluster cluster, string path, byte content)
    {
        File.Copy(path + ".bak", path, overwrite: true);
        await StartAllAsync(cluster);
        var lost = await EventAsync(cluster, "DiskLost", "d1", await LastAsync(cluster, "ActivationStarted"));
        Assert.Equal("Older", (string?)lost["reason"], ignoreCase: true);
        await AssertReadsAsync(cluster["a"], "old/v", content);

        var returned = await EventAsync(cluster, "DiskReturned", "d1", (ulong)lost["index"]!);
        Assert.True((bool?)returned["isEverythingOwed"]);
        Assert.Contains("older copy", (string?)returned["why"], StringComparison.Ordinal);
        await OkayAsync(cluster, cluster["a"]); // The dirty logs, too, which could lie on one disk only when they were opened.
        await WriteAsync(cluster["c"], "old/v", 9, 1 << 20);
        await Legs.AssertIdenticalAsync(cluster, "old/v", LegBytes);
        foreach (var node in cluster.Nodes)
        {
            await AssertReadsAsync(node, "old/v", content);
            await AssertReadsAsync(node, "old/v", 9, 1 << 20);
        }
    }

    private static async Task<ulong> LastAsync(TestCluster cluster, string type) =>
        (ulong)(await Eventually.GetAsync(type, Limit, async () => (await cluster.EventsAsync()).LastOrDefault(record => (string?)record["type"] == type)))["index"]!;
}
