using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>What is under a path is another disk, or nothing, all at once (design §14.21): a disk is known by its label.</summary>
public sealed class ChangedPathTests(ITestOutputHelper output)
{
    private const int LegBytes = 16 << 20;

    [Fact] // One node is down; then all; then one disk stands under the other one's path, and its own is empty.
    public Task PathsOfTwoDisksExchanged_EachIsFoundByItsLabelAndNoneIsTakenForTheOther() => TestCluster.RunAsync(output, async cluster =>
    {
        var (paths, b) = (await cluster.CreateSetAsync("m", disks: 2, megabytes: 96), cluster["b"]);
        await cluster.CreateMirrorAsync("m/v", "16M");
        await WriteAsync(cluster["a"], "m/v", 1);
        b.Kill();
        await WriteAsync(cluster["a"], "m/v", 2);
        Exchange(paths);
        await cluster.RestartAsync(b);
        await AssertReadsAsync(b, "m/v", 2);
        await WriteAsync(b, "m/v", 3);
        await StopAllAsync(cluster);
        await StartAllAsync(cluster);
        await AssertReadsAsync(cluster["c"], "m/v", 3);
        await WriteAsync(cluster["c"], "m/v", 4);
        await OkayAsync(cluster, cluster["c"]);
        Exchange(paths);
        await Legs.AssertIdenticalAsync(cluster, "m/v", LegBytes);
        await StopAllAsync(cluster);

        File.Move(paths[0], paths[0] + ".away");
        File.Move(paths[1], paths[0]);
        await StartAllAsync(cluster);
        await AssertReadsAsync(cluster["a"], "m/v", 4);
        await WriteAsync(cluster["a"], "m/v", 5);
        await CauseAsync(cluster, cluster["a"], "RM1202", "m/d0", "is disk 'd1' of the same set");
        File.Move(paths[0], paths[1]);
        File.Move(paths[0] + ".away", paths[0]);
        await OkayAsync(cluster, cluster["a"]);
        foreach (var node in cluster.Nodes) await AssertReadsAsync(node, "m/v", 5);
        await Legs.AssertIdenticalAsync(cluster, "m/v", LegBytes);
    });

    [Fact] // It lives as long as it is open; after that the set goes on without it.
    public Task FileDeletedUnderTheSet_IsNamedWhileItIsUsedAndMissedAfterwards() => TestCluster.RunAsync(output, async cluster =>
    {
        var (paths, b) = (await cluster.CreateSetAsync("m", disks: 2, megabytes: 96), cluster["b"]);
        await cluster.CreateMirrorAsync("m/v", "16M");
        await WriteAsync(cluster["a"], "m/v", 1);
        File.Delete(paths[1]);
        await CauseAsync(cluster, cluster["c"], "RM1207", "m/d1", "another submirror");
        await WriteAsync(cluster["a"], "m/v", 2);
        await AssertReadsAsync(cluster["c"], "m/v", 2);

        // A node that is restarted sees no such disk; the others serve both legs.
        await b.TerminateAsync(Limit);
        await cluster.RestartAsync(b);
        await CauseAsync(cluster, cluster["a"], "RM1205", "m/d1:b", "disk set m d1 --path");
        await AssertReadsAsync(cluster["a"], "m/v", 2);
        await WriteAsync(cluster["c"], "m/v", 3);

        await StopAllAsync(cluster);
        await StartAllAsync(cluster);
        foreach (var node in cluster.Nodes) await AssertReadsAsync(node, "m/v", 3);
        await WriteAsync(b, "m/v", 4);
        await CauseAsync(cluster, b, "RM1202", "m/d1", "errno 2");
        Assert.Equal("degraded", (string?)(await SetAsync(cluster, b))["health"]);
    });

    private static void Exchange(IReadOnlyList<string> paths)
    {
        File.Move(paths[0], paths[0] + ".other");
        File.Move(paths[1], paths[0]);
        File.Move(paths[0] + ".other", paths[1]);
    }
}
