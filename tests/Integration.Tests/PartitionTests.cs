using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using RaftMirror.Chaos.Proxy;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Two live nodes that do not hear each other, while both hear the leader (ADR 0019): the one with the higher name loses its lease, so that
/// every wait ends; and when it comes back into the same silence, it costs nobody anything.</summary>
public sealed class PartitionTests(ITestOutputHelper output)
{
    private const int B = 2;
    private const int C = 3;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task TwoLiveNodesApart_OneLosesItsLease_ComesBackIntoTheSilenceAndEndsNobodysService() => TestCluster.RunAsync(output, async cluster =>
    {
        await using var network = new PeerProxy();
        var (b, c) = (cluster["b"], cluster["c"]);
        await RouteAsync(cluster, network, b, B);
        await RouteAsync(cluster, network, c, C);
        await LeadsAsync(cluster, "a");
        await cluster.CreateSetAsync("apart", disks: 2, megabytes: 200);
        await cluster.CreateMirrorAsync("apart/v", "16M", "--writers", "all");
        await using var atB = await NbdClient.ConnectAsync(b, "apart/v");
        await using var atC = await NbdClient.ConnectAsync(c, "apart/v");
        Assert.Equal(0u, await atB.WriteAsync(0, new byte[4096]));
        Assert.Equal(0u, await atC.WriteAsync(4096, new byte[4096]));
        var since = await cluster.LastEventAsync();

        await LeadsAsync(cluster, "a"); // On a busy machine another may lead by now; if it is one of the two, the other one is simply cut off.
        foreach (var link in network.LinksOf(B, C).Concat(network.LinksOf(C, B))) link.Break();
        Assert.True(network.Drop((B, C)) > 0, "they were connected through the network that is cut");
        var clock = Stopwatch.StartNew();
        await Eventually.TrueAsync("a write waits for the node that is not heard, and status says so", Limit, async () =>
        {
            var held = atB.WriteAsync(0, new byte[4096]);
            var isSeen = false;
            while (!held.IsCompleted && !isSeen) isSeen = await HasCauseAsync(cluster, "RM1107 REQUEST_HELD", "until c answers");
            Assert.Equal(0u, await held.WaitAsync(Limit));
            return isSeen;
        });
        output.WriteLine($"the wait was over after {clock.Elapsed.TotalSeconds:0.0} s");
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), "it ends within the horizon, not by the time-out of requests");
        var suspected = (await cluster.EventsAsync(since)).Single(item => (string?)item["type"] == "NodeSuspected");
        Assert.Equal("c", (string?)suspected["node"]);
        Assert.Contains("'b' and 'c' do not hear each other", suspected.ToJsonString().Replace("\\u0027", "'", StringComparison.Ordinal), StringComparison.Ordinal);

        // It is back as a new incarnation, and hears b no more than before.
        await Eventually.TrueAsync("c stays out of the set, and status says why", Limit, () => HasCauseAsync(cluster, "RM1406 NODES_APART", "does not join the set"));
        var quiet = Stopwatch.StartNew();
        for (var block = 0; quiet.Elapsed < TimeSpan.FromSeconds(12); block++)
        {
            // New connections too, which ask every node that serves.
            await using var fresh = await NbdClient.ConnectAsync(b, "apart/v");
            var begun = quiet.Elapsed;
            Assert.Equal(0u, await fresh.WriteAsync(block % 1000 * 4096, new byte[4096]).WaitAsync(Limit));
            Assert.True(quiet.Elapsed - begun < TimeSpan.FromSeconds(5), string.Create(CultureInfo.InvariantCulture, $"waited {quiet.Elapsed - begun}"));
        }

        Assert.Single(await cluster.EventsAsync(since), item => (string?)item["type"] == "NodeSuspected");

        network.Heal();
        await Eventually.TrueAsync("c serves again", Limit, async () =>
        {
            await using var again = await NbdClient.ConnectAsync(c, "apart/v");
            return await again.WriteAsync(0, new byte[4096]) == 0;
        });
        await cluster.WaitUntilHealthyAsync("apart/v");
        await Legs.AssertIdenticalAsync(cluster, "apart/v", 16 << 20);
    });

    private static Task LeadsAsync(TestCluster cluster, string name) => Eventually.TrueAsync($"{name} leads", Limit, async () =>
    {
        if ((string?)(await cluster.StatusAsync(cluster[name]))["leader"] == name) return true;
        await cluster[name].CliAsync("raft", "transfer", "--to", name);
        return false;
    });

    /// <summary>From now on the others reach the node through the network, and it was started anew so that no other connection is left.</summary>
    private static async Task RouteAsync(TestCluster cluster, PeerProxy network, NodeProcess node, int number)
    {
        network.Route(number, int.Parse(node.Peer[(node.Peer.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture));
        // The change cuts the connections over which it is reported; asked for again, it is found done.
        await Eventually.TrueAsync($"{node.Name} has its address in the network", Limit, async () =>
            (await cluster["a"].CliAsync("raft", "set", node.Name, "--address", network.AddressOf(number))).ExitCode == 0);
        await node.TerminateAsync(Limit);
        cluster.Start(node);
        await cluster.WaitUntilReadyAsync();
    }

    private static async Task<bool> HasCauseAsync(TestCluster cluster, string code, string words)
    {
        JsonNode set = (await cluster.StatusAsync(cluster["a"]))["disksets"]![0]!;
        return set["causes"]!.AsArray().Any(cause => (string?)cause!["code"] == code && ((string?)cause["cause"])!.Contains(words, StringComparison.Ordinal));
    }
}
