using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;
using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Clients that come before the volume is served, over real sockets (design §14.26).</summary>
public sealed class NbdServiceTests : NbdServerFixture
{
    private const uint Go = 7, ExportName = 1;

    // Less than a test makes its client wait: that time is the node's, not the client's.
    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(3);

    private protected override NbdServerOptions Options => new() { HandshakeLimit = HandshakeLimit };

    [Fact]
    public async Task Go_BeforeService_IsAnsweredWhenServedAndItsWriteIsAnswered()
    {
        Catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        var attaching = Task.Run(() => NbdTestClient.Attach(Endpoint));
        await Eventually(() => Server.Connections.Any(one => one.Export == "set/vol"), "GO came");
        await Task.Delay(1.1 * HandshakeLimit); // The limit must not end it, and nothing announces that it did not.
        Assert.False(attaching.IsCompleted);
        Assert.Equal(1, Export.OpenSessions); // Opened already: its barrier runs while it waits.
        Catalog.Set("set/vol", null);
        using var client = await attaching;
        Assert.Equal(0u, client.Do(1, 0, 512, payload: new byte[512]).Error);
        Assert.Equal(1, Export.OpenSessions);
    }

    [Fact]
    public async Task Go_SessionNotAdmitted_IsNotAnsweredUntilItIs()
    {
        var admission = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Export.Admission = admission.Task;
        var attaching = Task.Run(() => NbdTestClient.Attach(Endpoint));
        await Eventually(() => Export.OpenSessions == 1, "the session is open");
        Catalog.Raise();
        Assert.NotSame(attaching, await Task.WhenAny(attaching, Task.Delay(100)));
        admission.SetResult();
        using var client = await attaching;
        Assert.Equal(0u, client.Do(3, 0, 0).Error);
    }

    [Fact]
    public async Task Go_VolumeMadeAnewWhileItWaits_TakesTheNewOne()
    {
        var never = new TaskCompletionSource();
        Export.Admission = never.Task;
        var attaching = Task.Run(() => NbdTestClient.Attach(Endpoint));
        await Eventually(() => Export.OpenSessions == 1, "the session is open");
        using var second = new MemoryExport(sizeBytes: 2 << 20);
        Export.DropSessions();
        Catalog.Add(second);
        using (var client = await attaching)
        {
            Assert.Equal(2ul << 20, client.SizeBytes);
            Assert.Equal(0u, client.Do(3, 0, 0).Error);
            Assert.Equal((0, 1), (Export.OpenSessions, second.OpenSessions));
        }

        await Eventually(() => second.OpenSessions == 0, "its session is closed");
    }

    [Fact]
    public async Task Go_ServerStopsWhileItWaits_IsAnsweredSo()
    {
        Catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        var server = new NbdServer(Catalog, Options);
        var endpoint = server.Listen(NbdEndpoint.Parse("127.0.0.1:0"));
        using var client = NbdTestClient.Greet(endpoint);
        client.Send(NbdTestClient.Option(Go, NbdTestClient.InfoData("set/vol")));
        await Eventually(() => server.Connections.Any(one => one.Export == "set/vol"), "GO came");
        Assert.Equal(0, await server.StopAsync(TimeSpan.FromSeconds(20)));
        var reply = client.ReceiveOptionReply();
        Assert.Equal((uint)OptionReply.ErrorShutdown, reply.Type);
        Assert.Contains("this node stops", reply.Text, StringComparison.Ordinal);
        Assert.True(client.IsClosedByServer());
        await server.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Client_LeavesWhileItWaits_HoldsNothingLonger(bool reset)
    {
        var never = new TaskCompletionSource();
        Export.Admission = never.Task;
        var client = NbdTestClient.Greet(Endpoint);
        client.Send(NbdTestClient.Option(Go, NbdTestClient.InfoData("set/vol")));
        await Eventually(() => Export.OpenSessions == 1, "the session is open");
        var since = Environment.TickCount64;
        if (reset) client.Reset();
        else client.Dispose();
        await Eventually(() => Export.OpenSessions == 0 && Server.Connections.Count == 1, "the session is closed");
        Assert.True(Environment.TickCount64 - since < HandshakeMachine.ServiceWaitMs, "It was held for the whole wait.");
    }

    [Fact]
    public async Task Name_Unknown_IsAnsweredAfterTheNodeHasCaughtUp()
    {
        Catalog.Majority = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var client = NbdTestClient.Greet(Endpoint);
        client.Send(NbdTestClient.Option(Go, NbdTestClient.InfoData("set/none")));
        await Eventually(() => Volatile.Read(ref Catalog.CatchUps) == 1, "it catches up");
        Assert.False(client.Socket.Poll(100_000, System.Net.Sockets.SelectMode.SelectRead));
        Catalog.Majority.SetResult();
        Assert.Equal((uint)OptionReply.ErrorUnknown, client.ReceiveOptionReply().Type);
        Assert.Equal((uint)OptionReply.Ack, client.Ask(Go, NbdTestClient.InfoData("set/vol"))[^1].Type); // In step.
    }

    [Fact]
    public async Task ExportName_NotServed_WaitsAndAnswersOnceServed()
    {
        Catalog.Set("set/vol", ExportStanding.NotServed, "no lease");
        using var client = NbdTestClient.Greet(Endpoint);
        client.Send(NbdTestClient.Option(ExportName, "set/vol"u8.ToArray()));
        await Eventually(() => Server.Connections.Any(one => one.Export == "set/vol"), "the option came");
        Assert.False(client.Socket.Poll(100_000, System.Net.Sockets.SelectMode.SelectRead));
        Catalog.Set("set/vol", null);
        Assert.Equal(10, client.Receive(10).Length);
        Assert.Equal(0u, client.Do(3, 0, 0).Error);
    }

    [Fact]
    public void ExportName_NeverServed_Closes()
    {
        Catalog.Set("set/vol", ExportStanding.NeverServed, "left");
        using var client = NbdTestClient.Greet(Endpoint);
        client.Send(NbdTestClient.Option(ExportName, "set/vol"u8.ToArray()));
        Assert.True(client.IsClosedByServer());
    }
}
