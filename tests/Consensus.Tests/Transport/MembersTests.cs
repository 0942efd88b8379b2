using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>Who is dialled and who is let in as the membership changes.</summary>
public sealed class MembersTests
{
    [Fact] // A voter must answer candidates that its own configuration does not name yet.
    public async Task UnknownPeer_OfTheSameCluster_IsHeardAndAnswered()
    {
        var cluster = Guid.NewGuid();
        await using var voter = new Station(1, cluster);
        await using var candidate = new Station(2, cluster);
        candidate.Knows(voter);
        candidate.Transport.Send(candidate.Heartbeat(voter, 5));
        Assert.Equal(5ul, (await voter.ReceiveAsync()).Round);
        voter.Transport.Send(voter.Heartbeat(candidate, 6));
        Assert.Equal(6ul, (await candidate.ReceiveAsync()).Round);
    }

    [Fact]
    public async Task UnknownPeer_Gone_IsNotDialledAnyMore()
    {
        var cluster = Guid.NewGuid();
        await using var voter = new Station(1, cluster);
        await using (var candidate = new Station(2, cluster))
        {
            candidate.Knows(voter);
            candidate.Transport.Send(candidate.Heartbeat(voter));
            await voter.ReceiveAsync();
            Assert.NotNull(voter.Directory.AddressOf(candidate.Id));
        }

        await Eventually.IsTrueAsync(() => voter.Directory.AddressOf(new NodeId(2)) is null, "the unknown peer is forgotten");
    }

    [Fact]
    public async Task UnknownPeers_TooMany_TheFirstGoesAndMembersStay()
    {
        var cluster = Guid.NewGuid();
        await using var voter = new Station(1, cluster, new TransportLimits { MaxUnknownPeers = 4 });
        await using var member = new Station(2, cluster);
        voter.Knows(member);
        member.Knows(voter);
        member.Transport.Send(member.Heartbeat(voter));
        await voter.ReceiveAsync();
        using var first = await RawPeer.JoinAsync(voter.Endpoint, RawPeer.HelloOf(cluster, new NodeId(10), voter.Id, Lane.Raft));
        var others = new List<RawPeer>();
        for (ushort id = 11; id < 15; id++) others.Add(await RawPeer.JoinAsync(voter.Endpoint, RawPeer.HelloOf(cluster, new NodeId(id), voter.Id, Lane.Raft)));
        await first.EndAsync();
        member.Transport.Send(member.Heartbeat(voter, 9));
        Assert.Equal(9ul, (await voter.ReceiveAsync()).Round);
        others.ForEach(other => other.Dispose());
    }

    [Fact]
    public async Task Member_Added_IsDialledAndItsAddressFollowsTheConfiguration()
    {
        var cluster = Guid.NewGuid();
        await using var one = new Station(1, cluster);
        await using var old = new Station(2, cluster);
        await using var moved = new Station(2, cluster, incarnation: 2);
        one.Knows(old);
        one.Transport.Send(one.Heartbeat(old, 1));
        Assert.Equal(1ul, (await old.ReceiveAsync()).Round);
        one.Knows(moved);
        await Eventually.IsTrueAsync(
            () =>
            {
                one.Transport.Send(one.Heartbeat(moved, 2));
                return moved.HasReceived;
            },
            "the moved member is dialled");
    }

    [Fact]
    public async Task Member_Removed_GetsWhatWasQueuedAndIsTold()
    {
        var cluster = Guid.NewGuid();
        await using var one = new Station(1, cluster);
        await using var two = new Station(2, cluster);
        var told = new TaskCompletionSource<(NodeId By, string Text)>(TaskCreationOptions.RunContinuationsAsynchronously);
        two.Transport.Removed += (by, text) => told.TrySetResult((by, text));
        one.Knows(two);
        two.Knows(one);
        one.Transport.Send(one.Heartbeat(two));
        two.Transport.Send(two.Heartbeat(one));
        await two.ReceiveAsync();
        await one.ReceiveAsync();
        for (ulong i = 1; i <= 1000; i++) one.Transport.Send(one.Heartbeat(two, i));
        one.Knows(id => id == two.Id);
        for (ulong i = 1; i <= 1000; i++) Assert.Equal(i, (await two.ReceiveAsync()).Round);
        var (by, text) = await told.Task.WaitAsync(LocalCluster.Patience);
        Assert.Equal(one.Id, by);
        Assert.Contains("Removed", text, StringComparison.Ordinal);
        await Assert.ThrowsAsync<NotSentException>(
            async () => await one.Transport.CallAsync(two.Id, "x", ReadOnlyMemory<byte>.Empty, CancellationToken.None));
    }

    [Fact]
    public async Task Features_OfTwoNodes_AreTheirIntersection()
    {
        var cluster = Guid.NewGuid();
        await using var one = new Station(1, cluster, features: 0b0111);
        await using var two = new Station(2, cluster, features: 0b1110, versions: new VersionRange(1, 5));
        one.Knows(two);
        two.Knows(one);
        Assert.Equal(0ul, new PeerDirectory(cluster, one.Id, 1, one.Directory.Members).FeaturesOf(two.Id));
        await Eventually.IsTrueAsync(
            () =>
            {
                // Whoever is dialled before it knows the dialler refuses, and what was sent is gone: Raft repeats what matters.
                one.Transport.Send(one.Heartbeat(two));
                two.Transport.Send(two.Heartbeat(one));
                return one.HasReceived && two.HasReceived;
            },
            "both hear each other");
        Assert.Equal(0b0110ul, one.Transport.FeaturesOf(two.Id));
        Assert.Equal(0b0110ul, two.Transport.FeaturesOf(one.Id));
    }

    [Fact]
    public async Task Versions_WithoutACommonOne_AreRefusedWithBothRanges()
    {
        var cluster = Guid.NewGuid();
        await using var one = new Station(1, cluster);
        await using var two = new Station(2, cluster, versions: new VersionRange(5, 6));
        one.Knows(two);
        var error = await Assert.ThrowsAsync<NotSentException>(
            async () => await one.Transport.CallAsync(two.Id, "x", ReadOnlyMemory<byte>.Empty, CancellationToken.None));
        Assert.Contains("it speaks 5 to 6, this node 2 to 2", error.Message, StringComparison.Ordinal);
    }
}
