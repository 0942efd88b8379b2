using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Wall clocks that jump under running nodes and clients (design §14.23).</summary>
public sealed class ClockTests(ITestOutputHelper output)
{
    private const int Refused = 4;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Near = TimeSpan.FromSeconds(60);

    [ToolFact("gcc")] // Every later command of every node was refused as too old, and a dead owner never fenced.
    public Task LeadersClock_ADayAhead_StopsNothing() => RunAsync(async cluster =>
    {
        await cluster.CreateSetAsync("s", disks: 2, megabytes: 256);
        await cluster.CreateMirrorAsync("s/v", "16M");
        var since = await cluster.LastEventAsync();
        var wrong = await cluster.LeaderAsync();
        var (second, third) = (Other(cluster, wrong), Other(cluster, wrong, Other(cluster, wrong)));
        ClockFaults.Set(cluster, wrong, TimeSpan.FromHours(25));
        await WaitForWrongAsync(cluster, second, wrong, TimeSpan.FromHours(25));
        await cluster.CliAsync("mirror", "create", "s/during", "--size", "8M", "--on", "d0,d1");

        // A node dies while one clock is wrong: it is fenced, and its volumes go on.
        await cluster.CliAsync("owner", "move", "s/v", "--to", third.Name);
        third.Kill();
        await EventAsync(cluster, since, "NodeFenced", third.Name);
        await WriteAsync(second, "s/v");
        await cluster.RestartAsync(third);

        ClockFaults.Set(cluster, wrong, TimeSpan.Zero);
        await Eventually.TrueAsync("no clock is wrong any more", Limit, async () =>
            (await cluster.StatusAsync(second))["nodes"]!.AsArray().All(node => !(bool)node!["clockWrong"]!));
        await cluster.WaitUntilHealthyAsync("s/v");
        await cluster.CliAsync("mirror", "create", "s/after", "--size", "8M", "--on", "d0,d1");
        await cluster.CliAsync("owner", "move", "s/v", "--to", wrong.Name);
        await AssertEventTimesAsync(cluster, since);
        Assert.DoesNotContain(await cluster.EventsAsync(since), item => (string?)item["type"] == "ClockCorrected");
    });

    [ToolFact("gcc")]
    public Task LeadersClock_TwoDaysBehind_StopsNothing() => RunAsync(async cluster =>
    {
        await cluster.CreateSetAsync("s", disks: 2, megabytes: 256);
        var since = await cluster.LastEventAsync();
        var wrong = await cluster.LeaderAsync();
        var other = Other(cluster, wrong);
        ClockFaults.Set(cluster, wrong, TimeSpan.FromDays(-2));
        await WaitForWrongAsync(cluster, other, wrong, TimeSpan.FromDays(-2));

        // It does not come back to lead by itself, nor on demand.
        var refused = (await other.CliAsync("raft", "transfer", "--to", wrong.Name)).Expect(Refused);
        Assert.Contains("clockWrong", refused.Error, StringComparison.Ordinal);
        foreach (var node in cluster.Nodes) (await node.CliAsync("mirror", "create", $"s/of-{node.Name}", "--size", "8M", "--on", "d0,d1")).Expect();
        wrong.Kill();
        await EventAsync(cluster, since, "NodeFenced", wrong.Name);
        await cluster.RestartAsync(wrong); // Its new process has the wrong clock from the start.
        await WaitForWrongAsync(cluster, other, wrong, TimeSpan.FromDays(-2));
        (await wrong.CliAsync("mirror", "delete", $"s/of-{wrong.Name}")).Expect();
        await AssertEventTimesAsync(cluster, since);
    });

    [ToolFact("gcc")] // A whole rack without batteries; or a cluster that a wrong clock stopped before, and that is started again.
    public async Task LogTime_TwoDaysAhead_IsCorrectedByTheNextLeader()
    {
        await using var cluster = await TestCluster.StartAsync(arguments: await ClockFaults.PrepareAsync(TimeSpan.FromDays(2)));
        await cluster.WatchAsync(output, async () =>
        {
            await cluster.CreateSetAsync("s", disks: 2, megabytes: 256);
            string[] early = ["mirror", "create", "s/early", "--size", "8M", "--on", "d0,d1", "--request-id", IdAt(DateTimeOffset.UtcNow.AddDays(2))];
            await cluster.CliAsync(early);
            var since = await cluster.LastEventAsync();
            foreach (var node in cluster.Nodes)
            {
                node.Kill();
                ClockFaults.Set(cluster, node, TimeSpan.Zero);
            }

            foreach (var node in cluster.Nodes) cluster.Start(node);
            await cluster.WaitUntilReadyAsync();
            var corrected = await EventAsync(cluster, since, "ClockCorrected", node: null);
            AssertNear(DateTimeOffset.UtcNow, corrected["toMs"]!);
            AssertNear(DateTimeOffset.UtcNow.AddDays(2), corrected["fromMs"]!);
            await cluster.WaitUntilHealthyAsync("s/early");

            // What was remembered still is; what was made before the new time is refused; everybody else is served.
            var again = (await cluster["b"].CliAsync(early)).Expect();
            var old = IdAt(DateTimeOffset.FromUnixTimeMilliseconds((long)corrected["toMs"]! - 1000));
            var refused = (await cluster["c"].CliAsync("mirror", "create", "s/old", "--size", "8M", "--on", "d0,d1", "--request-id", old)).Expect(Refused);
            Assert.Contains("tooOld", refused.Error, StringComparison.Ordinal);
            await cluster.CliAsync("mirror", "create", "s/late", "--size", "8M", "--on", "d0,d1", "--request-id", IdAt(DateTimeOffset.UtcNow));
            await cluster.CliAsync("mirror", "delete", "s/late");
            Assert.Equal("applied", ((string?)again.Json["outcome"])?.ToLowerInvariant());
            await AssertEventTimesAsync(cluster, (ulong)corrected["index"]! - 1);
        });
    }

