using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Demo;

/// <summary>The stories. A step that fails ends its story: what follows would prove nothing.</summary>
internal static class DemoStories
{
    private const int CheckBytes = 64 << 20;
    private const int ChunkBytes = 1 << 20;

    public static async Task TellAsync(DemoScript script, DemoCluster cluster, DemoSteps steps, CancellationToken token)
    {
        var a = cluster.Nodes[0];
        var b = cluster.Nodes[1];
        if (script == DemoScript.Abr)
        {
            await TellAbrAsync(cluster, steps, token);
            return;
        }

        if (!await steps.RunAsync($"write and verify 64M through node {a.Name}", figures => WriteAndVerifyAsync(a, figures, token), token)) return;
        var victim = a;
        if (script == DemoScript.Failover)
        {
            if (!await steps.RunAsync($"move ownership {a.Name} -> {b.Name} while writing", figures => MoveAsync(cluster, a, b, figures, token), token)) return;
            victim = b;
        }

        ulong killedAt = 0;
        if (!await steps.RunAsync($"kill -9 {victim.Name} in the middle of a write burst", async figures =>
            {
                killedAt = await IndexAsync(cluster, token);
                return await KillAsync(cluster, victim, figures, token);
            }, token)) return;
        if (!await steps.RunAsync("resync only what was dirty", figures => ResyncAsync(cluster, killedAt, figures, token), token)) return;
        await steps.RunAsync($"{victim.Name} comes back, catches up, joins", figures => RejoinAsync(cluster, victim, figures, token), token);
    }

    private static async Task TellAbrAsync(DemoCluster cluster, DemoSteps steps, CancellationToken token)
    {
        var pair = cluster.Nodes.Take(2).ToArray();
        var half = DemoCluster.VolumeBytes / 2;
        if (!await steps.RunAsync("two nodes write disjoint halves at once", async figures =>
            {
                var before = await OwnerChangesAsync(cluster, token);
                var bursts = pair.Select((node, i) => new WriteBurst(() => [node], DemoCluster.Export, i * half, half, 100 + (ulong)i)).ToArray();
                await RunForAsync(bursts, TimeSpan.FromSeconds(3), token);
                foreach (var burst in bursts) await RequireAsync(burst, cluster.Nodes[^1], token);
                var moves = await OwnerChangesAsync(cluster, token) - before;
                if (moves != 0) throw new DemoFailedException($"ownership moved {moves} times; nobody owns an ABR mirror for writing");
                return Figures(figures, bursts) + "; no ownership moved";
            }, token)) return;
        await steps.RunAsync("two nodes write overlapping ranges at once", async figures =>
        {
            var bursts = pair.Select((node, i) =>
                new WriteBurst(() => [node], DemoCluster.Export, 0, 32 * WriteBurst.BlockBytes, 200 + (ulong)i)).ToArray();
            await RunForAsync(bursts, TimeSpan.FromSeconds(3), token);
            if (bursts.Any(burst => burst.ErrorReplies > 0)) throw new DemoFailedException("a client got an error");
            var differing = await cluster.CompareLegsAsync(token);
            figures["differingBytes"] = differing;
            return Figures(figures, bursts) + $"; {differing} bytes differ between the legs (overlaps are the application's business)";
        }, token);
    }

    private static async Task<string> WriteAndVerifyAsync(DemoNode node, SortedDictionary<string, double> figures, CancellationToken token)
    {
        await using var client = await NbdClient.ConnectAsync(node.Nbd, DemoCluster.Export, token);
        if (client.SizeBytes != DemoCluster.VolumeBytes) throw new DemoFailedException($"the export has {client.SizeBytes} bytes");
        var buffer = new byte[ChunkBytes];
        var expected = new byte[ChunkBytes];
        var clock = Stopwatch.StartNew();
        for (long offset = 0; offset < CheckBytes; offset += ChunkBytes)
        {
            WriteBurst.Fill(buffer, offset, 1, 7);
            await client.WriteAsync(offset, buffer, token);
        }

        await client.FlushAsync(token);
        var rate = CheckBytes / clock.Elapsed.TotalSeconds;
        for (long offset = 0; offset < CheckBytes; offset += ChunkBytes)
        {
            WriteBurst.Fill(expected, offset, 1, 7);
            await client.ReadAsync(offset, buffer, token);
            if (!buffer.AsSpan().SequenceEqual(expected)) throw new DemoFailedException($"what was read at {offset} is not what was written");
        }

        figures["writeBytesPerSecond"] = rate;
        return $"{Sizes.Format((long)rate)}/s";
    }

