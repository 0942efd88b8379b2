using System.Net;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

public sealed class HandshakeTests
{
    private static readonly NodeId One = new(1);
    private static readonly NodeId Two = new(2);

    [Theory]
    [InlineData("cluster", (ushort)HandshakeStatus.WrongCluster)]
    [InlineData("to", (ushort)HandshakeStatus.WrongNode)]
    [InlineData("self", (ushort)HandshakeStatus.UnknownPeer)]
    [InlineData("nobody", (ushort)HandshakeStatus.UnknownPeer)]
    [InlineData("version", (ushort)HandshakeStatus.VersionMismatch)]
    [InlineData("old", (ushort)HandshakeStatus.VersionMismatch)]
    [InlineData("garbage", (ushort)HandshakeStatus.Malformed)]
    [InlineData("address", (ushort)HandshakeStatus.Malformed)]
    public async Task Hello_WithOneThingWrong_IsRefusedWithItsReason(string wrong, ushort expected)
    {
        await using var cluster = await LocalCluster.StartAsync(1);
        var hello = RawPeer.HelloOf(cluster.Nodes[One].ClusterId, Two, One, Lane.Raft) with { Address = "127.0.0.1:1" };
        hello = wrong switch
        {
            "cluster" => hello with { ClusterId = Guid.NewGuid() },
            "to" => hello with { To = Two },
            "self" => hello with { From = One },
            "nobody" => hello with { From = default },
            "version" => hello with { Versions = new VersionRange(7, 9) },
            "old" => hello with { Versions = new VersionRange(1, 1) },
            _ => hello,
        };
        using var peer = await RawPeer.ConnectAsync(EndpointOf(cluster, One));
        var bytes = hello.Encode();
        if (wrong == "garbage") bytes[20] ^= 1;
        if (wrong == "address") bytes[^6] ^= 1;
        await peer.SendAsync(bytes);
        var reply = await peer.ReplyAsync();
        Assert.Equal((HandshakeStatus)expected, reply.Status);
        Assert.Equal(VersionRange.Own, reply.Versions);
        await peer.EndAsync();
    }

    [Fact]
    public void Judge_OlderLifeThanSeen_IsRefused()
    {
        var cluster = Guid.NewGuid();
        var members = new Dictionary<NodeId, IPEndPoint> { [One] = new(IPAddress.Loopback, 1), [Two] = new(IPAddress.Loopback, 2) };
        var directory = new PeerDirectory(cluster, One, 1, members);
        var hello = RawPeer.HelloOf(cluster, Two, One, Lane.Raft, 5);
        Assert.Equal(HandshakeStatus.Accepted, directory.Judge(hello with { Incarnation = 9 })); // Only judged: it may be a recording.
        Assert.True(directory.Admit(Two, 5, 0));
        Assert.Equal(HandshakeStatus.StaleIncarnation, directory.Judge(hello with { Incarnation = 4 }));
        Assert.False(directory.Admit(Two, 4, 0));
        Assert.Equal(HandshakeStatus.Accepted, directory.Judge(hello with { Incarnation = 6 }));
        Assert.True(directory.Admit(Two, 6, 0));
        Assert.False(directory.IsCurrent(Two, 5));
    }

    [Theory]
    [InlineData(1, 5, 3, 9, 5)]
    [InlineData(3, 9, 1, 5, 5)]
    [InlineData(2, 2, 2, 2, 2)]
    [InlineData(1, 2, 3, 4, null)]
    [InlineData(3, 4, 1, 2, null)]
    public void Versions_OfTwoRanges_TheHighestCommonOneIsSpoken(int low, int high, int otherLow, int otherHigh, int? expected) =>
        Assert.Equal((ushort?)expected, new VersionRange((ushort)low, (ushort)high).CommonWith(new VersionRange((ushort)otherLow, (ushort)otherHigh)));

    [Fact]
    public void Message_EncodedAndCutAnywhere_IsRefusedNotBelieved()
    {
        var entry = new RaftMirror.Consensus.Model.LogEntry(new(3, 8), RaftMirror.Consensus.Model.EntryType.Command, new(1, 2, 3), new byte[] { 1, 2, 3 });
        var message = new Message
        {
            Kind = MessageKind.Append,
            From = One,
            To = Two,
            Term = 4,
            Log = new(2, 7),
            Commit = 6,
            Entries = new[] { entry },
        };
        var bytes = new byte[MessageCodec.Length(message)];
        MessageCodec.Encode(message, bytes);
        Assert.Null(MessageCodec.TryDecode(bytes, One, Two, out var decoded));
        Assert.Equal(message.ToString(), decoded.ToString());
        Assert.Equal(entry.Proposal, decoded.Entries.Span[0].Proposal);
        for (var length = 0; length < bytes.Length; length++)
            Assert.NotNull(MessageCodec.TryDecode(bytes.AsSpan(0, length), One, Two, out _));
    }

    [Fact]
    public void Endpoint_OffLoopback_IsRefused()
    {
        Assert.Throws<ArgumentException>(() => PeerAddress.ParseLoopback("192.0.2.1:80"));
        Assert.Throws<ArgumentException>(() => PeerAddress.ParseLoopback("127.0.0.1"));
        Assert.Equal(5, PeerAddress.ParseLoopback("localhost:5").Port);
    }

    private static IPEndPoint EndpointOf(LocalCluster cluster, NodeId id) =>
        IPEndPoint.Parse(cluster.Nodes[id].Status.Members.First(member => member.Id == id).Address);
}