    [ToolFact("gcc")] // "Use a new id", to somebody who gave none.
    public Task ClientsClock_DaysOff_IsNoObstacle() => RunAsync(async cluster =>
    {
        await cluster.CreateSetAsync("s", disks: 2, megabytes: 256);
        foreach (var days in (int[])[2, -2, 400])
        {
            var ahead = TimeSpan.FromDays(days);
            (await ClockFaults.CliAsync(cluster, ahead, "mirror", "create", "s/v", "--size", "8M", "--on", "d0,d1")).Expect();
            (await ClockFaults.CliAsync(cluster, ahead, "mirror", "delete", "s/v")).Expect();

            // Who makes an id with such a clock is told so, and what to do.
            var id = IdAt(DateTimeOffset.UtcNow + ahead);
            var refused = (await ClockFaults.CliAsync(cluster, ahead, "mirror", "create", "s/w", "--size", "8M", "--on", "d0,d1", "--request-id", id))
                .Expect(Refused);
            Assert.Contains(days > 0 ? "clockAhead" : "tooOld", refused.Error, StringComparison.Ordinal);
            Assert.Contains("without an id", refused.Error.Replace("under none", "without an id", StringComparison.Ordinal), StringComparison.Ordinal);
        }
    });

    [ToolFact("gcc")] // With two voters nobody can tell who is wrong: nobody is barred, and status says so.
    public Task TwoNodes_ClocksApart_GoOnAndSaySo() => RunAsync(async cluster =>
    {
        await cluster.CreateSetAsync("s", disks: 2, megabytes: 256);
        var since = await cluster.LastEventAsync();
        var leader = await cluster.LeaderAsync();
        ClockFaults.Set(cluster, leader, TimeSpan.FromHours(25));
        JsonNode? status = null;
        await Eventually.TrueAsync("status says that the clocks are apart", Limit, async () =>
        {
            status = await cluster.StatusAsync(Other(cluster, leader));
            return (bool)status["clocksApart"]!;
        });
        Assert.Contains(status!["disksets"]![0]!["causes"]!.AsArray(), cause => ((string?)cause!["code"])!.StartsWith("RM1502", StringComparison.Ordinal));
        Assert.All(status["nodes"]!.AsArray(), node => Assert.False((bool)node!["clockWrong"]!));
        await cluster.CreateMirrorAsync("s/v", "8M");
        await cluster.CliAsync("owner", "move", "s/v", "--to", Other(cluster, leader).Name);
        await AssertEventTimesAsync(cluster, since);
    }, nodes: 2);

    private async Task RunAsync(Func<TestCluster, Task> test, int nodes = 3) =>
        await TestCluster.RunAsync(output, test, nodes, await ClockFaults.PrepareAsync());

    private static NodeProcess Other(TestCluster cluster, params NodeProcess[] than) => cluster.Nodes.First(node => !than.Contains(node));

    /// <summary>Status names the node with its offset, as each reader would want it, and it leads no more.</summary>
    private static async Task WaitForWrongAsync(TestCluster cluster, NodeProcess asked, NodeProcess wrong, TimeSpan ahead)
    {
        JsonNode? status = null;
        await Eventually.TrueAsync($"status names {wrong.Name}, whose clock is wrong, and another leads", Limit, async () =>
        {
            status = await cluster.StatusAsync(asked);
            var node = status["nodes"]!.AsArray().Single(item => (string?)item!["name"] == wrong.Name)!;
            return (bool)node["clockWrong"]! && (string?)status["leader"] is { } leader && leader != wrong.Name
                && Math.Abs((long)node["clockAheadMs"]! - ahead.TotalMilliseconds) < 5000;
        }, () => status?.ToJsonString() ?? "");
        var text = (await TestCluster.RunCliAsync("status", "--node", asked.Api.ToString())).Expect().Output;
        Assert.Contains($"the clock of {wrong.Name} is", text, StringComparison.Ordinal);
        Assert.Contains("RM1501 CLOCK_WRONG", text, StringComparison.Ordinal);
    }

    /// <summary>History shows when things happened, not what a wrong clock said.</summary>
    private static async Task AssertEventTimesAsync(TestCluster cluster, ulong since)
    {
        var events = await cluster.EventsAsync(since);
        Assert.NotEmpty(events);
        foreach (var item in events) Assert.InRange((long)item["at"]!, (DateTimeOffset.UtcNow - (10 * Near)).ToUnixTimeMilliseconds(), (DateTimeOffset.UtcNow + Near).ToUnixTimeMilliseconds());
    }

    private static void AssertNear(DateTimeOffset expected, JsonNode unixMs) => Assert.InRange(
        DateTimeOffset.FromUnixTimeMilliseconds((long)unixMs), expected - (2 * Near), expected + Near);

    private static async Task WriteAsync(NodeProcess node, string volume)
    {
        await Eventually.TrueAsync($"{volume} is written through {node.Name}", Limit, async () =>
        {
            await using var client = await NbdClient.ConnectAsync(node, volume);
            return await client.WriteAsync(0, new byte[4096]) == 0;
        });
    }

    private static Task<JsonNode> EventAsync(TestCluster cluster, ulong since, string type, string? node) => Eventually.GetAsync(
        $"{type} of {node}", Limit, async () => (await cluster.EventsAsync(since)).FirstOrDefault(
            item => (string?)item["type"] == type && (node is null || (string?)item["node"] == node)));

    private static string IdAt(DateTimeOffset time) => Guid.CreateVersion7(time).ToString();
}
