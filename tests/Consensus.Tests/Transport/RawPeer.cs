using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>A socket that speaks the peer protocol as well, or as badly, as a test wants.</summary>
internal sealed class RawPeer : IDisposable
{
    private RawPeer(Socket socket) => Socket = socket;

    public Socket Socket { get; }

    /// <summary>All bytes that were sent, for replays.</summary>
    public List<byte> Sent { get; } = [];

    public static async Task<RawPeer> ConnectAsync(EndPoint endpoint)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(endpoint).WaitAsync(LocalCluster.Patience);
        return new RawPeer(socket);
    }

    public static Hello HelloOf(Guid cluster, NodeId from, NodeId to, Lane lane, ulong incarnation = 1) =>
        new(VersionRange.Own, lane, cluster, from, to, incarnation, 0, 77);

    /// <summary>Connects and shakes hands as a peer would.</summary>
    public static async Task<RawPeer> JoinAsync(EndPoint endpoint, Hello hello)
    {
        var peer = await ConnectAsync(endpoint);
        await peer.SendAsync(hello.Encode());
        var reply = await peer.ReplyAsync();
        Assert.Equal(HandshakeStatus.Accepted, reply.Status);
        await peer.ConfirmAsync(reply.Challenge);
        return peer;
    }

    public async Task SendAsync(byte[] bytes)
    {
        Sent.AddRange(bytes);
        for (var sent = 0; sent < bytes.Length;) sent += await Socket.SendAsync(bytes.AsMemory(sent)).AsTask().WaitAsync(LocalCluster.Patience);
    }

    public Task ConfirmAsync(ulong challenge)
    {
        var bytes = new byte[ChallengeAnswer.Bytes];
        ChallengeAnswer.Encode(challenge, bytes);
        return SendAsync(bytes);
    }

    public async Task<HelloReply> ReplyAsync()
    {
        var bytes = await ReadAsync(Hello.Bytes);
        return HelloReply.Decode(bytes)!.Value;
    }

    public async Task<byte[]> ReadAsync(int count)
    {
        var bytes = new byte[count];
        for (var got = 0; got < count;)
        {
            var more = await Socket.ReceiveAsync(bytes.AsMemory(got)).AsTask().WaitAsync(LocalCluster.Patience);
            Assert.NotEqual(0, more);
            got += more;
        }

        return bytes;
    }

    /// <summary>Waits until the other side has ended the connection.</summary>
    public async Task EndAsync()
    {
        var buffer = new byte[4096];
        try
        {
            while (await Socket.ReceiveAsync(buffer).WaitAsync(LocalCluster.Patience) > 0)
            {
            }
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            // Ended with unread bytes.
        }
    }

    public void Dispose() => Socket.Dispose();
}
