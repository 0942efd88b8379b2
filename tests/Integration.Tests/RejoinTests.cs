using System.Diagnostics;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Nodes that come back, stand alone, leave or stop, and the clients that come to them at that moment (design §14.26).</summary>
public sealed class RejoinTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public Task Node_ComesBack_ServesEveryClientThatItAccepts() => TestCluster.RunAsync(output, async cluster =>
    {
        var b = cluster["b"];
        await cluster.CreateSetAsync("back", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("back/v", "32M", "--writers", "all");
        for (var round = 0; round < 3; round++)
        {
            b.Kill();
            var since = await cluster.LastEventAsync();
            cluster.Start(b);
            var (refused, client) = await ConnectAtOnceAsync(b, "back/v");
            await using (client)
            {
                // The fault fired: the server was there before the node had joined, and GO was answered only after that.
                var joined = (await cluster.EventsAsync()).Any(e => (ulong)e["index"]! > since && (string?)e["type"] == "NodeJoinedSet" && (string?)e["node"] == "b");
                Assert.True(joined, "GO was answered before the node had joined the set");
                Assert.Equal(0u, await client.WriteAsync(4096 * round, new byte[4096]));
                Assert.Equal(0u, await client.FlushAsync());
            }

            output.WriteLine($"round {round}: {refused} refusals before the client was served");
        }
    });

    [ToolFact("nbdinfo", "nbd-client")]
    public Task Node_WithoutMajority_AnswersShutdownNotUnknownAndServesOnceItCan() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("alone", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("alone/v", "32M", "--writers", "all");
        a.Pause();
        c.Pause();
        try
        {
            // Its lease is over soon; the volume stays configured.
            await Eventually.TrueAsync("b no longer serves", Limit, async () =>
            {
                var refusal = await RefusalAsync(b, "alone/v");
                return refusal is not null && refusal.Contains("80000007", StringComparison.Ordinal) && refusal.Contains("lease", StringComparison.Ordinal);
            });
            var clock = Stopwatch.StartNew();
            Assert.Contains("lease", await RefusalAsync(b, "alone/v"), StringComparison.Ordinal);
            Assert.InRange(clock.Elapsed.TotalSeconds, 4.5, 15);

            // It cannot know that this one does not exist.
            Assert.Contains("cannot know", await RefusalAsync(b, "alone/none"), StringComparison.Ordinal);
            var info = await Tool.TryRunAsync("nbdinfo", Limit, b.NbdUri("alone/v"));
            Assert.NotEqual(0, info.ExitCode);
            output.WriteLine(info.ToString());
            var list = await Tool.TryRunAsync("nbd-client", Limit, "-l", "127.0.0.1", $"{b.NbdPort}");
            Assert.Contains("alone/v", list.Output, StringComparison.Ordinal);
        }
        finally
        {
            a.Continue();
            c.Continue();
        }

        await Eventually.TrueAsync("b serves again", Limit, async () => await RefusalAsync(b, "alone/v") is null);
        var unknown = await RefusalAsync(b, "alone/none");
        Assert.Contains("80000006", unknown, StringComparison.Ordinal);
    });

    [Fact]
    public Task Client_ComesBeforeTheClusterHasAMajority_IsServedOnceItHas() => TestCluster.RunAsync(output, async cluster =>
    {
        var (a, b, c) = (cluster["a"], cluster["b"], cluster["c"]);
        await cluster.CreateSetAsync("early", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("early/v", "32M", "--writers", "all");
        a.Pause();
        c.Pause();
        b.Kill();
        cluster.Start(b);
        Task<NbdClient> connecting;
        try
        {
            // Alone it cannot know its configuration, nor can it serve: it takes the connection and does not answer GO.
            await Eventually.TrueAsync("b listens", Limit, () => Task.FromResult(Listens(b)));
            connecting = NbdClient.ConnectOnceAsync(b, "early/v");
            Assert.NotSame(connecting, await Task.WhenAny(connecting, Task.Delay(1000)));
        }
        finally
        {
            a.Continue();
            c.Continue();
        }

        // Either it is served within its five seconds, or told to come again; never accepted and dropped.
        NbdClient client;
        try
        {
            client = await connecting;
        }
        catch (NbdDisconnectedException refused)
        {
            Assert.Contains("80000007", refused.Message, StringComparison.Ordinal);
            client = (await ConnectAtOnceAsync(b, "early/v")).Client;
        }

        await using (client) Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
    });

    [Fact]
    public Task Node_LeavesTheSet_SaysSoAtOnceAndListsNothing() => TestCluster.RunAsync(output, async cluster =>
    {
        var b = cluster["b"];
        await cluster.CreateSetAsync("left", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("left/v", "32M", "--writers", "all");
        await cluster.CliAsync("set", "leave", "left", "--member", "b");
        var clock = Stopwatch.StartNew();
        var refusal = await RefusalAsync(b, "left/v");
        Assert.Contains("80000007", refusal, StringComparison.Ordinal);
        Assert.Contains("has left", refusal, StringComparison.Ordinal);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(4), "it waited in vain");
        await cluster.CliAsync("set", "join", "left", "--member", "b");
        await using var client = (await ConnectAtOnceAsync(b, "left/v")).Client;
        Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
    });

    [ToolFact("qemu-io")]
    public Task Qemu_ReconnectDelay_WritesOnOverARestart() => TestCluster.RunAsync(output, async cluster =>
    {
        var b = cluster["b"];
        await cluster.CreateSetAsync("qemu", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("qemu/v", "32M", "--writers", "all");
        var target = $"driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=127.0.0.1,file.server.port={b.NbdPort},file.export=qemu/v,file.reconnect-delay=60";
        await using var qemu = PipedTool.Start("qemu-io", "--image-opts", target);
        await qemu.SayAsync("write -P 1 0 64k");
        await qemu.HearAsync("wrote 65536/65536", Limit);
        b.Kill();
        cluster.Start(b);
        await qemu.SayAsync("write -P 2 64k 64k");
        await qemu.HearAsync("wrote 65536/65536 bytes at offset 65536", Limit);
        await qemu.SayAsync("read -P 1 0 64k");
        await qemu.HearAsync("read 65536/65536 bytes at offset 0", Limit);
        await qemu.SayAsync("quit");
        await qemu.EndAsync(Limit);
        Assert.DoesNotContain("failed", qemu.Heard, StringComparison.Ordinal);
        Assert.DoesNotContain("rror", qemu.Heard, StringComparison.Ordinal);
    });

    private static bool Listens(NodeProcess node)
    {
        try
        {
            using var probe = new System.Net.Sockets.TcpClient("127.0.0.1", node.NbdPort);
            return true;
        }
        catch (System.Net.Sockets.SocketException)
        {
            return false;
        }
    }

    /// <summary>Connects again and again, as a client that lost its node does, until GO succeeds.</summary>
    /// <returns>How often GO was refused meanwhile; each time with ERR_SHUTDOWN.</returns>
    private static async Task<(int Refused, NbdClient Client)> ConnectAtOnceAsync(NodeProcess node, string volume)
    {
        var refused = 0;
        NbdClient? client = null;
        await Eventually.TrueAsync($"{node.Name} serves {volume}", Limit, async () =>
        {
            if (!Listens(node)) return false;
            try
            {
                client = await NbdClient.ConnectOnceAsync(node, volume);
                return true;
            }
            catch (NbdDisconnectedException failure) when (failure.IsForNow)
            {
                refused++;
                return false;
            }
        });
        return (refused, client!);
    }

    /// <summary>Why GO is refused; null if it is not.</summary>
    private static async Task<string?> RefusalAsync(NodeProcess node, string volume)
    {
        try
        {
            await using var client = await NbdClient.ConnectOnceAsync(node, volume);
            return null;
        }
        catch (NbdDisconnectedException refused)
        {
            return refused.Message;
        }
    }
}
