using System.Diagnostics;
using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk dies: nothing that does not need it may wait for it (design §14.1, §14.20).</summary>
public sealed class DeadDiskTests(ITestOutputHelper output)
{
    private const int Eio = 5;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [ToolFact("gcc")] // The barrier of the busy mirror's lost leg waited for a label on the dead disk, since the idle mirror's leg had not failed.
    public async Task DiskOfTwoMirrors_DiesUnderOneWhileTheOtherIsIdle_WriteIsAnsweredAndBothLegsAreLost() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("dead", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("dead/busy", "16M");
            await cluster.CreateMirrorAsync("dead/idle", "16M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "dead/busy");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

            faults.Fail("dead-d1", "rwf", Eio, cluster.Nodes);
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)7, 4096).ToArray()).WaitAsync(Limit));

            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            JsonNode? last = null;
            await Eventually.TrueAsync("both legs on the dead disk are lost", Limit, async () =>
            {
                last = (await cluster.StatusAsync(cluster["a"]))["disksets"]![0]!;
                return last["volumes"]!.AsArray().All(volume =>
                    (string?)volume!["state"] == "degraded" && (string?)volume["submirrors"]![1]!["state"] != "okay");
            }, () => last?.ToJsonString() ?? "");
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // It stopped every logged volume of the set, also those that do not lie on it, without a word.
    public async Task DiskHangsForAllNodes_WriteIsAnsweredOtherVolumesDoNotWaitAndStatusNamesIt() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("hang", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("hang/v", "16M");
            await cluster.CliAsync("mirror", "create", "hang/other", "--size", "32M", "--on", "d0");
            await cluster.WaitUntilHealthyAsync("hang/other");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "hang/v");
            await using var neighbour = await NbdClient.ConnectAsync(cluster["a"], "hang/other");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            Assert.Equal(0u, await neighbour.WriteAsync(0, new byte[4096]));
            var since = await cluster.LastEventAsync();

            faults.Hang("hang-d1", "rwf", cluster.Nodes);
            var clock = Stopwatch.StartNew();
            var stuck = client.WriteAsync(4096, Enumerable.Repeat((byte)7, 4096).ToArray());
            var (longest, writes, sawWait) = (TimeSpan.Zero, 0, false);
            while (!stuck.IsCompleted && clock.Elapsed < Limit)
            {
                // A region that is not marked yet: the dirty log, which lies on the hanging disk as well, must take its mark.
                var begun = clock.Elapsed;
                Assert.Equal(0u, await neighbour.WriteAsync(++writes % 32 << 20, new byte[4096]).WaitAsync(Limit));
                if (clock.Elapsed - begun > longest) longest = clock.Elapsed - begun;
                sawWait |= await HasCauseAsync(cluster, "RM1203 DISK_SLOW", "d1");
            }

            Assert.Equal(0u, await stuck.WaitAsync(Limit));
            output.WriteLine($"answered after {clock.Elapsed.TotalSeconds:0.0} s; {writes} writes of the other volume meanwhile, the longest {longest.TotalMilliseconds:0} ms");
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            Assert.True(longest < TimeSpan.FromSeconds(3), $"the other volume waited {longest}: for the device time-out, that is");
            Assert.True(sawWait, "status named the disk while the write waited");
            var lost = await Eventually.GetAsync("the loss is an event", Limit, async () =>
                (await cluster.EventsAsync(since)).FirstOrDefault(item => (string?)item["type"] == "DiskLost"));
            Assert.Equal(("d1", "timedOut"), ((string?)lost["disk"], (string?)lost["reason"]));
            Assert.True(await HasCauseAsync(cluster, "RM1204 DISK_IO_OUTSTANDING", "d1"));

            // The late writes land, on a leg that nobody uses; only then may the disk come back.
            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("each node has said that none of its calls is left", Limit, async () =>
                (await cluster.EventsAsync(since)).Count(item => (string?)item["type"] == "DiskIoEnded") >= cluster.Nodes.Count);
            var read = new byte[4096];
            await client.ReadAsync(4096, read);
            Assert.All(read, value => Assert.Equal(7, value));
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // Path is not media: the node whose way to the disk hangs goes without, the disk stays.
    public async Task DiskHangsForOneNode_DiskIsNotLostAndTheNodeServesAgainWhenItAnswers() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("path", disks: 2, megabytes: 200, "--device-timeout", "10s");
            await cluster.CreateMirrorAsync("path/v", "16M", "--writers", "all");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "path/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            await using var other = await NbdClient.ConnectAsync(cluster["b"], "path/v"); // A new one would wait for the write that hangs (§14.9).
            Assert.Equal(0u, await other.WriteAsync(8 << 20, new byte[4096]));
            var since = await cluster.LastEventAsync();

            faults.Hang("path-d1", "rwf", cluster["a"]);
            var stuck = client.WriteAsync(0, Enumerable.Repeat((byte)9, 4096).ToArray());
            await Eventually.TrueAsync("status says which node does not reach which disk", Limit, () => HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            Assert.Equal(0u, await other.WriteAsync(9 << 20, new byte[4096]).WaitAsync(Limit)); // On both legs, through node b.

            faults.End(cluster["a"]);
            Assert.Equal(0u, await stuck.WaitAsync(Limit));
            await Eventually.TrueAsync("node a has taken its word back", Limit, async () => !await HasCauseAsync(cluster, "RM1205 DISK_NOT_SEEN", "d1"));
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)8, 4096).ToArray()).WaitAsync(Limit));
            await cluster.WaitUntilHealthyAsync("path/v");
            Assert.DoesNotContain(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskLost");
        },
        arguments: await DiskFaults.PrepareAsync());

    private static async Task<bool> HasCauseAsync(TestCluster cluster, string code, string word)
    {
        var set = (await cluster.StatusAsync(cluster["b"]))["disksets"]![0]!;
        return set["causes"]!.AsArray().Any(cause => (string?)cause!["code"] == code && ((string?)cause["cause"])!.Contains(word, StringComparison.Ordinal));
    }
}
