using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

public sealed class InboundPeersTests
{
    private static readonly NodeId Peer = new(2);

    /// <summary>Two handshakes at once: the earlier life's is the one that is heard of last. Its connection was once kept, and on the lane of the
    /// later life it even ended that one's.</summary>
    [Theory]
    [InlineData("Raft")]
    [InlineData("Rpc")]
    [InlineData("Snapshot")]
    public void Add_AfterALaterLife_IsRefusedAndEndsNothing(string lane)
    {
        var directory = new PeerDirectory(Guid.NewGuid(), new NodeId(1), 1, new Dictionary<NodeId, IPEndPoint>());
        var peers = new InboundPeers(directory, TransportLimits.Default);
        Assert.True(directory.Admit(Peer, 5, 0));
        using var early = Connection(Lane.Raft, 5);
        using var late = Connection(Enum.Parse<Lane>(lane), 5);
        Assert.NotNull(peers.Add(early));
        Assert.True(directory.Admit(Peer, 6, 0));
        using var newer = Connection(Lane.Raft, 6);
        Assert.NotNull(peers.Add(newer));
        Assert.False(early.IsUp);
        Assert.Null(peers.Add(late));
        Assert.True(newer.IsUp, newer.Reason);
    }

    [Fact]
    public void Add_BeforeItsLaterLife_IsEndedByIt()
    {
        var directory = new PeerDirectory(Guid.NewGuid(), new NodeId(1), 1, new Dictionary<NodeId, IPEndPoint>());
        var peers = new InboundPeers(directory, TransportLimits.Default);
        Assert.True(directory.Admit(Peer, 5, 0));
        using var raft = Connection(Lane.Raft, 5);
        using var rpc = Connection(Lane.Rpc, 5);
        Assert.Same(peers.Add(raft), peers.Add(rpc));
        Assert.True(raft.IsUp && rpc.IsUp);
        Assert.True(directory.Admit(Peer, 6, 0));
        using var newer = Connection(Lane.Rpc, 6);
        Assert.NotNull(peers.Add(newer));
        Assert.False(raft.IsUp);
        Assert.False(rpc.IsUp);
    }

    private static PeerConnection Connection(Lane lane, ulong incarnation) => new(
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp), Stream.Null, TransportLimits.Default, Peer, lane, incarnation, 1);
}
