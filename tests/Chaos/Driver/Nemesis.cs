using RaftMirror.Chaos.Proxy;
using RaftMirror.Primitives;

namespace RaftMirror.Chaos.Driver;

/// <summary>Draws faults, one or two at a time, lets them last, heals, and lets the cluster breathe. One caller.</summary>
internal sealed class Nemesis(ChaosCluster cluster, ChaosOptions options, ChaosReport report, Action<string> say)
{
    /// <summary>All it can do.</summary>
    public static readonly IReadOnlyList<string> Kinds =
    [
        "kill-leader", "kill-follower", "kill-majority", "kill-all", "restart", "pause-leader", "pause-follower", "pause-majority",
        "isolate-leader", "isolate-follower", "split", "deafen", "mute", "cut-raft-lane", "cut-request-lane", "slow", "drop", "transfer",
    ];

    private readonly Xoshiro _random = new(options.Seed);

    /// <summary>Goes on until it is told to stop; everything is healed then.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        var kinds = options.Faults.Count > 0 ? options.Faults : Kinds;
        while (await RestAsync(300, 1500, stop))
        {
            await StrikeAsync(kinds[_random.Next(kinds.Count)]);
            if (_random.Chance(0.3)) await StrikeAsync(kinds[_random.Next(kinds.Count)]);
            await RestAsync(200, options.LongestFaultMs, stop);
            await cluster.InspectAsync();
            await cluster.HealAsync();
        }

        await cluster.HealAsync();
    }

    private async Task<bool> RestAsync(int leastMs, int mostMs, CancellationToken stop)
    {
        var ms = _random.Next(leastMs, mostMs); // Drawn always, so that the plan does not depend on time.
        try
        {
            await Task.Delay(ms, stop);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task StrikeAsync(string kind)
    {
        var serving = cluster.Serving; // What is down or paused already cannot be hit again.
        var draw = _random.NextUInt64();
        if (serving.Count == 0) return;
        var leader = await cluster.LeaderAsync() ?? serving[(int)(draw % (ulong)serving.Count)];
        int[] others = [.. serving.Where(node => node != leader)];
        var follower = others.Length == 0 ? leader : others[(int)(draw % (ulong)others.Length)];
        int[] majority = [leader, .. others.Take(cluster.Nodes.Count / 2)];
        int[] hit = kind switch
        {
            "kill-majority" or "pause-majority" => majority,
            "kill-all" => [.. serving],
            "kill-follower" or "pause-follower" or "isolate-follower" => [follower],
            "restart" or "deafen" or "mute" => [_random.Chance(0.5) ? leader : follower],
            _ => [leader],
        };
        say($"{kind}: {string.Join(' ', hit)}, leader {leader}");
        report.CountFault(kind);
        var proxy = cluster.Proxy;
        switch (kind)
        {
            case "kill-leader" or "kill-follower" or "kill-majority" or "kill-all":
                foreach (var node in hit) await cluster.KillAsync(node);
                break;
            case "restart":
                await cluster.StopAsync(hit[0]);
                break;
            case "pause-leader" or "pause-follower" or "pause-majority":
                foreach (var node in hit) cluster.Pause(node);
                break;
            case "isolate-leader" or "isolate-follower":
                proxy.Isolate(hit[0], cluster.Nodes);
                break;
            case "split":
                // Everybody is alone: nothing can be agreed on.
                foreach (var node in cluster.Nodes) proxy.Isolate(node, cluster.Nodes);
                break;
            case "deafen":
                Close(cluster.Nodes.Where(node => node != hit[0]).SelectMany(node => proxy.LinksOf(node, hit[0])));
                break;
            case "mute":
                Close(cluster.Nodes.Where(node => node != hit[0]).SelectMany(node => proxy.LinksOf(hit[0], node)));
                break;
            case "cut-raft-lane" or "cut-request-lane":
                var lane = PeerProxy.Lanes[kind == "cut-raft-lane" ? 0 : 1];
                Close(others.SelectMany(node => new[] { proxy.LinkOf(leader, node, lane), proxy.LinkOf(node, leader, lane) }));
                break;
            case "slow":
                foreach (var from in cluster.Nodes)
                {
                    foreach (var link in cluster.Nodes.Where(to => to != from).SelectMany(to => proxy.LinksOf(from, to))) link.Slow(_random.Next(1, 120));
                }

                break;
            case "drop":
                proxy.Drop();
                break;
            case "transfer":
                using (var connection = new NodeConnection(cluster, leader)) await connection.AskAsync($"T\t{follower}", TimeSpan.FromSeconds(2));
                break;
            default:
                throw new ArgumentException($"\"{kind}\" is no fault; there are {string.Join(", ", Kinds)}.");
        }
    }

    private static void Close(IEnumerable<Link> links)
    {
        foreach (var link in links) link.Close();
    }
}
