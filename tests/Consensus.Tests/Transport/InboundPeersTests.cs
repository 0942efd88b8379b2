using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

public sealed class InboundPeersTests
{
    private static readonly NodeId Peer = new(2);

    private readonly PeerDirectory _directory = new(Guid.NewGuid(), new NodeId(1), 1, new Dictionary<NodeId, IPEndPoint>());

    /// <summary>Two handshakes at once: the earlier life's is the one that is heard of last. Its connection was once kept, and on the lane of the
    /// later life it even ended that one's.</summary>
    [Theory]
    [InlineData("Raft")]
    [InlineData("Rpc")]
    [InlineData("Snapshot")]
    public void Add_AfterALaterLife_IsRefusedAndEndsNothing(string lane)
    {
        var peers = new InboundPeers(_directory, TransportLimits.Default);
        Assert.True(_directory.Admit(Peer, 5, 0));
        using var early = Connection(Lane.Raft, 5);
        using var late = Connection(Enum.Parse<Lane>(lane), 5);
        Assert.NotNull(peers.Add(early, out _));
        Assert.True(_directory.Admit(Peer, 6, 0));
        using var newer = Connection(Lane.Raft, 6);
        Assert.NotNull(peers.Add(newer, out _));
        Assert.False(early.IsUp);
        Assert.Null(peers.Add(late, out _));
        Assert.True(newer.IsUp, newer.Reason);
    }

    [Fact]
    public void Add_BeforeItsLaterLife_IsEndedByIt()
    {
        var peers = new InboundPeers(_directory, TransportLimits.Default);
        Assert.True(_directory.Admit(Peer, 5, 0));
        using var raft = Connection(Lane.Raft, 5);
        using var rpc = Connection(Lane.Rpc, 5);
        Assert.Same(peers.Add(raft, out _), peers.Add(rpc, out _));
        Assert.True(raft.IsUp && rpc.IsUp);
        Assert.True(_directory.Admit(Peer, 6, 0));
        using var newer = Connection(Lane.Rpc, 6);
        Assert.NotNull(peers.Add(newer, out _));
        Assert.False(raft.IsUp);
        Assert.False(rpc.IsUp);
    }

    [Fact]
    public void Add_AfterALaterConnectionOfTheSameLife_IsRefusedAndEndsNothing()
    {
        var peers = new InboundPeers(_directory, TransportLimits.Default);
        using var second = Connection(Lane.Raft, 5, order: 2);
        using var first = Connection(Lane.Raft, 5, order: 1);
        using var third = Connection(Lane.Raft, 5, order: 3);
        Assert.NotNull(peers.Add(second, out _));
        Assert.Null(peers.Add(first, out _));
        Assert.True(second.IsUp, second.Reason);
        Assert.NotNull(peers.Add(third, out _));
        Assert.False(second.IsUp);
    }

    [Fact]
    public void Add_TooManyUnknownPeers_TheOneThatCameFirstGoesWheneverItIsAdded()
    {
        var peers = new InboundPeers(_directory, TransportLimits.Default with { MaxUnknownPeers = 2 });
        using var second = Connection(Lane.Raft, 1, peer: 12, order: 2);
        using var third = Connection(Lane.Raft, 1, peer: 13, order: 3);
        using var first = Connection(Lane.Raft, 1, peer: 11, order: 1);
        using var fourth = Connection(Lane.Raft, 1, peer: 14, order: 4);
        Assert.NotNull(peers.Add(third, out _));
        Assert.NotNull(peers.Add(second, out _));
        Assert.Null(peers.Add(first, out var reason));
        Assert.Contains("too many", reason, StringComparison.Ordinal);
        Assert.True(second.IsUp && third.IsUp);
        Assert.NotNull(peers.Add(fourth, out _));
        Assert.False(second.IsUp);
        Assert.True(third.IsUp && fourth.IsUp);
    }

    private static PeerConnection Connection(Lane lane, ulong incarnation, int peer = 2, long order = 0) => new(
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp), Stream.Null, TransportLimits.Default, new NodeId((ushort)peer),
        lane, incarnation, 1)
    { Order = order };
}
