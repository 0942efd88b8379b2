using System.Diagnostics;
using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>The kinds of mirrors: who may write when.</summary>
[Collection(SharedClusterTests.Name)]
public sealed class KindsTests(SharedCluster shared, ITestOutputHelper output)
{
    private const long Megabyte = 1 << 20;
    private static readonly TimeSpan BurstTime = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly TestCluster _cluster = shared.Cluster;

    [ToolFact("cmp")]
    public Task AbrMirror_TwoNodesWriteDisjointRanges_NoOwnershipMoves() =>
        _cluster.WatchAsync(output, () => WriteFromTwoNodesAsync("main/abr", "--recovery", "app"));

    [ToolFact("cmp")]
    public Task WritersAllMirror_TwoNodesWriteDisjointRanges_NoOwnershipMoves() =>
        _cluster.WatchAsync(output, () => WriteFromTwoNodesAsync("main/every", "--writers", "all"));

    [Fact]
    public Task WritersOneMirror_MovedAndWrittenElsewhere_OwnershipIsInHistoryAndInOneTrace() => _cluster.WatchAsync(output, async () =>
    {
        await _cluster.CreateMirrorAsync("main/one", "32M");
        var ledger = new BlockLedger(0, 8 * Megabyte, 16 << 10, seed: 0x0E);
        await FillThroughAsync("a", ledger);
        Assert.Equal("a", await _cluster.OwnerAsync(_cluster["c"], "main/one"));

        // By command.
        var moved = (await _cluster.CliAsync("owner", "move", "main/one", "--to", "b")).Json;
        Assert.Equal("b", (string?)moved["owner"]!["node"]);
        await AssertTraceSpansNodesAsync((string)moved["traceId"]!, "a", "b");

        // On demand: a write elsewhere.
        await FillThroughAsync("c", ledger);
        Assert.Equal("c", await _cluster.OwnerAsync(_cluster["a"], "main/one"));
        var last = (await _cluster.CliAsync("trace", "show", "last", "--volume", "main/one")).Json;
        var spans = last["spans"]!.AsArray();
        var trace = Assert.Single(spans.Select(span => (string)span!["traceId"]!).Distinct());
        Assert.NotEqual((string)moved["traceId"]!, trace);
        await AssertTraceSpansNodesAsync(trace, "b", "c");

        var history = (await _cluster.CliAsync("owner", "history", "main/one")).Json.AsArray();
        var changes = history.Where(item => (string?)item!["type"] == "OwnerChanged")
            .Select(item => ((string?)item!["from"], (string?)item["to"])).ToList();
        output.WriteLine(string.Join(", ", changes));
        Assert.Equal([(null, "a"), ("a", "b"), ("b", "c")], changes);
        await using (var reader = await NbdClient.ConnectAsync(_cluster["a"], "main/one")) await ledger.VerifyAsync(reader, "through a");
        await _cluster.DeleteMirrorAsync("main/one");
    });

    [Fact]
    public Task WritersOneMirror_WrittenByTwoNodesInTurn_LosesNothing() => _cluster.WatchAsync(output, async () =>
    {
        await _cluster.CreateMirrorAsync("main/turns", "32M");
        var ledgers = new[] { new BlockLedger(0, 4 * Megabyte, 16 << 10, 1), new BlockLedger(16 * Megabyte, 4 * Megabyte, 16 << 10, 2) };
        await using (var a = await NbdClient.ConnectAsync(_cluster["a"], "main/turns"))
        await using (var b = await NbdClient.ConnectAsync(_cluster["b"], "main/turns"))
            await Task.WhenAll(BlockWriter.FillAsync(a, ledgers[0]), BlockWriter.FillAsync(b, ledgers[1]));
        await using (var reader = await NbdClient.ConnectAsync(_cluster["c"], "main/turns"))
        {
            foreach (var ledger in ledgers) await ledger.VerifyAsync(reader, "through c");
        }

        await _cluster.DeleteMirrorAsync("main/turns");
    });

