using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Commands while the leader, or everybody, dies.</summary>
public sealed class KillLeaderTests(ITestOutputHelper output)
{
    private const int Commands = 16;
    private const int Streams = 2;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task Leader_KilledDuringCommands_EachAppliedCommandIsThereExactlyOnce() => TestCluster.RunAsync(output, async cluster =>
    {
        await cluster.CreateSetAsync("many", disks: 2, megabytes: 256);
        var leader = await cluster.LeaderAsync();
        var others = string.Join(',', cluster.Nodes.Where(node => node != leader).Select(node => node.Api.ToString()));
        var ids = Enumerable.Range(0, Commands).Select(_ => Guid.CreateVersion7()).ToArray();
        var results = new ConcurrentDictionary<int, CliResult>();
        var repeats = 0;

        var streams = Enumerable.Range(0, Streams).Select(stream => Task.Run(async () =>
        {
            for (var i = stream; i < Commands; i += Streams)
            {
                // Refused for want of a leader, or outcome unknown: a script repeats it under the same id.
                var number = i;
                results[i] = await Eventually.GetAsync($"command {i} has an outcome", Limit, async () =>
                {
                    var result = await CreateAsync(number, ids[number], others);
                    if (result.ExitCode is not (6 or 7)) return result;
                    Interlocked.Increment(ref repeats);
                    return null;
                });
            }
        })).ToArray();
        await Eventually.TrueAsync("some commands are applied", Limit, () => Task.FromResult(results.Count >= 3));
        leader.Kill();
        await Task.WhenAll(streams);
        output.WriteLine($"{repeats} repeats");

        foreach (var result in results.Values) result.Expect();
        await cluster.RestartAsync(leader);
        var volumes = (await leader.CliAsync("mirror", "list", "many")).Expect().Json.AsArray().Select(item => (string)item!["name"]!).ToList();
        Assert.Equal(Enumerable.Range(0, Commands).Select(Name).Order(StringComparer.Ordinal), volumes.Order(StringComparer.Ordinal));
        var created = (await cluster.EventsAsync()).Where(item => (string?)item["type"] == "MirrorCreated").ToList();
        for (var i = 0; i < Commands; i++)
        {
            var own = Assert.Single(created, item => (string?)item["volume"] == Name(i));
            Assert.Equal(ids[i].ToString(), (string?)own["command"]);
        }

        // A repeat gets the first result, from any node, and does nothing: not even when the object has gone meanwhile.
        await cluster.CliAsync("mirror", "delete", $"many/{Name(0)}");
        foreach (var i in (int[])[0, Commands / 2, Commands - 1])
        {
            var again = (await CreateAsync(i, ids[i], leader.Api.ToString())).Expect();
            Assert.Equal((ulong)results[i].Json["index"]!, (ulong)again.Json["index"]!);
        }

        var left = (await cluster.CliAsync("mirror", "list", "many")).Json.AsArray().Select(item => (string)item!["name"]!);
        Assert.DoesNotContain(Name(0), left);
    });

    [ToolFact("cmp")]
    public Task AllNodes_KilledAndStartedAgain_NoAcknowledgedCommandOrWriteIsMissing() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        var clock = Stopwatch.StartNew();
        await cluster.CreateSetAsync("all", disks: 2, megabytes: 256);
        await cluster.CreateMirrorAsync("all/v", "64M");
        await cluster.CreateMirrorAsync("all/w", "16M", "--recovery", "app");
        var ledger = new BlockLedger(0, 16 << 20, 16 << 10, seed: 0xA77);
        await using var client = await NbdClient.ConnectAsync(c, "all/v");
        var burst = BlockWriter.BurstAsync(client, ledger, seed: 7, CancellationToken.None);
        await Eventually.TrueAsync("writes are acknowledged", Limit, () => Task.FromResult(ledger.Acknowledged > 500));
        var before = await cluster.EventsAsync();

        // Two of three gone: c stops serving by itself, and no command is taken.
        a.Kill();
        b.Kill();
        var id = Guid.CreateVersion7();
        var alone = await c.CliAsync("mirror", "create", "all/x", "--size", "4M", "--on", "d0,d1", "--request-id", id.ToString(), "--timeout", "2s");
        Assert.True(alone.ExitCode is 6 or 7, $"6 or 7 was expected: {alone}");
        var problem = JsonNode.Parse(alone.Error)!;
        Assert.Equal(alone.ExitCode == 6 ? "no" : "unknown", (string?)problem["applied"]);
        var read = await c.CliAsync("status", "--timeout", "2s");
        Assert.True(read.ExitCode == 6, $"a read that no majority confirms must fail with 6: {read}");
        await WaitUntilSilentAsync(ledger);
        c.Kill();
        Assert.True(await burst.WaitAsync(Limit), "the writer ended although nobody told it to");
        output.WriteLine($"{ledger.Acknowledged} writes were acknowledged; everything is dead after {clock.Elapsed}");

        foreach (var node in cluster.Nodes) cluster.Start(node);
        await cluster.WaitUntilReadyAsync();
        await cluster.WaitUntilHealthyAsync("all/v");
        await cluster.WaitUntilHealthyAsync("all/w");
        output.WriteLine($"everything is healthy again after {clock.Elapsed}");
        await using (var reader = await NbdClient.ConnectAsync(a, "all/v")) await ledger.VerifyAsync(reader, "through a after the restart");
        await using (var reader = await NbdClient.ConnectAsync(b, "all/v")) await ledger.VerifyAsync(reader, "through b after the restart");
        await Legs.AssertIdenticalAsync(cluster, "all/v", 64 << 20);

        // What happened stays what happened.
        var after = await cluster.EventsAsync();
        Assert.Equal(
            before.Select(item => item.ToJsonString()),
            after.Take(before.Count).Select(item => item.ToJsonString()));
        var volumes = (await cluster.CliAsync("mirror", "list", "all")).Json.AsArray().Select(item => (string)item!["name"]!).ToList();
        if (alone.ExitCode == 6) Assert.DoesNotContain("x", volumes);
        await cluster.CliAsync("mirror", "create", "all/x", "--size", "4M", "--on", "d0,d1", "--request-id", id.ToString());
        Assert.Single(await cluster.EventsAsync(), item => (string?)item["type"] == "MirrorCreated" && (string?)item["volume"] == "x");
    });

    /// <summary>Waits until a burst that goes on gets no answers any more.</summary>
    private static async Task WaitUntilSilentAsync(BlockLedger ledger)
    {
        const int wantedPolls = 10;
        var (acknowledged, polls) = (-1, 0);
        await Eventually.TrueAsync("no write is acknowledged any more", Limit, () =>
        {
            polls = ledger.Acknowledged == acknowledged ? polls + 1 : 0;
            acknowledged = ledger.Acknowledged;
            return Task.FromResult(polls >= wantedPolls);
        });
    }

    private static string Name(int number) => $"m{number}";

    private static Task<CliResult> CreateAsync(int number, Guid id, string nodes) => TestCluster.RunCliAsync(
        "mirror", "create", $"many/{Name(number)}", "--size", "2M", "--on", "d0,d1", "--request-id", id.ToString(),
        "--node", nodes, "--timeout", "10s", "-o", "json");
}
