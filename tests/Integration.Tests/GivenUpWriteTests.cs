using System.Diagnostics;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Design §14.25: a client with standing connections to b and c gives up a write that b was given and has not ended, because b
/// stands still or its path to one disk, or to both, hangs; it writes the same, then newer data, through c, flushed; b goes on. With
/// RAFTMIRROR_SWEEP=10 in the environment: 0.8 to 3.4 s in steps of 0.2 s, ten rounds each, which takes about twenty minutes for each test.</summary>
public sealed class GivenUpWriteTests(ITestOutputHelper output)
{
    private const long VolumeBytes = 64 << 20;
    private const int BlockBytes = 4096;
    private static readonly TimeSpan SafeTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [ToolFact("cmp")]
    public Task OneWriter_NodeStandsStill_NewerWriteStays() => StopAsync();

    [ToolFact("cmp")]
    public Task AllWrite_NodeStandsStill_NewerWriteStays() => StopAsync("--writers", "all");

    [ToolFact("cmp")]
    public Task Abr_NodeStandsStill_NewerWriteStays() => StopAsync("--recovery", "app");

    [ToolFact("cmp", "gcc")]
    public Task OneWriter_PathHangs_NewerWriteStays() => HangAsync();

    [ToolFact("cmp", "gcc")]
    public Task AllWrite_PathHangs_NewerWriteStays() => HangAsync("--writers", "all");

    [ToolFact("cmp", "gcc")]
    public Task Abr_PathHangs_NewerWriteStays() => HangAsync("--recovery", "app");

    [Fact] // Design §14.20: what waits says for what, and since when.
    public Task NodeStandsStill_StatusSaysWhatTheHeldWriteWaitsFor() => TestCluster.RunAsync(output, async cluster =>
    {
        await cluster.CreateSetAsync("held", disks: 2, megabytes: 256);
        await cluster.CreateMirrorAsync("held/v", "64M", "--writers", "all");
        var (b, c) = (cluster["b"], cluster["c"]);
        await using var first = await NbdClient.ConnectAsync(b, "held/v");
        await using var second = await NbdClient.ConnectAsync(c, "held/v");
        Assert.Equal(0u, await first.WriteAsync(0, Block(9)));
        Assert.Equal(0u, await second.WriteAsync(BlockBytes, Block(9)));
        b.Pause();
        await Task.Delay(SafeTimeout); // An answer of b is good for 0.3 s.
        var held = second.WriteAsync(0, Block(2));
        System.Text.Json.Nodes.JsonNode? cause = null;
        await Eventually.TrueAsync("status names the node that is waited for", Limit, async () =>
        {
            var set = (await cluster.StatusAsync(c))["disksets"]![0]!;
            cause = set["causes"]!.AsArray().FirstOrDefault(one => (string?)one!["code"] == "RM1107 REQUEST_HELD");
            return cause is not null || held.IsCompleted;
        });
        Assert.NotNull(cause); // Before b is fenced, which ends the wait.
        output.WriteLine(cause.ToJsonString());
        Assert.Contains("1 request waits on c", (string?)cause["cause"], StringComparison.Ordinal);
        Assert.Contains("until b answers", (string?)cause["cause"], StringComparison.Ordinal);
        b.Continue();
        Assert.Equal(0u, await held.WaitAsync(Limit));
        await Eventually.TrueAsync("nothing is held any more", Limit, async () =>
            (await cluster.StatusAsync(c))["disksets"]![0]!["volumes"]![0]!["held"] is null);
    });

    private Task StopAsync(params string[] kind) => TestCluster.RunAsync(output, cluster =>
        SweepAsync(cluster, kind, new Stall("stop", () => cluster["b"].Pause(), () => cluster["b"].Continue())));