    private async Task WriteFromTwoNodesAsync(string volume, params string[] options)
    {
        await _cluster.CreateMirrorAsync(volume, "128M", options);
        Assert.Null(await _cluster.OwnerAsync(_cluster["c"], volume));
        var before = await HistoryAsync(volume);
        var first = new BlockLedger(0, 32 * Megabyte, 64 << 10, seed: 0xF1);
        var second = new BlockLedger(64 * Megabyte, 32 * Megabyte, 64 << 10, seed: 0xF2);
        await using (var a = await NbdClient.ConnectAsync(_cluster["a"], volume))
        await using (var b = await NbdClient.ConnectAsync(_cluster["b"], volume))
        {
            // Whole: on a busy machine the burst leaves blocks out, and there a new mirror shows what stood in its place before.
            await Task.WhenAll(BlockWriter.FillAsync(a, first), BlockWriter.FillAsync(b, second));
            var filled = (first.Acknowledged, second.Acknowledged);
            var clock = Stopwatch.StartNew();
            using var stop = new CancellationTokenSource(BurstTime);
            var dropped = await Task.WhenAll(
                BlockWriter.BurstAsync(a, first, seed: 11, stop.Token), BlockWriter.BurstAsync(b, second, seed: 12, stop.Token));
            Assert.Equal([false, false], dropped);
            var (throughA, throughB) = (first.Acknowledged - filled.Item1, second.Acknowledged - filled.Item2);
            foreach (var (name, writes) in (ReadOnlySpan<(string, long)>)[("a", throughA), ("b", throughB)])
            {
                output.WriteLine($"{volume} through {name}: {writes} writes of {first.BlockBytes >> 10} KiB, "
                    + $"{writes * (double)first.BlockBytes / Megabyte / clock.Elapsed.TotalSeconds:0} MiB/s");
                Assert.True(writes > 100, $"only {writes} writes through {name}");
            }
        }

        Assert.Equal(before, await HistoryAsync(volume));
        Assert.Null(await _cluster.OwnerAsync(_cluster["c"], volume));
        await using (var reader = await NbdClient.ConnectAsync(_cluster["c"], volume))
        {
            await first.VerifyAsync(reader, "a's range through c");
            await second.VerifyAsync(reader, "b's range through c");
        }

        await Legs.AssertIdenticalAsync(_cluster, volume, 128 * Megabyte);
        await _cluster.DeleteMirrorAsync(volume);
    }

    private async Task<int> HistoryAsync(string volume) => (await _cluster.CliAsync("owner", "history", volume)).Json.AsArray().Count;

    private async Task FillThroughAsync(string node, BlockLedger ledger)
    {
        await using var client = await NbdClient.ConnectAsync(_cluster[node], "main/one");
        await BlockWriter.FillAsync(client, ledger);
    }

    /// <summary>The trace is one, over these nodes at least, both as the nodes keep it and as the collector got it.</summary>
    private async Task AssertTraceSpansNodesAsync(string trace, params string[] nodes)
    {
        JsonNode? page = null;
        await Eventually.TrueAsync($"trace {trace} has spans of {string.Join(" and ", nodes)}", Limit, async () =>
        {
            page = (await _cluster.CliAsync("trace", "show", trace)).Json;
            var seen = page["spans"]!.AsArray().Select(span => (string)span!["node"]!).ToHashSet();
            return nodes.All(seen.Contains);
        }, () => page?.ToJsonString() ?? "");
        await Eventually.TrueAsync(
            $"the collector has trace {trace} from {nodes.Length} nodes", Limit,
            () => Task.FromResult(shared.Receiver.Spans.Where(span => span.TraceId == trace).Select(span => span.Instance).Distinct().Count() >= nodes.Length),
            () => string.Join("; ", shared.Receiver.Problems) + $" {shared.Receiver.Spans.Count} spans: "
                + string.Join(", ", shared.Receiver.Spans.Where(span => span.TraceId == trace).Select(span => $"{span.Instance} {span.Name}")));
        Assert.Empty(shared.Receiver.Problems);
    }
}
