using System.Net.Sockets;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Life and death of connections: order, dropping, leaving, limits.</summary>
public sealed class NbdConnectionTests : NbdServerFixture
{
    private const ushort Read = 0, Write = 1, Disconnect = 2, Flush = 3;

    private readonly Dictionary<string, TaskCompletionSource<IoStatus>> _gates = [];

    private protected override NbdServerOptions Options => new()
    {
        HandshakeLimit = TimeSpan.FromSeconds(3),
        DropLinger = TimeSpan.FromMilliseconds(200),
    };

    [Fact]
    public async Task Requests_EndingOutOfOrder_AreAnsweredAsTheyEnd()
    {
        Hold("read 0+512");
        using var client = NbdTestClient.Attach(Endpoint);
        client.SendRequest(Read, 1, 0, 512);
        client.SendRequest(Read, 2, 512, 512);
        Assert.Equal(2ul, client.ReceiveReply().Cookie);
        await End("read 0+512", IoStatus.Ok);
        Assert.Equal(1ul, client.ReceiveReply().Cookie);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Drop_OthersInFlight_ClosesOnlyAfterTheyEndedAndNeverAnswersTheDropped(bool unix)
    {
        var endpoint = unix ? ListenUnix() : Endpoint;
        Hold("write 0+512");
        Hold("write 512+512");
        using var client = NbdTestClient.Attach(endpoint);
        client.SendRequest(Write, 1, 0, 512, payload: new byte[512]);
        client.SendRequest(Write, 2, 512, 512, payload: new byte[512]);
        await Eventually(() => Export.Calls.Count == 2, "both writes reach the volume");
        await End("write 0+512", IoStatus.Drop);
        await Eventually(() => Server.Connections.Single(one => one.Export == "set/vol").InFlight == 1, "the drop takes effect");

        // What comes now is not read, and the client must not notice that either.
        client.SendRequest(Write, 3, 1024, 512, payload: new byte[512]);
        Assert.False(client.Socket.Poll(200_000, SelectMode.SelectRead));
        Assert.Equal(0, Export.Disposals);
        await End("write 512+512", IoStatus.Ok);
        Assert.Equal(2ul, client.ReceiveReply().Cookie);
        Assert.True(client.IsClosedByServer());
        await Eventually(() => Export.Disposals == 1, "the session is disposed");
        Assert.DoesNotContain("write 1024+512", Export.Calls);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DroppedToken_Cancelled_EndsInFlightThenCloses(bool unix)
    {
        var endpoint = unix ? ListenUnix() : Endpoint;
        Hold("write 0+512");
        using var client = NbdTestClient.Attach(endpoint);
        client.SendRequest(Write, 1, 0, 512, payload: new byte[512]);
        await Eventually(() => Export.Calls.Count == 1, "the write reaches the volume");
        Export.DropSessions(); // Takes effect before it returns.
        Assert.False(client.Socket.Poll(200_000, SelectMode.SelectRead));
        await End("write 0+512", IoStatus.Ok);
        Assert.Equal(1ul, client.ReceiveReply().Cookie);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void DroppedToken_CancelledWhileIdle_ClosesAtOnce(bool unix)
    {
        using var client = NbdTestClient.Attach(unix ? ListenUnix() : Endpoint);
        Assert.Equal(0u, client.Do(Flush, 0, 0).Error);
        Export.DropSessions();
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task Session_Throws_DropsTheConnectionWithoutAReply()
    {
        Export.Gate = _ => throw new IOException("a fault of the test");
        using var client = NbdTestClient.Attach(Endpoint);
        client.SendRequest(Flush, 1, 0, 0);
        Assert.True(client.IsClosedByServer());
        await Eventually(() => Export.Disposals == 1, "the session is disposed");
    }

    [Fact]
    public async Task Disconnect_WritesOutstanding_FinishesThemThenCloses()
    {
        Hold("write 0+512");
        using var client = NbdTestClient.Attach(Endpoint);
        client.SendRequest(Write, 1, 0, 512, payload: Enumerable.Repeat((byte)7, 512).ToArray());
        client.SendRequest(Disconnect, 2, 0, 0);
        Assert.False(client.Socket.Poll(200_000, SelectMode.SelectRead));
        await End("write 0+512", IoStatus.Ok);
        Assert.Equal(1ul, client.ReceiveReply().Cookie);
        Assert.True(client.IsClosedByServer());
        Assert.Equal(7, Export.Snapshot(511, 1)[0]);
    }

    [Fact]
    public async Task Client_HalfCloses_GetsItsReplies()
    {
        Hold("write 0+512");
        using var client = NbdTestClient.Attach(Endpoint);
        client.SendRequest(Write, 1, 0, 512, payload: new byte[512]);
        client.Socket.Shutdown(SocketShutdown.Send);
        await Eventually(() => Export.Calls.Count == 1, "the write reaches the volume");
        await End("write 0+512", IoStatus.Ok);
        Assert.Equal(1ul, client.ReceiveReply().Cookie);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task Client_LeavesInMidWrite_TouchesNothing()
    {
        using (var client = NbdTestClient.Attach(Endpoint))
        {
            client.Send([.. NbdTestClient.Request(Write, 1, 0, 4096), .. new byte[4095]]);
        }

        await Eventually(() => Export.Disposals == 1, "the session is disposed");
        Assert.Empty(Export.Calls);
    }

    [Fact]
    public async Task Client_ResetsWithRepliesPending_OnlyItsConnectionEnds()
    {
        Hold("read 0+4096");
        var client = NbdTestClient.Attach(Endpoint);
        for (ulong i = 0; i < 20; i++) client.SendRequest(Read, i, 0, 4096);
        await Eventually(() => Export.Calls.Count == 20, "the reads reach the volume");
        client.Reset();
        Assert.Equal(0, Export.Disposals);
        await End("read 0+4096", IoStatus.Ok);
        await Eventually(() => Export.Disposals == 1, "the session is disposed");
    }

    [Fact]
    public async Task Client_NeverReads_IsBoundedByCreditAndStallsNobody()
    {
        using var client = NbdTestClient.Attach(Endpoint, receiveBufferBytes: 4096);
        for (ulong i = 0; i < 500; i++) client.SendRequest(Read, i, 0, 1 << 20);
        await Eventually(() => Export.Calls.Count >= 64, "the credit is used");
        using (var other = NbdTestClient.Attach(Endpoint))
        {
            Assert.Equal(0u, other.Do(Read, 0, 4096).Error);
        }

        Assert.InRange(Server.Connections.Where(one => one.Export == "set/vol").Max(one => one.InFlight), 1, 64);
        for (var i = 0; i < 500; i++) Assert.Equal(1 << 20, client.ReceiveReply().Data.Length);
    }

    [Fact]
    public async Task DropAsync_ClientNeverReads_EndsWithinTheLinger()
    {
        using var client = NbdTestClient.Attach(Endpoint, receiveBufferBytes: 4096);
        for (ulong i = 0; i < 200; i++) client.SendRequest(Read, i, 0, 1 << 20);
        await Eventually(() => Export.Calls.Count >= 64, "the credit is used");
        Assert.Equal(1, await Server.DropAsync("set/vol").WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Equal(1, Export.Disposals);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    public void Handshake_SilentOrDripping_EndsAtTheDeadline(int dripMilliseconds)
    {
        using var client = NbdTestClient.Greet(Endpoint);
        using var drip = new Timer(
            _ =>
            {
                try
                {
                    client.Socket.Send(new byte[] { 0x49 });
                }
                catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
                {
                    // The server has closed, as it should.
                }
            },
            null,
            dripMilliseconds == 0 ? Timeout.Infinite : dripMilliseconds,
            Timeout.Infinite);
        Assert.True(client.IsClosedByServer());
    }

    [Fact]
    public async Task Connections_Many_AreServedAndCounted()
    {
        var clients = Enumerable.Range(0, 64).Select(_ => NbdTestClient.Attach(Endpoint)).ToList();
        foreach (var client in clients) client.SendRequest(Read, 1, 0, 4096);
        foreach (var client in clients) Assert.Equal(0u, client.ReceiveReply().Error);
        var mine = Server.Connections.Where(one => one.Export == "set/vol").ToList();
        Assert.Equal(64, mine.Count);
        Assert.All(mine, one => Assert.Equal(1, one.Requests));
        foreach (var client in clients) client.Dispose();
        await Eventually(() => Server.Connections.Count == 1, "the connections are given back");
    }

    [Fact]
    public async Task Stop_RequestNeverEnds_ReturnsAfterTheGraceAndLeavesItOpen()
    {
        Hold("write 0+512");
        await using var server = new NbdServer(Catalog);
        using var client = NbdTestClient.Attach(server.Listen(NbdEndpoint.Parse("127.0.0.1:0")));
        client.SendRequest(Write, 1, 0, 512, payload: new byte[512]);
        await Eventually(() => Export.Calls.Count == 1, "the write reaches the volume");
        Assert.Equal(1, await server.StopAsync(TimeSpan.FromMilliseconds(100)));
        Assert.False(client.Socket.Poll(0, SelectMode.SelectRead));
        await End("write 0+512", IoStatus.Ok);
        Assert.Equal(1ul, client.ReceiveReply().Cookie);
        Assert.True(client.IsClosedByServer());
    }

    [Theory]
    [InlineData("0.0.0.0:10809", "not loopback")]
    [InlineData("192.168.1.1:10809", "not loopback")]
    [InlineData("[::]:10809", "not loopback")]
    [InlineData("example.org:1", "no IP address")]
    [InlineData("10809", "no NBD endpoint")]
    [InlineData("unix:", "path")]
    public void Endpoint_OffTheHostOrMalformed_IsRefusedWithAReason(string text, string reason)
    {
        Assert.False(NbdEndpoint.TryParse(text, out _, out var error));
        Assert.Contains(reason, error, StringComparison.Ordinal);
    }

    [Fact]
    [System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
    public void UnixSocket_StaleLiveOrForeignFile_IsReplacedOrRefused()
    {
        var endpoint = ListenUnix();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(endpoint.UnixPath!));
        Assert.Contains("another process", Assert.Throws<IOException>(() => Server.Listen(endpoint)).Message, StringComparison.Ordinal);

        var stale = endpoint.UnixPath + "2";
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(stale));
            File.Move(stale, stale + ".kept"); // Disposing would remove it under its own name.
        }

        File.Move(stale + ".kept", stale);
        Server.Listen(NbdEndpoint.Parse("unix:" + stale));
        using var client = NbdTestClient.Attach(NbdEndpoint.Parse("unix:" + stale));
        Assert.Equal(0u, client.Do(Read, 0, 512).Error);

        var foreign = endpoint.UnixPath + "3";
        File.WriteAllText(foreign, "");
        Assert.Throws<IOException>(() => Server.Listen(NbdEndpoint.Parse("unix:" + foreign)));
        Assert.True(File.Exists(foreign));
        File.Delete(foreign);
    }

    private NbdEndpoint ListenUnix() =>
        Server.Listen(NbdEndpoint.Parse($"unix:{Path.Combine(Path.GetTempPath(), Path.GetRandomFileName())}"));

    /// <summary>From now on requests like this one wait for <see cref="End"/>.</summary>
    private void Hold(string call)
    {
        lock (_gates) _gates[call] = new TaskCompletionSource<IoStatus>(TaskCreationOptions.RunContinuationsAsynchronously);
        Export.Gate = name =>
        {
            lock (_gates) return _gates.TryGetValue(name, out var gate) ? gate.Task : null;
        };
    }

    private Task End(string call, IoStatus status)
    {
        lock (_gates) _gates[call].SetResult(status);
        return Task.CompletedTask;
    }
}
