using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>Whatever one peer does, a real cluster goes on committing meanwhile.</summary>
public sealed class HostilePeerTests
{
    private static readonly NodeId Stranger = new(9);

    private static readonly TransportLimits Impatient = new()
    {
        HandshakeTimeout = TimeSpan.FromMilliseconds(700),
        StallTimeout = TimeSpan.FromSeconds(1),
        MaxHandshaking = 32,
        MaxQueuedBytes = 4 * 1024 * 1024,
    };

    [Theory]
    [InlineData("nothing")]
    [InlineData("half a hello")]
    [InlineData("garbage")]
    [InlineData("oversize frame")]
    [InlineData("negative frame")]
    [InlineData("wrong checksum")]
    [InlineData("unknown kind")]
    [InlineData("request among messages")]
    [InlineData("unfinished frame")]
    [InlineData("entries of a later term")]
    [InlineData("unknown message")]
    [InlineData("no challenge")]
    public async Task Connection_ThatBreaksTheProtocol_EndsAndTheClusterCommits(string attack)
    {
        await using var cluster = await LocalCluster.StartAsync(3, options => options with { TransportLimits = Impatient });
        var leader = await cluster.LeaderAsync();
        using var peer = attack is "nothing" or "half a hello" or "garbage" or "no challenge"
            ? await RawPeer.ConnectAsync(EndpointOf(leader))
            : await RawPeer.JoinAsync(EndpointOf(leader), HelloTo(leader, Lane.Raft));
        await peer.SendAsync(BytesOf(attack, leader));
        var ended = peer.EndAsync();
        for (var i = 0; i < 20 || !ended.IsCompleted; i++) await LocalCluster.CommitAsync(leader, $"c{i}");
        await ended;
    }

    [Fact]
    public async Task Frame_CutByTheEndOfTheConnection_IsNotBelieved()
    {
        var id = Guid.NewGuid();
        await using var station = new Station(1, id);
        var frame = Requests.Encode(new Message { Kind = MessageKind.Heartbeat, From = Stranger, To = station.Id, Term = 1, Round = 1 });
        for (var length = 1; length < frame.Length; length += 5)
        {
            using var cut = await RawPeer.JoinAsync(station.Endpoint, RawPeer.HelloOf(id, Stranger, station.Id, Lane.Raft));
            await cut.SendAsync(frame[..length]);
            cut.Socket.Shutdown(SocketShutdown.Send);
            await cut.EndAsync();
        }

        Assert.False(station.HasReceived);
    }

    [Fact]
    public async Task Bytes_OneByOne_AreNoExcuse()
    {
        await using var cluster = await LocalCluster.StartAsync(3, options => options with { TransportLimits = Impatient });
        var leader = await cluster.LeaderAsync();
        using var hello = await RawPeer.ConnectAsync(EndpointOf(leader));
        using var frame = await RawPeer.JoinAsync(EndpointOf(leader), HelloTo(leader, Lane.Rpc));
        var header = new byte[FrameBuffer.HeaderBytes];
        BinaryPrimitives.WriteInt32LittleEndian(header, 8 * 1024 * 1024);
        header[4] = (byte)FrameKind.Request;
        await frame.SendAsync(header);
        var slowHello = DripAsync(hello, HelloTo(leader, Lane.Raft).Encode());
        var slowFrame = DripAsync(frame, new byte[100_000]);
        for (var i = 0; i < 20 || !slowHello.IsCompleted || !slowFrame.IsCompleted; i++) await LocalCluster.CommitAsync(leader, $"c{i}");
        await slowHello;
        await slowFrame;
    }

    [Fact]
    public async Task Connections_ByTheThousand_StarveNobody()
    {
        await using var cluster = await LocalCluster.StartAsync(3, options => options with { TransportLimits = Impatient });
        var leader = await cluster.LeaderAsync();
        var opened = new List<RawPeer>();
        try
        {
            for (var i = 0; i < 1500; i++)
            {
                opened.Add(await RawPeer.ConnectAsync(EndpointOf(leader)));
                if (i % 50 == 0) await LocalCluster.CommitAsync(leader, $"c{i}");
            }

            // A member that comes back gets in between them.
            var id = cluster.Follower(leader).Status.Self;
            await cluster.StopAsync(id);
            await cluster.StartAsync(id);
            await cluster.Nodes[id].ReadBarrierAsync(CancellationToken.None).AsTask().WaitAsync(LocalCluster.Patience);
            await opened[0].EndAsync();
        }
        finally
        {
            opened.ForEach(peer => peer.Dispose());
        }
    }

