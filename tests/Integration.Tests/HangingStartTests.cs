using System.Diagnostics;
using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk hangs while nodes start (design §14.20, §14.21): a start waits for no disk, what does not need it is served, and when it answers
/// all is as before by itself.</summary>
public sealed class HangingStartTests(ITestOutputHelper output)
{
    /// <summary>From when the nodes answer: each look at a disk ends after 2 s, a disk that nobody reaches is lost after 5 s, and an activation waits for
    /// others no longer; the rest is for a busy machine.</summary>
    private static readonly TimeSpan ServedWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    [ToolFact("gcc", "cmp")]
    public async Task DiskHangsAsOneNodeStarts_NodeAnswersServesTheRestAndAllIsOkayAfterwards() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var (faults, b) = (await CreateAsync(cluster), cluster["b"]);
            b.Kill();
            await DiskStory.WriteAsync(cluster["a"], "start/v", 2);
            faults.Hang("start-d1", "rwf", b);
            var clock = Stopwatch.StartNew();
            cluster.Start(b);
            await NamesTheDiskAsync(cluster, b);
            output.WriteLine($"/readyz named it after {clock.Elapsed.TotalSeconds:0.0} s");
            await cluster.WaitUntilReadyAsync(b);
            clock.Restart();
            await DiskStory.WriteAsync(b, "start/w", 3);
            output.WriteLine($"b served the volume of the other disk {clock.Elapsed.TotalSeconds:0.0} s later");
            Assert.True(clock.Elapsed < ServedWithin, $"served only after {clock.Elapsed}");
            await DiskStory.CauseAsync(cluster, b, "RM1205", "start/d1:b");
            await DiskStory.WriteAsync(cluster["a"], "start/v", 4); // With both legs, through who sees them.

            faults.End(b);
            await AllIsOkayAsync(cluster);
            await DiskStory.AssertReadsAsync(b, "start/v", 4);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // After kill -9 of all: what they left to be merged lies on the other disk as well.
    public async Task DiskHangsAsAllNodesStart_TheOtherDisksVolumesAreServedAndAllIsOkayAfterwards() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = await CreateAsync(cluster);
            DiskStory.KillAll(cluster);
            faults.Hang("start-d1", "rwf", cluster.Nodes);
            var clock = Stopwatch.StartNew();
            foreach (var node in cluster.Nodes) cluster.Start(node);
            await cluster.WaitUntilReadyAsync();
            output.WriteLine($"status answered on all after {clock.Elapsed.TotalSeconds:0.0} s");
            clock.Restart();
            await DiskStory.WriteAsync(cluster["b"], "start/w", 3);
            await DiskStory.AssertReadsAsync(cluster["c"], "start/v", 1); // Degraded.
            output.WriteLine($"both volumes were served {clock.Elapsed.TotalSeconds:0.0} s later");
            Assert.True(clock.Elapsed < ServedWithin, $"served only after {clock.Elapsed}");
            await DiskStory.CauseAsync(cluster, cluster["a"], "RM1202", "start/d1");
            await DiskStory.WriteAsync(cluster["a"], "start/v", 5);
            faults.End(cluster.Nodes);
            await AllIsOkayAsync(cluster);
            await DiskStory.AssertReadsAsync(cluster["b"], "start/v", 5);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")]
    public async Task AllDisksHangAsAllNodesStart_NodesSaySoAndServeWhenTheyAnswer() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = await CreateAsync(cluster);
            DiskStory.KillAll(cluster);
            faults.Hang("start-d", "rwf", cluster.Nodes);
            foreach (var node in cluster.Nodes) cluster.Start(node);
            await cluster.WaitUntilReadyAsync();
            foreach (var node in cluster.Nodes) await NamesTheDiskAsync(cluster, node);
            await DiskStory.AssertNotServedAsync(cluster["a"], "start/v");
            faults.End(cluster.Nodes);
            await AllIsOkayAsync(cluster);
            await DiskStory.AssertReadsAsync(cluster["b"], "start/v", 1);
        },
        arguments: await DiskFaults.PrepareAsync());

    private static async Task<DiskFaults> CreateAsync(TestCluster cluster)
    {
        await cluster.CreateSetAsync("start", disks: 2, megabytes: 200);
        await cluster.CreateMirrorAsync("start/v", "16M");
        await cluster.CliAsync("mirror", "create", "start/w", "--size", "16M", "--on", "d0");
        await DiskStory.WriteAsync(cluster["a"], "start/v", 1);
        await DiskStory.WriteAsync(cluster["a"], "start/w", 1);
        return DiskFaults.Of(cluster);
    }

    /// <summary>Waits until a node says to whoever asks whether it is ready that the disk of this path does not answer it.</summary>
    private static async Task NamesTheDiskAsync(TestCluster cluster, NodeProcess node)
    {
        var seen = "";
        await Eventually.TrueAsync($"{node.Name} names its disk", Limit, async () =>
        {
            var (code, text) = await node.ReadyzAsync();
            seen = $"{code} {text}";
            return code == System.Net.HttpStatusCode.ServiceUnavailable && seen.Contains($"start:{node.Name}", StringComparison.Ordinal)
                && seen.Contains(cluster.File("start-d1.img"), StringComparison.Ordinal) && seen.Contains("answer", StringComparison.Ordinal);
        }, () => seen);
    }

    private async Task AllIsOkayAsync(TestCluster cluster)
    {
        var clock = Stopwatch.StartNew();
        foreach (var volume in (string[])["start/v", "start/w"]) await cluster.WaitUntilHealthyAsync(volume);
        foreach (var node in cluster.Nodes) await DiskStory.OkayAsync(cluster, node);
        output.WriteLine($"all was okay {clock.Elapsed.TotalSeconds:0.0} s after the disk answered");
        await Legs.AssertIdenticalAsync(cluster, "start/v", 16 << 20);
    }
}
