using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Messages;
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
    [InlineData("from", (ushort)HandshakeStatus.UnknownPeer)]
    [InlineData("version", (ushort)HandshakeStatus.VersionMismatch)]
    [InlineData("garbage", (ushort)HandshakeStatus.Malformed)]
    public async Task Hello_WithOneThingWrong_IsRefusedWithItsReason(string wrong, ushort expected)
    {
        await using var cluster = await LocalCluster.StartAsync(1);
        var hello = HelloOf(cluster);
        hello = wrong switch
        {
            "cluster" => hello with { ClusterId = Guid.NewGuid() },
            "to" => hello with { To = Two },
            "from" => hello with { From = new NodeId(9) },
            "version" => hello with { LowestVersion = 2, HighestVersion = 3 },
            _ => hello,
        };
        using var socket = Connect(cluster);
        var bytes = new byte[Hello.Bytes];
        hello.Encode(bytes);
        if (wrong == "garbage") bytes[20] ^= 1;
        await socket.SendAsync(bytes);
        var reply = await ReplyAsync(socket);
        Assert.Equal((HandshakeStatus)expected, reply.Status);
        Assert.Equal(0, await socket.ReceiveAsync(new byte[1])); // And closed.
    }

    [Fact]
    public void Judge_OlderLifeThanSeen_IsRefused()
    {
        var cluster = Guid.NewGuid();
        var members = new Dictionary<NodeId, IPEndPoint> { [One] = new(IPAddress.Loopback, 1), [Two] = new(IPAddress.Loopback, 2) };
        var directory = new PeerDirectory(cluster, One, 1, members);
        var hello = new Hello(1, 1, Lane.Raft, cluster, Two, One, 5);
        Assert.Equal(HandshakeStatus.Accepted, directory.Judge(hello));
        Assert.Equal(HandshakeStatus.StaleIncarnation, directory.Judge(hello with { Incarnation = 4 }));
        Assert.Equal(HandshakeStatus.Accepted, directory.Judge(hello with { Incarnation = 6 }));
        Assert.False(directory.IsCurrent(Two, 5));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Frame_OversizeOrGarbage_EndsThatConnectionOnly(bool isOversize)
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var self = leader.Status.Self;
        using var socket = Connect(cluster, self);
        var bytes = new byte[Hello.Bytes];
        var from = leader.Status.Members.First(member => member.Id != self).Id;
        new Hello(1, 1, Lane.Rpc, leader.ClusterId, from, self, 1).Encode(bytes);
        await socket.SendAsync(bytes);
        Assert.Equal(HandshakeStatus.Accepted, (await ReplyAsync(socket)).Status);
        var frame = FrameStream.Rent(100);
        FrameStream.Seal(frame, FrameKind.Request);
        if (isOversize) BinaryPrimitives.WriteInt32LittleEndian(frame, int.MaxValue);
        else frame[50] ^= 1;
        await socket.SendAsync(frame);
        Assert.Equal(0, await socket.ReceiveAsync(new byte[1]).WaitAsync(LocalCluster.Patience));
        await LocalCluster.CommitAsync(leader, "still here");
    }

    [Fact]
    public void Message_EncodedAndCutAnywhere_IsRefusedNotBelieved()
    {
        var entry = new RaftMirror.Consensus.Core.LogEntry(new(3, 8), RaftMirror.Consensus.Core.EntryType.Command, new(1, 2, 3), new byte[] { 1, 2, 3 });
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
        Assert.Throws<ArgumentException>(() => RaftNodeOptions.ParseLoopback("192.0.2.1:80"));
        Assert.Throws<ArgumentException>(() => RaftNodeOptions.ParseLoopback("127.0.0.1"));
        Assert.Equal(5, RaftNodeOptions.ParseLoopback("localhost:5").Port);
    }

    private static Hello HelloOf(LocalCluster cluster) => new(1, 1, Lane.Raft, cluster.Nodes[One].ClusterId, Two, One, 1);

    private static Socket Connect(LocalCluster cluster, NodeId? to = null)
    {
        var address = cluster.Nodes[to ?? One].Status.Members.First(member => member.Id == (to ?? One)).Address;
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(IPEndPoint.Parse(address));
        return socket;
    }

    private static async Task<HelloReply> ReplyAsync(Socket socket)
    {
        var bytes = new byte[Hello.Bytes];
        for (var got = 0; got < bytes.Length;)
        {
            var count = await socket.ReceiveAsync(bytes.AsMemory(got));
            Assert.NotEqual(0, count);
            got += count;
        }

        return HelloReply.Decode(bytes)!.Value;
    }
}
