using System.Diagnostics;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A node is told to leave a set while a disk hangs: nobody waits for it, and it says what became of it (design §14.20).</summary>
public sealed class LeavingTests(ITestOutputHelper output)
{
    private const int Refused = 4;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [ToolFact("gcc")] // It drained deaf: it never heard that the disk was lost, and the others' writes waited for its word as long as the disk hung.
    public async Task DiskHangsWhileANodeLeaves_OthersWritesAreAnsweredAndTheNodeStaysWithACallLeft() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await using var writers = await TwoWriters.StartAsync(cluster, "go");
            var (client, other, since) = writers;

            faults.Hang("go-d1", "rwf", cluster.Nodes);
            var stuck = Record.ExceptionAsync(() => client.WriteAsync(0, Enumerable.Repeat((byte)9, 4096).ToArray()));
            await Eventually.TrueAsync("the write hangs in node a's kernel", Limit, () => Task.FromResult(faults.Hits(cluster["a"]) > 0));
            var clock = Stopwatch.StartNew();
            var leave = cluster["c"].CliAsync("set", "leave", "go", "--member", "a");
            Assert.Equal(0u, await other.WriteAsync(8 << 20, Enumerable.Repeat((byte)7, 4096).ToArray()).WaitAsync(Limit));
            output.WriteLine($"b's write was answered after {clock.Elapsed.TotalSeconds:0.0} s");
            await stuck.WaitAsync(Limit); // Answered or dropped.
            var refusal = (await leave).Expect(Refused).ToString();
            Assert.Contains("notDrained", refusal, StringComparison.Ordinal);
            Assert.Contains("'d1'", refusal, StringComparison.Ordinal);

            await ServesAsync(cluster, "go/v", 4 << 20); // Its next data plane, which has never opened the lost disk.
            Assert.DoesNotContain(await cluster.EventsAsync(since), item => (string?)item["type"] == "DiskIoEnded" && (string?)item["node"] == "a");
            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("node a says that its calls have ended", Limit, async () =>
                (await cluster.EventsAsync(since)).Any(item => (string?)item["type"] == "DiskIoEnded" && (string?)item["node"] == "a"));
            await cluster.WaitUntilHealthyAsync("go/v");
            await Legs.AssertIdenticalAsync(cluster, "go/v", 16 << 20);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // The last submirror with the data is waited for; the command is not.
    public Task LastLegHangsWhileANodeLeaves_ItStaysSaysForWhatItWaitedAndServesAgain() => LastLegHangsAsync(isToldOfBefore: false);

    [ToolFact("gcc")] // The complaint is taken back by whichever data plane there is when the disk answers (DiskDutiesTests has the race).
    public Task LastLegHangsAndANodeLeavesThatHasSaidSo_ItStaysAndServesAgain() => LastLegHangsAsync(isToldOfBefore: true);

    private async Task LastLegHangsAsync(bool isToldOfBefore) => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("last", disks: 2, megabytes: 200);
            await cluster.CliAsync("mirror", "create", "last/v", "--size", "16M", "--on", "d1");
            await cluster.WaitUntilHealthyAsync("last/v");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "last/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            var since = await cluster.LastEventAsync();

            faults.Hang("last-d1", "w", cluster["a"]);
            var stuck = Record.ExceptionAsync(() => client.WriteAsync(0, Enumerable.Repeat((byte)9, 4096).ToArray()));
            await Eventually.TrueAsync("the write hangs in node a's kernel", Limit, () => Task.FromResult(faults.Hits(cluster["a"]) > 0));
            if (isToldOfBefore)
            {
                await Eventually.TrueAsync("node a has told of the disk", Limit, async () =>
                    (await cluster.EventsAsync(since)).Any(item => (string?)item["type"] == "DisksReported" && (string?)item["node"] == "a"));
            }

            var refusal = (await cluster["c"].CliAsync("set", "leave", "last", "--member", "a", "--timeout", "8s")).Expect(Refused);
            Assert.Contains("notDrained", refusal.ToString(), StringComparison.Ordinal);
            Assert.Contains("a call to disk 'd1' has not come back", refusal.ToString(), StringComparison.Ordinal);

            faults.End(cluster["a"]);
            await stuck.WaitAsync(Limit);
            await ServesAsync(cluster, "last/v", 0);
            (await cluster["c"].CliAsync("set", "leave", "last", "--member", "a")).Expect();
        },
        arguments: await DiskFaults.PrepareAsync());

    private static async Task ServesAsync(TestCluster cluster, string volume, long offset) =>
        await Eventually.TrueAsync("node a serves the set again", Limit, async () =>
        {
            await using var again = await NbdClient.ConnectAsync(cluster["a"], volume);
            return await again.WriteAsync(offset, Enumerable.Repeat((byte)8, 4096).ToArray()) == 0;
        });
}
