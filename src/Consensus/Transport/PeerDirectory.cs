using System.Net;
using System.Net.Sockets;

namespace RaftMirror.Consensus.Transport;

/// <summary>Who the members are, who this node is, and which lives of the others were seen. Safe on any thread.</summary>
internal sealed class PeerDirectory(
    Guid clusterId, NodeId self, ulong incarnation, IReadOnlyDictionary<NodeId, IPEndPoint> members)
{
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(3);
    private readonly Dictionary<NodeId, ulong> _seen = [];

    public NodeId Self { get; } = self;

    public IEnumerable<NodeId> Others => members.Keys.Where(id => id != Self).Order();

    /// <summary>Judges a dialler's first bytes.</summary>
    public HandshakeStatus Judge(in Hello hello)
    {
        if (hello.LowestVersion > Hello.Version || hello.HighestVersion < Hello.Version) return HandshakeStatus.VersionMismatch;
        if (hello.ClusterId != clusterId) return HandshakeStatus.WrongCluster;
        if (hello.To != Self) return HandshakeStatus.WrongNode;
        if (hello.From == Self || !members.ContainsKey(hello.From)) return HandshakeStatus.UnknownPeer;
        return Admit(hello.From, hello.Incarnation) ? HandshakeStatus.Accepted : HandshakeStatus.StaleIncarnation;
    }

    public HelloReply Answer(HandshakeStatus status) => new(status, Hello.Version, clusterId, Self, incarnation);

    /// <summary>True if no later life of the peer has been seen.</summary>
    public bool IsCurrent(NodeId peer, ulong life)
    {
        lock (_seen) return life >= _seen.GetValueOrDefault(peer);
    }

    /// <summary>Connects to a peer and shakes hands.</summary>
    /// <exception cref="IOException">Not reached, or refused; the message says why.</exception>
    public async Task<(FrameStream Stream, HelloReply Reply)> DialAsync(NodeId peer, Lane lane, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(HandshakeTimeout);
        var endpoint = members[peer];
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        FrameStream? stream = null;
        try
        {
            await socket.ConnectAsync(endpoint, limit.Token);
            stream = new FrameStream(socket);
            var buffer = new byte[Hello.Bytes];
            new Hello(Hello.Version, Hello.Version, lane, clusterId, Self, peer, incarnation).Encode(buffer);
            await stream.Raw.WriteAsync(buffer, limit.Token);
            await stream.Raw.ReadExactlyAsync(buffer, limit.Token);
            var reply = HelloReply.Decode(buffer) ?? throw new ProtocolException("the answer to the handshake is damaged");
            if (reply.Status != HandshakeStatus.Accepted) throw new HandshakeRefusedException(reply.Status);
            if (reply.ClusterId != clusterId) throw new HandshakeRefusedException(HandshakeStatus.WrongCluster);
            if (reply.Node != peer) throw new HandshakeRefusedException(HandshakeStatus.WrongNode);
            if (!Admit(peer, reply.Incarnation)) throw new HandshakeRefusedException(HandshakeStatus.StaleIncarnation);
            return (stream, reply);
        }
        catch (Exception error)
        {
            stream?.Dispose();
            socket.Dispose();
            if (error is SocketException) throw new IOException($"node {peer} at {endpoint}: {error.Message}", error);
            if (error is OperationCanceledException && !cancellationToken.IsCancellationRequested)
                throw new IOException($"node {peer} at {endpoint} did not answer within {HandshakeTimeout.TotalSeconds:0} s", error);
            throw;
        }
    }

    private bool Admit(NodeId peer, ulong life)
    {
        lock (_seen)
        {
            if (life < _seen.GetValueOrDefault(peer)) return false;
            _seen[peer] = life;
            return true;
        }
    }
}

/// <summary>The peer, or we, refused the handshake.</summary>
internal sealed class HandshakeRefusedException(HandshakeStatus status) : IOException($"handshake refused: {status}")
{
    public HandshakeStatus Status { get; } = status;
}