    [Fact]
    public async Task Flood_OfValidMessages_LeavesTheOthersTheirShare()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        using var peer = await RawPeer.JoinAsync(EndpointOf(leader), HelloTo(leader, Lane.Raft));
        var message = Requests.Encode(new Message { Kind = MessageKind.HeartbeatReply, From = Stranger, To = leader.Status.Self, Term = 1 });
        var many = new byte[message.Length * 1000];
        for (var i = 0; i < 1000; i++) message.CopyTo(many, i * message.Length);
        using var stop = new CancellationTokenSource();
        var flood = Task.Run(async () =>
        {
            for (var sent = 0; !stop.IsCancellationRequested; sent++) await peer.SendAsync(sent == 0 ? many : (byte[])many.Clone());
        });
        for (var i = 0; i < 200; i++) await LocalCluster.CommitAsync(leader, $"c{i}");
        Assert.False(flood.IsFaulted);
        await stop.CancelAsync();
        await flood;
    }

    [Fact]
    public async Task Inbox_FullOfOnePeer_TakesFromOthers()
    {
        var id = Guid.NewGuid();
        await using var station = new Station(1, id, new TransportLimits { MaxPeerMessages = 10, MaxUnknownPeerMessages = 3 }, isHolding: true);
        await using var member = new Station(2, id);
        station.Knows(member);
        member.Knows(station);
        using var stranger = await RawPeer.JoinAsync(station.Endpoint, RawPeer.HelloOf(id, Stranger, station.Id, Lane.Raft));
        var message = Requests.Encode(new Message { Kind = MessageKind.Heartbeat, From = Stranger, To = station.Id, Term = 1, Round = 99 });
        for (var i = 0; i < 100; i++) await stranger.SendAsync(message);
        for (var i = 0; i < 3; i++) Assert.Equal(99ul, (await station.ReceiveAsync()).Round);
        for (ulong i = 1; i <= 40; i++) member.Transport.Send(member.Heartbeat(station, i));
        for (ulong i = 1; i <= 10; i++) Assert.Equal(i, (await station.ReceiveAsync()).Round);
        Assert.Equal(13, station.Held); // And no more: neither reads on before its shares come back.
        station.ReturnAll();
        var rounds = new List<ulong>();
        while (rounds.Count < 97 + 30) rounds.Add((await station.ReceiveAsync()).Round);
        Assert.Equal(97, rounds.Count(round => round == 99));
    }

    [Fact]
    public async Task Answers_NeverRead_EndTheConnectionAndPileUpNoFurther()
    {
        await using var cluster = await LocalCluster.StartAsync(3, options => options with { TransportLimits = Impatient });
        var leader = await cluster.LeaderAsync();
        var answered = 0;
        leader.Handle("large", (_, _, _) =>
        {
            Interlocked.Increment(ref answered);
            return new(new byte[1024 * 1024]);
        });
        using var peer = await RawPeer.JoinAsync(EndpointOf(leader), HelloTo(leader, Lane.Rpc));
        var requests = Task.Run(async () =>
        {
            try
            {
                for (ulong i = 1; ; i++) await peer.SendAsync(Requests.Encode("large", i, new byte[1000]));
            }
            catch (SocketException)
            {
                // The other side has had enough.
            }
        });
        for (var i = 0; i < 20 || !requests.IsCompleted; i++) await LocalCluster.CommitAsync(leader, $"c{i}");
        await requests;

        // What waits to be sent, what runs, and what the kernel took: never all of it.
        Assert.InRange(answered, 1, Impatient.MaxRequests + 64);
    }

    [Fact]
    public async Task Connections_OfOneIdentity_TheLatestCountsAndTheClusterCommits()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var hello = HelloTo(leader, Lane.Raft);
        var first = await RawPeer.JoinAsync(EndpointOf(leader), hello with { Incarnation = 5 });
        var same = await RawPeer.JoinAsync(EndpointOf(leader), hello with { Incarnation = 5 });
        await first.EndAsync();
        var rpc = await RawPeer.JoinAsync(EndpointOf(leader), hello with { Incarnation = 5, Lane = Lane.Rpc });
        using (var older = await RawPeer.ConnectAsync(EndpointOf(leader)))
        {
            await older.SendAsync((hello with { Incarnation = 4 }).Encode());
            Assert.Equal(HandshakeStatus.StaleIncarnation, (await older.ReplyAsync()).Status);
        }

        var newer = await RawPeer.JoinAsync(EndpointOf(leader), hello with { Incarnation = 6 });
        await same.EndAsync();
        await rpc.EndAsync(); // Other lanes of the earlier life too.
        for (var i = 0; i < 20; i++) await LocalCluster.CommitAsync(leader, $"c{i}");
        foreach (var peer in new[] { first, same, rpc, newer }) peer.Dispose();
    }

    [Fact]
    public async Task Member_WhoseIdentityIsUsedByAnother_LosesItsLinkAndNobodyElseDoes()
    {
        await using var cluster = await LocalCluster.StartAsync(3);
        var leader = await cluster.LeaderAsync();
        var victim = cluster.Follower(leader).Status.Self;
        for (var i = 0; i < 40; i++)
        {
            using var thief = await RawPeer.JoinAsync(
                EndpointOf(leader), RawPeer.HelloOf(leader.ClusterId, victim, leader.Status.Self, Lane.Raft, incarnation: 1));
            await LocalCluster.CommitAsync(leader, $"c{i}");
        }
    }

    [Fact]
    public async Task Peer_ThatStopsReading_DelaysNoOtherPeer()
    {
        var id = Guid.NewGuid();
        await using var sender = new Station(1, id, new TransportLimits { StallTimeout = TimeSpan.FromSeconds(1), MaxQueuedBytes = 4 * 1024 * 1024 });
        await using var good = new Station(2, id);
        using var stuck = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        stuck.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        stuck.Listen(8);
        sender.Transport.UpdateMembers(
            new Dictionary<NodeId, string> { [good.Id] = good.Endpoint.ToString(), [Stranger] = stuck.LocalEndPoint!.ToString()! }, static _ => false);
        using var accepted = await stuck.AcceptAsync().WaitAsync(LocalCluster.Patience);
        var hello = new byte[Hello.Bytes];
        Assert.Equal(Hello.Bytes, await accepted.ReceiveAsync(hello));
        var decoded = Hello.Decode(hello, out _)!.Value;
        var reply = new byte[Hello.Bytes];
        new HelloReply(HandshakeStatus.Accepted, VersionRange.Own, id, Stranger, 1, 0, decoded.Nonce, 1).Encode(reply);
        await accepted.SendAsync(reply);
        var entry = new LogEntry(new EntryId(1, 1), EntryType.Command, default, new byte[512 * 1024]);
        var large = new Message { Kind = MessageKind.Append, From = sender.Id, To = Stranger, Term = 1, Entries = new[] { entry } };
        var redialled = stuck.AcceptAsync();
        for (ulong i = 1; i <= 50 || !redialled.IsCompleted; i++)
        {
            sender.Transport.Send([large, sender.Heartbeat(good, i)]);
            Assert.Equal(i, (await good.ReceiveAsync()).Round);
        }

        (await redialled).Dispose(); // The stuck connection was given up.
    }

    [Fact]
    public async Task Heartbeat_BehindManyAppends_OvertakesThem()
    {
        var stream = new GatedStream();
        using var writer = new FrameWriter(stream, isInline: false, TransportLimits.Default, error => Assert.Fail(error.Message));
        var entry = new LogEntry(new EntryId(1, 1), EntryType.Command, default, new byte[300 * 1024]);
        var append = new Message { Kind = MessageKind.Append, From = new(1), To = new(2), Term = 1, Entries = new[] { entry } };
        for (var i = 0; i < 50; i++) Assert.True(writer.TryAdd(append));
        writer.Flush();
        await stream.Written.WaitAsync().WaitAsync(LocalCluster.Patience);
        Assert.True(writer.TryAdd(append with { Kind = MessageKind.Heartbeat, Entries = default }));
        stream.Allowed.Release(1000);
        await writer.DrainedAsync(CancellationToken.None).WaitAsync(LocalCluster.Patience);
        var bytes = stream.Bytes.ToArray();
        var position = 0;
        var appendsBefore = 0;
        while (bytes[position + FrameBuffer.HeaderBytes] == (byte)MessageKind.Append)
        {
            appendsBefore++;
            position += FrameBuffer.HeaderBytes + BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(position));
        }

        Assert.Equal((byte)MessageKind.Heartbeat, bytes[position + FrameBuffer.HeaderBytes]);
        Assert.InRange(appendsBefore, 1, 2);
    }

    private static byte[] BytesOf(string attack, RaftNode leader)
    {
        var to = leader.Status.Self;
        var sound = Requests.Encode(new Message { Kind = MessageKind.Heartbeat, From = Stranger, To = to, Term = 1 });
        var entry = new LogEntry(new EntryId(7, 1), EntryType.Command, default, new byte[10]);
        switch (attack)
        {
            case "nothing":
                return [];
            case "half a hello":
                return HelloTo(leader, Lane.Raft).Encode()[..32];
            case "garbage":
                var garbage = new byte[4096];
                new Random(1).NextBytes(garbage);
                return garbage;
            case "oversize frame":
                BinaryPrimitives.WriteInt32LittleEndian(sound, int.MaxValue);
                return sound;
            case "negative frame":
                BinaryPrimitives.WriteInt32LittleEndian(sound, -1);
                return sound;
            case "wrong checksum":
                sound[^1] ^= 1;
                return sound;
            case "unknown kind":
                return FrameBuffer.Single((FrameKind)99, new byte[100]);
            case "request among messages":
                return Requests.Encode("raft.read", 1, []);
            case "unfinished frame":
                return sound[..^1];
            case "entries of a later term":
                return Requests.Encode(new Message { Kind = MessageKind.Append, From = Stranger, To = to, Term = 6, Entries = new[] { entry } });
            case "unknown message":
                var unknown = new byte[64];
                unknown[0] = 200;
                return FrameBuffer.Single(FrameKind.Raft, unknown);
            case "no challenge":
                return [.. HelloTo(leader, Lane.Raft).Encode(), .. new byte[ChallengeAnswer.Bytes], .. sound];
            default:
                throw new ArgumentException(attack);
        }
    }

    private static async Task DripAsync(RawPeer peer, byte[] bytes)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        var ended = peer.EndAsync();
        try
        {
            for (var i = 0; i < bytes.Length - 1 && !ended.IsCompleted; i++)
            {
                await peer.SendAsync([bytes[i]]);
                await timer.WaitForNextTickAsync();
            }
        }
        catch (SocketException)
        {
            // Ended while it was sending.
        }

        await ended;
    }

    private static bool IsEnded(Socket socket)
    {
        try
        {
            var buffer = new byte[64 * 1024];
            while (socket.Poll(0, SelectMode.SelectRead))
            {
                if (socket.Receive(buffer) == 0) return true;
            }

            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }

    private static Hello HelloTo(RaftNode node, Lane lane) => RawPeer.HelloOf(node.ClusterId, Stranger, node.Status.Self, lane);

    private static IPEndPoint EndpointOf(RaftNode node) =>
        IPEndPoint.Parse(node.Status.Members.First(member => member.Id == node.Status.Self).Address);

    /// <summary>Takes a write only when allowed to.</summary>
    private sealed class GatedStream : MemoryStream
    {
        public SemaphoreSlim Allowed { get; } = new(0);

        public SemaphoreSlim Written { get; } = new(0);

        public MemoryStream Bytes { get; } = new();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Written.Release();
            await Allowed.WaitAsync(cancellationToken);
            await Bytes.WriteAsync(buffer, cancellationToken);
        }
    }
}