    private async Task HangAsync(params string[] kind) => await TestCluster.RunAsync(
        output,
        cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var b = cluster["b"];
            Stall Hang(string name, string disks) => new(name, () => faults.Hang(disks, "rwf", b), () => faults.End(b)) { Hits = () => faults.Hits(b) };
            return SweepAsync(cluster, kind, Hang("path to one disk", "given-d1"), Hang("path to both disks", "given-d"));
        },
        arguments: await DiskFaults.PrepareAsync());

    private async Task SweepAsync(TestCluster cluster, string[] kind, params Stall[] stalls)
    {
        var isWide = int.TryParse(Environment.GetEnvironmentVariable("RAFTMIRROR_SWEEP"), out var rounds);
        if (!isWide) rounds = 2 / stalls.Length;
        double[] lengths = isWide ? [.. Enumerable.Range(0, 14).Select(static step => 0.8 + (0.2 * step))] : [1.2, 2.0];
        await cluster.CreateSetAsync("given", disks: 2, megabytes: 256);
        await cluster.CreateMirrorAsync("given/v", "64M", kind);
        var tried = 0;
        foreach (var stall in stalls)
        {
            foreach (var length in lengths)
            {
                var longest = TimeSpan.Zero;
                for (var round = 0; round < rounds; round++)
                {
                    var waited = await RoundAsync(cluster, offset: (long)(tried % 60) << 20, stall, TimeSpan.FromSeconds(length));
                    tried++;
                    if (waited > longest) longest = waited;
                    await cluster.WaitUntilHealthyAsync("given/v");
                }

                output.WriteLine($"{stall.Name} for {length:0.0} s: {rounds} writes given up, none came back; the newer ones took {longest.TotalSeconds:0.00} s at most");
            }
        }

        await Legs.AssertIdenticalAsync(cluster, "given/v", VolumeBytes);
    }

    /// <returns>How long the three requests through the other node took.</returns>
    private static async Task<TimeSpan> RoundAsync(TestCluster cluster, long offset, Stall stall, TimeSpan length)
    {
        var (b, c) = (cluster["b"], cluster["c"]);
        await using var first = await NbdClient.ConnectAsync(b, "given/v");
        await using var second = await NbdClient.ConnectAsync(c, "given/v");
        Assert.Equal(0u, await first.WriteAsync(offset, Block(9)));
        Assert.Equal(0u, await second.WriteAsync(offset + BlockBytes, Block(9)));
        var hits = stall.Hits();
        stall.Begin();
        var begun = Stopwatch.StartNew();
        var given = first.WriteAsync(offset, Block(1));
        var goesOn = EndAsync(stall, length - begun.Elapsed);
        await Task.Delay(SafeTimeout); // The client's time-out is what is tested.
        var hasEnded = given.IsCompleted;
        if (!stall.HasEnded) Assert.False(hasEnded, "b has not even read it, or its path hangs.");
        var watch = Stopwatch.StartNew();
        Assert.Equal(0u, await second.WriteAsync(offset, Block(1)));
        Assert.Equal(0u, await second.WriteAsync(offset, Block(2)));
        Assert.Equal(0u, await second.FlushAsync());
        watch.Stop();
        await goesOn;
        await Record.ExceptionAsync(() => given.WaitAsync(Limit)); // However it ended, it has ended.
        Assert.True(given.IsCompleted, "b goes on and ends what it was given, or drops its client.");
        if (hits >= 0) Assert.True(stall.Hits() > hits, "a call of b met the fault");
        foreach (var node in cluster.Nodes)
        {
            await Eventually.TrueAsync($"{node.Name} shows the newer write", Limit, async () =>
            {
                await using var reader = await NbdClient.ConnectAsync(node, "given/v");
                var block = new byte[BlockBytes];
                await reader.ReadAsync(offset, block);
                Assert.Equal(Block(2), block);
                return true;
            });
        }

        return watch.Elapsed;
    }

    private static async Task EndAsync(Stall stall, TimeSpan delay)
    {
        stall.HasEnded = false;
        if (delay > TimeSpan.Zero) await Task.Delay(delay);
        stall.HasEnded = true;
        stall.End();
    }

    private static byte[] Block(byte value)
    {
        var block = new byte[BlockBytes];
        Array.Fill(block, value);
        return block;
    }

    /// <summary>What keeps b from ending a write.</summary>
    private sealed record Stall(string Name, Action Begin, Action End)
    {
        private volatile bool _hasEnded;

        /// <summary>How many calls have met it; below 0 if that cannot be told.</summary>
        public Func<int> Hits { get; init; } = static () => -1;

        public bool HasEnded { get => _hasEnded; set => _hasEnded = value; }
    }
}
