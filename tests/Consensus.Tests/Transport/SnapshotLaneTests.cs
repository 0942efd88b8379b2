using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

public sealed class SnapshotLaneTests
{
    [Fact]
    public async Task Snapshots_OverTheirRate_DelayNoOtherRequestAndNoMessage()
    {
        var cluster = Guid.NewGuid();
        await using var one = new Station(1, cluster);
        await using var two = new Station(2, cluster, new TransportLimits { SnapshotBytesPerSecond = 1024 });
        one.Knows(two);
        two.Knows(one);
        two.Transport.Handle("raft.snapshot.read", (_, _, _) => new(new byte[1024 * 1024]));
        two.Transport.Handle("echo", (_, request, _) => new(request));
        using var giveUp = new CancellationTokenSource();
        Task Chunk() => one.Transport.CallAsync(two.Id, "raft.snapshot.read", new byte[1], giveUp.Token).AsTask();
        await Chunk().WaitAsync(LocalCluster.Patience); // The first megabyte is free, the second costs a quarter of an hour.
        var second = Chunk();
        for (ulong i = 1; i <= 20; i++)
        {
            var answer = await one.Transport.CallAsync(two.Id, "echo", new byte[] { 7 }, CancellationToken.None).AsTask().WaitAsync(LocalCluster.Patience);
            Assert.Equal(7, answer.Span[0]);
            one.Transport.Send(one.Heartbeat(two, i));
            Assert.Equal(i, (await two.ReceiveAsync()).Round);
        }

        Assert.False(second.IsCompleted);
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
    }

    [Theory]
    [InlineData("raft.snapshot.read", (byte)Lane.Rpc)]
    [InlineData("echo", (byte)Lane.Snapshot)]
    public async Task Request_OnTheWrongLane_IsRefused(string method, byte lane)
    {
        var cluster = Guid.NewGuid();
        await using var one = new Station(1, cluster);
        one.Transport.Handle(method, (_, request, _) => new(request));
        using var peer = await RawPeer.JoinAsync(one.Endpoint, RawPeer.HelloOf(cluster, new NodeId(2), one.Id, (Lane)lane));
        await peer.SendAsync(Requests.Encode(method, 1, new byte[3]));
        var answer = await peer.ReadAsync(FrameBuffer.HeaderBytes + 9);
        Assert.Equal(2, answer[^1]);
    }

    [Fact]
    public void Rate_Reserved_GivesEachItsTimeInOrder()
    {
        var rate = new SendRate(1000, TimeProvider.System);
        var second = TimeProvider.System.TimestampFrequency;
        Assert.Equal(TimeSpan.Zero, rate.Reserve(500, 10 * second));
        Assert.Equal(TimeSpan.FromSeconds(0.5), rate.Reserve(2000, 10 * second));
        Assert.Equal(TimeSpan.FromSeconds(2.5), rate.Reserve(1, 10 * second));
        Assert.Equal(TimeSpan.Zero, rate.Reserve(1, 20 * second)); // What was not used is not saved up.
    }
}
