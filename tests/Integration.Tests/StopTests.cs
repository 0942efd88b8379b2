using System.Diagnostics;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A node is told to stop while a disk hangs (design §14.20): it ends in time, says what it leaves behind, and the others go on.</summary>
public sealed class StopTests(ITestOutputHelper output)
{
    private const int Unclean = 12;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Clients, I/O, the command that stops the node: what docs/operations.md gives each, and some seconds for a busy machine.</summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(45);

    [ToolFact("gcc", "cmp")]
    public async Task OneNodesWriteHangs_ItEndsInTimeOthersAreAnsweredAndWhatItOwesIsCopied() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var (a, b) = (cluster["a"], cluster["b"]);
            await using var writers = await TwoWriters.StartAsync(cluster, "stop", content: 1);
            var (client, other, since) = writers;

            faults.Hang("stop-d1", "wf", a);
            var stuck = Record.ExceptionAsync(() => client.WriteAsync(0, Content(9)));
            await Eventually.TrueAsync("the write hangs in node a's kernel", Limit, () => Task.FromResult(faults.Hits(a) > 0));
            var clock = Stopwatch.StartNew();
            var ended = a.TerminateAsync(StopLimit);
            Assert.Equal(0u, await other.WriteAsync(8 << 20, Content(7)).WaitAsync(Limit));
            output.WriteLine($"b's write was answered after {clock.Elapsed.TotalSeconds:0.0} s");
            var code = await ended;
            output.WriteLine($"a ended with {code} after {clock.Elapsed.TotalSeconds:0.0} s");
            await stuck.WaitAsync(Limit); // Answered once the disk was lost to all, or dropped.
            Assert.Equal(Unclean, code);
            Assert.Contains("No clean stop: set 'stop'", Last(a), StringComparison.Ordinal);
            Assert.Contains("a call to disk 'd1' has not come back", Last(a), StringComparison.Ordinal);

            // Its successor goes without the disk until that answers.
            cluster.Start(a);
            await cluster.WaitUntilReadyAsync(a);
            Assert.Equal(0u, await other.WriteAsync(0, Content(3)).WaitAsync(Limit)); // Where the dead write stood.
            faults.End(a);
            await cluster.WaitUntilHealthyAsync("stop/v");
            await DiskStory.WriteAsync(a, "stop/v", 4, 4 << 20);
            await DiskStory.OkayAsync(cluster, b);
            await DiskStory.AssertReadsAsync(a, "stop/v", 3);
            await Legs.AssertIdenticalAsync(cluster, "stop/v", 16 << 20);
            Assert.Contains(await cluster.EventsAsync(since), item => (string?)item["type"] == "DirtyLogMerged" && (string?)item["node"] == "a");
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")]
    public async Task TheLastLegHangs_ItEndsInTimeAndSaysWhatHangs() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var a = cluster["a"];
            await cluster.CreateSetAsync("stop", disks: 2, megabytes: 200);
            await cluster.CliAsync("mirror", "create", "stop/v", "--size", "16M", "--on", "d1");
            await cluster.WaitUntilHealthyAsync("stop/v");
            await using var client = await NbdClient.ConnectAsync(a, "stop/v");
            Assert.Equal(0u, await client.WriteAsync(0, Content(1)));
            faults.Hang("stop-d1", "w", a);
            var stuck = Record.ExceptionAsync(() => client.WriteAsync(0, Content(9)));
            await Eventually.TrueAsync("the write hangs in node a's kernel", Limit, () => Task.FromResult(faults.Hits(a) > 0));
            var clock = Stopwatch.StartNew();
            var code = await a.TerminateAsync(StopLimit);
            output.WriteLine($"a ended with {code} after {clock.Elapsed.TotalSeconds:0.0} s:\n{Last(a)}");
            await stuck.WaitAsync(Limit);
            Assert.Equal(Unclean, code);
            Assert.Contains("No clean stop: set 'stop'", Last(a), StringComparison.Ordinal);
            Assert.Contains("a call to disk 'd1' has not come back", Last(a), StringComparison.Ordinal);

            faults.End(a);
            cluster.Start(a);
            await DiskStory.WriteAsync(a, "stop/v", 4);
            await cluster.WaitUntilHealthyAsync("stop/v");
            Assert.Equal(0, await a.TerminateAsync(StopLimit)); // And with nothing in the way it is clean.
        },
        arguments: await DiskFaults.PrepareAsync());

    // Labels are not the data plane's: all its I/O had ended, so the node said that nothing of it could land any more.
    [ToolFact("gcc")]
    public async Task WriteOfALabelHangs_ItEndsInTimeSaysSoAndIsNotTakenForClean() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var a = cluster["a"];
            await cluster.CreateSetAsync("stop", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("stop/v", "16M");
            await DiskStory.WriteAsync(a, "stop/v", 4);
            faults.HoldHeadLabel("stop-d1", a);
            var code = await a.TerminateAsync(StopLimit); // Its closing beat writes the labels, at the latest.
            Assert.Equal(Unclean, code);
            Assert.Contains("No clean stop: set 'stop': a write of a label to disk 'd1' has not come back", Last(a), StringComparison.Ordinal);

            faults.End(a);
            cluster.Start(a);
            await cluster.WaitUntilHealthyAsync("stop/v");
            await DiskStory.AssertReadsAsync(a, "stop/v", 4);
            Assert.Equal(0, await a.TerminateAsync(StopLimit));
        },
        nodes: 1,
        arguments: await DiskFaults.PrepareAsync());

    private static byte[] Content(byte value) => Enumerable.Repeat(value, 4096).ToArray();

    /// <summary>What it wrote after it was told to stop.</summary>
    private static string Last(NodeProcess node) => node.OutputSince("SIGTERM");
}
