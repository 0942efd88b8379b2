using System.Net;
using System.Net.Sockets;
using RaftMirror.DataPlane.Nbd.Server;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>When the bytes of a connection came (ADR 0019): never later than it seems, whatever the reader does.</summary>
public sealed class ArrivalTests
{
    [Fact]
    public void Bounds_OfEachByte_AreThoseOfTheLooksAroundIt()
    {
        var bounds = new ArrivalBounds(10);
        bounds.Add(20, 21, 100, needed: 0);
        bounds.Add(30, 31, 100, needed: 0);
        bounds.Add(40, 41, 250, needed: 0);
        Assert.Equal((10, 21), (bounds.FromNs(100), bounds.ToNs(100, 99)));
        Assert.Equal((30, 41), (bounds.FromNs(101), bounds.ToNs(101, 99)));
        Assert.Equal((40, 99), (bounds.FromNs(251), bounds.ToNs(251, 99)));
        Assert.Equal(35, bounds.ToNs(101, 35));
    }

    [Fact] // Fewer looks are remembered than taken: the bounds become wider, never wrong.
    public void Bounds_ManyLooks_StayTrue()
    {
        var bounds = new ArrivalBounds(0);
        for (var look = 1; look <= 1000; look++) bounds.Add(look * 10, (look * 10) + 1, look, needed: 0);
        for (var position = 1; position <= 1000; position++)
        {
            Assert.True(bounds.FromNs(position) <= position * 10, $"byte {position}");
            Assert.True(bounds.ToNs(position, long.MaxValue) >= (position * 10) - 9, $"byte {position}");
        }

        Assert.Equal(10_000, bounds.FromNs(1001));
    }

    [Fact] // An overtaken look is worth nothing.
    public void Bounds_LookThatWasOvertaken_IsIgnored()
    {
        var bounds = new ArrivalBounds(0);
        bounds.Add(20, 21, 100, needed: 0);
        bounds.Add(15, 30, 100, needed: 0);
        bounds.Add(30, 31, 50, needed: 0);
        Assert.Equal(20, bounds.FromNs(101));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Intake_UnreadRequest_HoldsTheFloorAndKeepsItsAge(bool isUnix)
    {
        var (client, server) = Pair(isUnix);
        using (client)
        using (server)
        {
            var intake = new ConnectionIntake(server);
            intake.Expect(28);
            var idle = Linux.BootTimeNanoseconds();
            Assert.True(intake.FloorNs(long.MaxValue) >= idle, "Nothing is unread.");
            client.Send(new byte[10]);
            WaitReadable(server);
            var partial = Linux.BootTimeNanoseconds();
            Assert.True(intake.FloorNs(long.MaxValue) >= partial, "A part of a request is no request.");
            var before = Linux.BootTimeNanoseconds();
            client.Send(new byte[18]);
            while (server.Available < 28) WaitReadable(server);
            var after = Linux.BootTimeNanoseconds();
            Assert.True(intake.FloorNs(long.MaxValue) <= after, "It came, and nobody read it.");
            var held = intake.FloorNs(long.MaxValue);
            client.Send(new byte[28]); // The kernel stamps both requests with the time of this one.
            while (server.Available < 56) WaitReadable(server);
            Assert.Equal(held, intake.FloorNs(long.MaxValue));
            Assert.Equal(56, Receive(intake, 100));
            intake.Begin(28);
            var (from, to) = intake.Current;
            Assert.InRange(from, idle, after);
            Assert.True(from <= before + 1_000_000 && to >= before, $"{from} {before} {to}");
            intake.Expect(56);
            intake.Begin(56);
            intake.Expect(84);
            var read = Linux.BootTimeNanoseconds();
            Assert.True(intake.FloorNs(long.MaxValue) >= read, "All was handed over.");
        }
    }

    [Fact] // What makes a stopped node's late reading harmless for others: the time of arrival survives it.
    public void Intake_ReadLate_StampTellsWhenItCame()
    {
        var (client, server) = Pair(isUnix: false);
        using (client)
        using (server)
        {
            var intake = new ConnectionIntake(server);
            for (var attempt = 1; ; attempt++)
            {
                var end = attempt * 28;
                intake.Expect(end);
                client.Send(new byte[28]);
                while (server.Available < 28) WaitReadable(server);
                var arrived = Linux.BootTimeNanoseconds();
                while (Linux.BootTimeNanoseconds() < arrived + 50_000_000) Thread.Yield(); // Nobody looks meanwhile.
                Assert.Equal(28, Receive(intake, 100));
                intake.Begin(end);
                if (intake.Current.ToNs > arrived + 6_000_000 && attempt < 20) continue; // The kernel has only begun to stamp, or this process was stopped.
                Assert.InRange(intake.Current.ToNs, intake.Current.FromNs, arrived + 6_000_000);
                break;
            }
        }
    }

    private static unsafe int Receive(ConnectionIntake intake, int maxBytes)
    {
        var target = stackalloc byte[maxBytes];
        return intake.Receive(target, maxBytes);
    }

    private static void WaitReadable(Socket socket) => Assert.True(Readiness.WaitReadable(socket.SafeHandle, 10_000));

    private static (Socket Client, Socket Server) Pair(bool isUnix)
    {
        var path = Path.Combine(Path.GetTempPath(), $"rm-{Guid.NewGuid():N}.sock");
        EndPoint at = isUnix ? new UnixDomainSocketEndPoint(path) : new IPEndPoint(IPAddress.Loopback, 0);
        using var listener = new Socket(at.AddressFamily, SocketType.Stream, isUnix ? ProtocolType.Unspecified : ProtocolType.Tcp);
        listener.Bind(at);
        listener.Listen(1);
        var client = new Socket(at.AddressFamily, SocketType.Stream, isUnix ? ProtocolType.Unspecified : ProtocolType.Tcp);
        if (!isUnix) client.NoDelay = true;
        client.Connect(listener.LocalEndPoint!);
        var server = listener.Accept();
        if (isUnix) File.Delete(path);
        return (client, server);
    }
}
