using System.Diagnostics;
using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>kill −9 inside an activation (design §14.19): until it is completed, both numbers are current, and nobody's disk is refused.</summary>
public sealed class ActivationTests(ITestOutputHelper output)
{
    [ToolFact("gcc")] // What keeps the node there are writes, then flushes, that do not come back.
    public async Task NodeKilledBetweenStartStampsAndCompletion_AnotherActivatesAndNoDiskIsRefused() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var paths = await CreateAsync(cluster);

            // Started, and nothing is stamped.
            var begun = await KillInsideAsync(cluster, () => faults.Hang("act-d", "w", cluster.Nodes), static _ => true);
            Assert.True(StampOn(paths[0], isTail: true) < Number(begun), "no disk carries it");

            // The tail copies of the labels carry the stamp, the head copies do not.
            begun = await KillInsideAsync(
                cluster, () => faults.Hang("act-d", "f", cluster.Nodes),
                started => Array.TrueForAll([.. paths], path => StampOn(path, isTail: true) == Number(started)));
            Assert.All(paths, path => Assert.True(StampOn(path) < Number(begun), "no head carries it"));

            KillAll(cluster);
            faults.End(cluster.Nodes);
            await StartAllAsync(cluster);
            await cluster.WaitUntilHealthyAsync("act/v");
            await AssertReadsAsync(cluster["b"], "act/v", 1);
            await WriteAsync(cluster["c"], "act/v", 2);
            await OkayAsync(cluster, cluster["a"]);
            await Legs.AssertIdenticalAsync(cluster, "act/v", 16 << 20);
            var events = await cluster.EventsAsync();
            Assert.DoesNotContain(events, record => (string?)record["type"] == "DiskLost");
            Assert.Contains(events, record => (string?)record["type"] == "ActivationCompleted" && (ulong)record["activation"]! > (ulong)begun["activation"]!);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // Both copies of every label carry the number, and the log never says that it was completed.
    public async Task NodeKilledBetweenTheLastStampAndCompletion_AnotherActivatesAndNoDiskIsRefused() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var paths = await CreateAsync(cluster);
            var since = await cluster.LastEventAsync();
            var begun = await KillInsideAsync(
                cluster, () => faults.HoldHeadLabel("act-d1", cluster.Nodes),
                started => Array.TrueForAll([.. paths], path => StampOn(path) == Number(started) && StampOn(path, isTail: true) == Number(started)));

            // The two that live go on by themselves; nobody starts them anew.
            faults.End(cluster.Nodes);
            var killed = cluster[(string)begun["node"]!];
            var others = cluster.Nodes.Where(node => node != killed).ToArray();
            var clock = Stopwatch.StartNew();
            foreach (var other in others) await AssertReadsAsync(other, "act/v", 1);
            output.WriteLine($"served after {clock.Elapsed.TotalSeconds:0.0} s");
            await WriteAsync(others[0], "act/v", 2);
            cluster.Start(killed);
            await cluster.WaitUntilHealthyAsync("act/v");
            await OkayAsync(cluster, killed);
            await AssertReadsAsync(killed, "act/v", 2);
            await Legs.AssertIdenticalAsync(cluster, "act/v", 16 << 20);
            var events = await cluster.EventsAsync(since);
            Assert.DoesNotContain(events, record => (string?)record["type"] is "DiskLost" or "SubmirrorStateChanged");
            Assert.Contains(events, record => (string?)record["type"] == "ActivationCompleted"
                && (ulong)record["activation"]! > (ulong)begun["activation"]! && (string?)record["node"] != killed.Name);
            Assert.All(paths, path => Assert.True(StampOn(path) > Number(begun), "the later activation was stamped over it"));
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc", "cmp")] // It read every label well, was up, and barred all others from then on: the set was served by nobody.
    public async Task NodesThatCannotWriteALabel_GiveTheirActivationsUpAndAnotherServes() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await CreateAsync(cluster);
            var since = await cluster.LastEventAsync();
            KillAll(cluster);
            NodeProcess[] unable = [cluster["a"], cluster["b"]];
            faults.Fail("act-d", "w", 5, unable); // EIO
            foreach (var node in unable) cluster.Start(node);
            await cluster.WaitUntilReadyAsync(unable);
            await Eventually.TrueAsync("each of them has tried, and let the other try", Limit, async () =>
                (await cluster.EventsAsync(since)).Where(record => (string?)record["type"] == "ActivationGivenUp")
                    .Select(record => (string?)record["node"]).Distinct().Count() == unable.Length);
            await CauseAsync(cluster, cluster["b"], "RM1205 DISK_NOT_SEEN", "act/d0:a", "node a cannot use disk d0");

            cluster.Start(cluster["c"]);
            await WriteAsync(cluster["c"], "act/v", 2);
            Assert.All(unable, node => Assert.True(faults.Hits(node) > 0, "the fault was met"));
            Assert.Equal("c", (string?)(await cluster.EventsAsync(since)).Single(record => (string?)record["type"] == "ActivationCompleted")["node"]);

            faults.End(unable);
            await cluster.WaitUntilHealthyAsync("act/v");
            foreach (var node in cluster.Nodes)
            {
                await OkayAsync(cluster, node);
                await AssertReadsAsync(node, "act/v", 2);
            }

            await Legs.AssertIdenticalAsync(cluster, "act/v", 16 << 20);
            Assert.DoesNotContain(await cluster.EventsAsync(since), record => (string?)record["type"] == "DiskLost");
        },
        arguments: await DiskFaults.PrepareAsync());

    private static async Task<IReadOnlyList<string>> CreateAsync(TestCluster cluster)
    {
        var paths = await cluster.CreateSetAsync("act", disks: 2, megabytes: 96);
        await cluster.CreateMirrorAsync("act/v", "16M");
        await WriteAsync(cluster["a"], "act/v", 1);
        return paths;
    }

    private static ulong Number(JsonNode started) => (ulong)started["stamp"]!["number"]!;

    /// <summary>All nodes are killed and started on disks with a fault; the one that activates is killed when it has come so far.</summary>
    /// <returns>The activation that was begun.</returns>
    private static async Task<JsonNode> KillInsideAsync(TestCluster cluster, Action fault, Func<JsonNode, bool> hasComeSoFar)
    {
        var since = await cluster.LastEventAsync();
        KillAll(cluster);
        fault();
        await StartAllAsync(cluster);
        var started = await Eventually.GetAsync("an activation has begun", Limit, async () =>
            (await cluster.EventsAsync(since)).LastOrDefault(record => (string?)record["type"] == "ActivationStarted") is { } found && hasComeSoFar(found) ? found : null);
        cluster[(string)started["node"]!].Kill();
        await cluster.WaitUntilReadyAsync([.. cluster.Nodes.Where(static node => node.IsRunning)]);
        Assert.DoesNotContain(
            await cluster.EventsAsync(since),
            record => (string?)record["type"] == "ActivationCompleted" && (ulong)record["activation"]! == (ulong)started["activation"]!);
        return started;
    }
}
