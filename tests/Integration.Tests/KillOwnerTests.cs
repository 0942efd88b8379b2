using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>The owner dies in the middle of writes.</summary>
public sealed class KillOwnerTests(ITestOutputHelper output)
{
    private const long Megabyte = 1 << 20;
    private const int SliceMegabytes = 4;
    private const int FioStartMegabytes = 128;
    private const int MaxSlices = 8;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [ToolFact("fio", "cmp")]
    public Task Owner_KilledInWriteBurst_AcknowledgedWritesSurviveAndOnlyDirtyRegionsAreCopied() => TestCluster.RunAsync(output, async cluster =>
    {
        const int volumeMegabytes = 256;
        const int burstMegabytes = 32;
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("kill", disks: 2, megabytes: 512);
        await cluster.CreateMirrorAsync("kill/v", $"{volumeMegabytes}M");
        var since = await cluster.LastEventAsync();
        var legs = await Legs.MapAsync(cluster, "kill/v");

        // Two clients at a: one that remembers each acknowledged block, and fio.
        var ledger = new BlockLedger(64 * Megabyte, burstMegabytes * Megabyte, 16 << 10, seed: 0xA11CE);
        await using var client = await NbdClient.ConnectAsync(a, "kill/v");
        using var stop = new CancellationTokenSource();
        var burst = BlockWriter.BurstAsync(client, ledger, seed: 1, CancellationToken.None);
        var slices = 0;
        var fio = Task.Run(async () =>
        {
            while (slices < MaxSlices && await WriteSliceAsync(a, slices, stop.Token)) slices++;
        });
        await Eventually.TrueAsync(
            "both clients are in the middle of their writes", Limit, () => Task.FromResult(ledger.Acknowledged > 1000 && slices >= 2),
            () => $"{ledger.Acknowledged} acknowledged, {slices} slices of fio");
        a.Kill();
        Assert.True(await burst, "the writer ended although nobody told it to");
        await stop.CancelAsync();
        await fio;

        // What an unlucky kill leaves: each write without an answer has reached one leg and not the other.
        var undecided = ledger.Undecided();
        foreach (var (offset, before, after) in undecided)
        {
            Legs.Write(legs[0], offset, after);
            Legs.Write(legs[1], offset, before);
        }

        output.WriteLine($"at the kill {ledger.Acknowledged} writes and {slices} slices were acknowledged, {ledger.Unanswered} writes unanswered");

        // A reader of the first half need not wait for the resync: what it reads is repaired first. Before the suspicion nobody
        // knows that a's writes have no end; a read then may still see the old content, and a later one the new.
        await EventAsync(cluster, since, "NodeSuspected", node: "a");
        var half = ledger.Blocks / 2;
        var early = Task.Run(async () =>
        {
            await using var reader = await NbdClient.ConnectAsync(b, "kill/v");
            await ledger.VerifyAsync(reader, "through b at once", 0, half);
        });
        var merged = await EventAsync(cluster, since, "DirtyLogMerged", node: "a");
        await cluster.CliAsync("wait", "kill/v", "--for", "synced", "--timeout", "60s");
        await early;
        await using (var reader = await NbdClient.ConnectAsync(b, "kill/v")) await ledger.VerifyAsync(reader, "through b after the resync");
        await VerifySlicesAsync(b, slices);

        // Nothing but what a had marked was looked at, and what differed was copied, but for what the reader had repaired.
        var finished = await EventAsync(cluster, since, "ResyncFinished");
        var owed = undecided.Count(write => write.OffsetBytes >= ledger.OffsetOf(half));
        var regions = (long)merged["regions"]!;
        var (copied, skipped, compared) = (
            (long)finished["copiedBytes"]!, (long)finished["skippedBytes"]!, (long)finished["comparedBytes"]!);
        output.WriteLine($"{regions} regions were dirty; resync copied {copied}, skipped {skipped}, compared {compared} bytes");
        Assert.False((bool)merged["isEverything"]!, $"the dirty log was in doubt: {merged.ToJsonString()}");
        Assert.Equal("optimized", (string?)finished["kind"]);
        Assert.InRange(regions, 1, burstMegabytes + (SliceMegabytes * (slices + 1)));
        Assert.InRange(copied, (long)owed * ledger.BlockBytes, regions * Megabyte);
        Assert.InRange(compared + copied, regions * Megabyte / 2, regions * Megabyte);
        Assert.True(skipped >= (volumeMegabytes - regions) * Megabyte, "clean regions were looked at");

        await Legs.AssertIdenticalAsync(cluster, "kill/v", volumeMegabytes * Megabyte);
        await using (var reader = await NbdClient.ConnectAsync(c, "kill/v")) await ledger.VerifyAsync(reader, "through c after the resync");
        await VerifySlicesAsync(c, slices);

        // a comes back, catches up, and serves reads and writes.
        await cluster.RestartAsync(a);
        await cluster.WaitUntilHealthyAsync("kill/v");
        await using (var again = await NbdClient.ConnectAsync(a, "kill/v"))
        {
            await ledger.VerifyAsync(again, "through a after its return");
            await BlockWriter.FillAsync(again, ledger);
        }

        await using (var reader = await NbdClient.ConnectAsync(c, "kill/v")) await ledger.VerifyAsync(reader, "through c, written by a");
        Assert.Equal(0, ledger.Unanswered);
    });

    /// <returns>False if a was killed meanwhile.</returns>
    private static async Task<bool> WriteSliceAsync(NodeProcess node, int slice, CancellationToken stop)
    {
        try
        {
            // --thread: one process, so that killing it leaves no job behind; fio polls for ever when its server is gone.
            var result = await ProcessResult.RunAsync(
                Tool.Find("fio")!,
                [
                    $"--name=slice{slice}", "--thread", "--ioengine=nbd", $"--uri={node.NbdUri("kill/v")}", "--rw=randwrite", "--bs=16k",
                    $"--offset={FioStartMegabytes + (slice * SliceMegabytes)}M", $"--size={SliceMegabytes}M", "--iodepth=8",
                    "--verify=crc32c", "--do_verify=0",
                ],
                Limit, cancellationToken: stop);
            return result.ExitCode == 0;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static Task<ProcessResult> VerifySlicesAsync(NodeProcess node, int slices) => Tool.RunAsync(
        "fio", Limit, "--name=verify", "--thread", "--ioengine=nbd", $"--uri={node.NbdUri("kill/v")}", "--rw=read", "--bs=16k",
        $"--offset={FioStartMegabytes}M", $"--size={slices * SliceMegabytes}M", "--iodepth=8", "--verify=crc32c", "--verify_fatal=1");

    private static Task<JsonNode> EventAsync(TestCluster cluster, ulong since, string type, string? node = null) =>
        Eventually.GetAsync($"{type} {node}", Limit, async () => (await cluster.EventsAsync(since))
            .FirstOrDefault(item => (string?)item["type"] == type && (node is null || (string?)item["node"] == node)));
}
