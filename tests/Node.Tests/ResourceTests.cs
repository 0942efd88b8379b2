using System.Net.Sockets;
using System.Text;
using RaftMirror.Contracts;
using RaftMirror.Node.Http;
using RaftMirror.Node.Status;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What has run out, as status tells it, and the bound of the HTTP API.</summary>
public sealed class ResourceTests
{
    [Fact]
    public void Build_NodeWithoutRoom_IsAWarningOfItsSetsAndNamed()
    {
        var live = Samples.Live(null);
        var cause = new HealthCause("RM1601 LOG_FULL", "b", "its log cannot grow", "free space");
        var nodes = new Dictionary<string, NodeLive>(live.Nodes) { ["b"] = new(true, 0, 0) { Causes = [cause] } };
        var volumes = live.Volumes.ToDictionary(pair => pair.Key, pair => pair.Value with { Full = "d0: No space left on device" });
        var document = StatusBuilder.Build(Samples.View(live: live with { Nodes = nodes, Volumes = volumes }));
        var set = document.Disksets[0];
        Assert.NotEqual("okay", set.Health);
        Assert.Contains(set.Causes, item => item.Code == cause.Code && item.Object == $"{set.Name}:b");
        Assert.Contains(set.Causes, item => item.Code == "RM1605 NO_SPACE" && item.Cause.Contains("d0: No space left", StringComparison.Ordinal));
        Assert.Equal([cause], document.Nodes.Single(node => node.Name == "b").Causes);
    }

    [Fact] // The door closes at its bound and opens again; who is inside stays.
    public async Task ApiDoor_TooManyClients_AreClosedAndLaterServed()
    {
        var door = new ApiDoor(maxConnections: 2);
        await using var server = await ApiServer.StartAsync(
            new FakeNode("a"), new HostPort(System.Net.IPAddress.Loopback, 0), null, CancellationToken.None, door);
        var address = new Uri($"http://{server.Endpoint}/livez");
        using (var inside = await ConnectAsync(server))
        using (var other = await ConnectAsync(server))
        {
            await SayAsync(inside);
            await SayAsync(other);
            using var late = await ConnectAsync(server);
            Assert.True(await IsClosedAsync(late)); // Without a word: HTTP has none before a request.
            Assert.Contains("2 clients", door.Refusing!.Reason, StringComparison.Ordinal);
        }

        using var client = new HttpClient();
        var deadline = Environment.TickCount64 + 20_000;
        while (true)
        {
            try
            {
                Assert.Equal("ok\n", await client.GetStringAsync(address));
                return;
            }
            catch (HttpRequestException) when (Environment.TickCount64 < deadline)
            {
                await Task.Yield(); // The two before are being closed.
            }
        }
    }

    private static async Task<Socket> ConnectAsync(ApiServer server)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(server.Endpoint.ToEndPoint());
        return socket;
    }

    private static async Task<bool> IsClosedAsync(Socket socket)
    {
        try
        {
            return await socket.ReceiveAsync(new byte[1]) == 0;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    private static async Task SayAsync(Socket socket)
    {
        await socket.SendAsync(Encoding.ASCII.GetBytes("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        var buffer = new byte[1024];
        Assert.True(await socket.ReceiveAsync(buffer) > 0);
    }
}