    private static async Task<string> MoveAsync(
        DemoCluster cluster, DemoNode from, DemoNode to, SortedDictionary<string, double> figures, CancellationToken token)
    {
        var owner = (await cluster.VolumeAsync(token)).Owner?.Node;
        if (owner != from.Name) throw new DemoFailedException($"the owner is {owner ?? "nobody"}, not {from.Name}, who has written");

        // The client stays where it is, so its next write may take ownership back: the event tells of the move, not the status.
        var burst = new WriteBurst(() => [from], DemoCluster.Export, CheckBytes, DemoCluster.VolumeBytes - CheckBytes, 11);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        var writing = burst.RunAsync(stop.Token, token);
        await UntilAcknowledgedAsync(burst, writing, 50, token);
        var since = await IndexAsync(cluster, token);
        var clock = Stopwatch.StartNew();
        await cluster.SubmitAsync(
            CommandTypes.MoveOwner, new MoveOwnerOperation(DemoCluster.Set, DemoCluster.Volume, to.Name),
            OperationJson.Default.MoveOwnerOperation, token, to);
        var moved = await OwnerChangedToAsync(cluster, to.Name, since, token);
        var elapsed = clock.Elapsed;
        await UntilAcknowledgedAsync(burst, writing, burst.Acknowledged + 20, token);
        await stop.CancelAsync();
        await writing;
        await RequireAsync(burst, to, token);
        figures["moveMs"] = elapsed.TotalMilliseconds;
        figures["longestWritePauseMs"] = burst.LongestPause.TotalMilliseconds;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{elapsed.TotalMilliseconds:0} ms (epoch {moved}), longest write pause {burst.LongestPause.TotalMilliseconds:0} ms");
    }

    private static async Task<string> KillAsync(
        DemoCluster cluster, DemoNode victim, SortedDictionary<string, double> figures, CancellationToken token)
    {
        var survivors = cluster.Nodes.Where(node => node != victim).ToList();
        var burst = new WriteBurst(
            () => victim.IsRunning ? [victim] : survivors, DemoCluster.Export, 0, DemoCluster.VolumeBytes, 13);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        var writing = burst.RunAsync(stop.Token, token);
        await UntilAcknowledgedAsync(burst, writing, 100, token);
        var clock = Stopwatch.StartNew();
        await victim.KillAsync();
        var atKill = burst.Acknowledged;
        await UntilAcknowledgedAsync(burst, writing, atKill + 20, token);
        var takeover = clock.Elapsed;
        await stop.CancelAsync();
        await writing;
        if (burst.ErrorReplies > 0) throw new DemoFailedException($"{burst.ErrorReplies} writes got an error reply");
        foreach (var node in survivors) await RequireAsync(burst, node, token);
        using var client = cluster.Connect();
        var status = await client.StatusAsync(DemoCluster.Set, DemoCluster.Volume, stale: false, token);
        var horizon = status.Disksets[0].HorizonMs;
        var owner = status.Disksets[0].Volumes[0].Owner?.Node ?? "nobody";
        figures["takeoverMs"] = takeover.TotalMilliseconds;
        figures["horizonMs"] = horizon;
        figures["acknowledgedWrites"] = burst.Acknowledged;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{owner} took over after {takeover.TotalSeconds:0.0} s (horizon {horizon / 1000.0:0.0##} s), 0 client errors, "
            + $"{burst.Acknowledged} acknowledged writes verified through {string.Join(" and ", survivors.Select(node => node.Name))}");
    }

    private static async Task<string> ResyncAsync(
        DemoCluster cluster, ulong since, SortedDictionary<string, double> figures, CancellationToken token)
    {
        await cluster.WaitAsync("the legs are synced", document => DemoCluster.VolumeOf(document) is { Resync: null, StaleRegions: 0 }, token);
        var events = await cluster.EventsAsync(since, token);
        var merged = events.Where(item => Text(item, "type") == "DirtyLogMerged").ToList();
        if (merged.Count == 0) throw new DemoFailedException("nobody merged the dead node's dirty log");
        var dirty = merged.Sum(item => item.GetProperty("regions").GetInt64());
        var finished = events.Where(item => Text(item, "type") == "ResyncFinished").ToList();
        var started = events.Where(item => Text(item, "type") == "ResyncStarted").ToList();
        long Sum(string name) => finished.Sum(item => item.GetProperty(name).GetInt64());
        var volume = await cluster.VolumeAsync(token);
        var regions = (volume.SizeBytes + volume.RegionBytes - 1) / volume.RegionBytes;
        if (merged.Any(item => item.TryGetProperty("isEverything", out var all) && all.ValueKind == JsonValueKind.True))
            throw new DemoFailedException("the dirty log was in doubt, so that everything had to be compared");
        if (dirty >= regions) throw new DemoFailedException($"all {regions} regions were dirty");
        var differing = await cluster.CompareLegsAsync(token);
        if (differing != 0) throw new DemoFailedException($"{differing} bytes differ between the legs");
        var time = started.Count > 0 && finished.Count > 0 ? Time(finished[^1]) - Time(started[0]) : TimeSpan.Zero;
        figures["dirtyRegions"] = dirty;
        figures["regions"] = regions;
        figures["copiedBytes"] = Sum("copiedBytes");
        figures["comparedBytes"] = Sum("comparedBytes");
        figures["resyncMs"] = time.TotalMilliseconds;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{dirty} of {regions} regions, {time.TotalSeconds:0.0} s; legs identical on the raw disks, byte for byte");
    }

    private static async Task<string> RejoinAsync(
        DemoCluster cluster, DemoNode node, SortedDictionary<string, double> figures, CancellationToken token)
    {
        var clock = Stopwatch.StartNew();
        cluster.Start(node);
        await cluster.WaitAsync($"{node.Name} joins", document =>
            document.Nodes.Any(item => item.Name == node.Name && item.State == "up")
            && DemoCluster.SetOf(document)?.Nodes.Any(item => item.Name == node.Name && item.Joined) == true, token);
        var joined = clock.Elapsed;
        await using var client = await NbdClient.ConnectAsync(node.Nbd, DemoCluster.Export, token);
        await client.ReadAsync(0, new byte[WriteBurst.BlockBytes], token);
        figures["rejoinMs"] = joined.TotalMilliseconds;
        return string.Create(CultureInfo.InvariantCulture, $"{joined.TotalSeconds:0.0} s; serves reads again");
    }

    private static async Task RunForAsync(WriteBurst[] bursts, TimeSpan time, CancellationToken token)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        stop.CancelAfter(time);
        await Task.WhenAll(bursts.Select(burst => burst.RunAsync(stop.Token, token)));
    }

