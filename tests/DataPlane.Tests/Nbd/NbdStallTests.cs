using RaftMirror.DataPlane.Nbd.Server;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Clients that take no replies, and whom that keeps waiting.</summary>
public sealed class NbdStallTests : NbdServerFixture
{
    private const ushort Read = 0;

    private protected override NbdServerOptions Options => new()
    {
        CreditBytes = 32 << 20,
        SendStallInTheWay = TimeSpan.FromMilliseconds(300),
    };

    [Fact] // What is unread of a client may be older than what others write, so that all wait for it (design §14.25).
    public async Task Client_TakesNoRepliesAndSendsOn_IsDisconnectedSoonerThanOneThatKeepsNobodyWaiting()
    {
        const uint piece = 64 << 10;
        using var patient = NbdTestClient.Attach(Endpoint, receiveBufferBytes: 64 << 10);
        for (ulong i = 0; i < 256; i++) patient.SendRequest(Read, i, 0, piece); // Half of what it may hold: all of it is read.
        using var greedy = NbdTestClient.Attach(Endpoint, receiveBufferBytes: 64 << 10);
        for (ulong i = 0; i < 900; i++) greedy.SendRequest(Read, i, 0, piece);
        await Eventually(() => Server.Connections.Count(one => one.Export == "set/vol") == 1, "the greedy one is disconnected");
        for (ulong i = 0; i < 256; i++) Assert.Equal(i, patient.ReceiveReply().Cookie);
        Assert.Equal(0, Server.Memory.SharedBytes);
    }
}
