using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>Recorded bytes are not a live peer.</summary>
public sealed class ReplayTests
{
    [Fact]
    public async Task Dialler_Recorded_IsNeitherHeardNorRemembered()
    {
        var cluster = Guid.NewGuid();
        await using var listener = new Station(1, cluster);
        var hello = RawPeer.HelloOf(cluster, new NodeId(2), listener.Id, Lane.Raft, incarnation: 50);
        var message = new Message { Kind = MessageKind.Heartbeat, From = new NodeId(2), To = listener.Id, Term = 1, Round = 1 };
        byte[] recording;
        using (var live = await RawPeer.JoinAsync(listener.Endpoint, hello))
        {
            await live.SendAsync(Requests.Encode(message));
            Assert.Equal(1ul, (await listener.ReceiveAsync()).Round);
            recording = [.. live.Sent];
        }

        await using var other = new Station(1, cluster); // As if restarted: it has not seen any life of node 2.
        using var replay = await RawPeer.ConnectAsync(other.Endpoint);
        await replay.SendAsync(recording);
        await replay.EndAsync();
        Assert.True(other.Directory.IsCurrent(new NodeId(2), 1)); // Life 50 has not been believed.
        using var real = await RawPeer.JoinAsync(other.Endpoint, hello with { Incarnation = 3 });
        await real.SendAsync(Requests.Encode(message with { Round = 2 }));
        Assert.Equal(2ul, (await other.ReceiveAsync()).Round);
    }

    [Fact]
    public async Task Listener_Recorded_IsNotTakenForALiveNode()
    {
        var cluster = Guid.NewGuid();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        socket.Listen(8);
        var recorded = new byte[Hello.Bytes];
        new HelloReply(HandshakeStatus.Accepted, VersionRange.Own, cluster, new NodeId(2), 50, 0, 12345, 1).Encode(recorded);
        await using var dialler = new Station(1, cluster);
        dialler.Transport.UpdateMembers(
            new Dictionary<NodeId, string> { [new NodeId(2)] = socket.LocalEndPoint!.ToString()! }, static _ => false);
        var call = dialler.Transport.CallAsync(new NodeId(2), "x", ReadOnlyMemory<byte>.Empty, CancellationToken.None).AsTask();
        while (!call.IsCompleted)
        {
            var accepting = socket.AcceptAsync();
            if (await Task.WhenAny(accepting, call).WaitAsync(LocalCluster.Patience) == call) break;
            using var accepted = await accepting;
            await accepted.SendAsync(recorded);
        }

        var error = await Assert.ThrowsAsync<NotSentException>(() => call);
        Assert.Contains("belongs to another", error.Message, StringComparison.Ordinal);
        Assert.True(dialler.Directory.IsCurrent(new NodeId(2), 1));
    }
}