    private static async Task RequireAsync(WriteBurst burst, DemoNode node, CancellationToken token)
    {
        var wrong = await burst.VerifyAsync(node, token);
        if (wrong > 0) throw new DemoFailedException($"{wrong} of {burst.Places} places read through {node.Name} are not what was acknowledged");
        if (burst.ErrorReplies > 0) throw new DemoFailedException($"{burst.ErrorReplies} writes got an error reply");
    }

    private static async Task UntilAcknowledgedAsync(WriteBurst burst, Task writing, long count, CancellationToken token)
    {
        var clock = Stopwatch.StartNew();
        while (burst.Acknowledged < count)
        {
            if (writing.IsCompleted) await writing;
            if (clock.Elapsed > TimeSpan.FromSeconds(60)) throw new DemoFailedException("no write was acknowledged for too long");
            await Task.WhenAny(writing, burst.NextAcknowledgement).WaitAsync(TimeSpan.FromSeconds(60), token);
        }
    }

    private static async Task<ulong> OwnerChangedToAsync(DemoCluster cluster, string node, ulong since, CancellationToken token)
    {
        using var client = cluster.Connect();
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < TimeSpan.FromSeconds(60))
        {
            var page = await client.EventsAsync(since, TimeSpan.FromSeconds(5), token);
            foreach (var item in page.Events.Where(item => Text(item, "type") == "OwnerChanged" && Text(item, "to") == node))
                return item.GetProperty("epoch").GetUInt64();
            since = page.NextSince;
        }

        throw new DemoFailedException($"{node} did not become the owner");
    }

    private static async Task<int> OwnerChangesAsync(DemoCluster cluster, CancellationToken token) =>
        (await cluster.EventsAsync(0, token)).Count(item => Text(item, "type") == "OwnerChanged");

    private static async Task<ulong> IndexAsync(DemoCluster cluster, CancellationToken token)
    {
        using var client = cluster.Connect();
        return (await client.StatusAsync(null, null, stale: false, token)).Index;
    }

    private static string Figures(SortedDictionary<string, double> figures, WriteBurst[] bursts)
    {
        for (var i = 0; i < bursts.Length; i++) figures[$"writes{i}"] = bursts[i].Acknowledged;
        return $"{string.Join(" and ", bursts.Select(burst => burst.Acknowledged))} writes acknowledged";
    }

    private static string? Text(JsonElement item, string name) =>
        item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static DateTimeOffset Time(JsonElement item)
    {
        var at = item.GetProperty("at");
        return at.ValueKind == JsonValueKind.Number
            ? DateTimeOffset.FromUnixTimeMilliseconds(at.GetInt64())
            : DateTimeOffset.Parse(at.GetString()!, CultureInfo.InvariantCulture);
    }
}
