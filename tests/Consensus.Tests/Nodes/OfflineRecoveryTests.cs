using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Offline;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>Disaster recovery from a directory that a node does not start from any more.</summary>
public sealed class OfflineRecoveryTests
{
    private static readonly NodeId One = new(1);

    [Fact]
    public async Task Recover_LogDamagedBeforeTheNewestSnapshot_GoesOnFromTheSnapshot()
    {
        await using var cluster = new LocalCluster(1) { Configure = options => options with { SnapshotEntries = 16, CheckpointEntries = 8 } };
        await cluster.StartAsync(One);
        var leader = await cluster.LeaderAsync();
        for (var i = 0; i < 100; i++) await LocalCluster.CommitAsync(leader, $"c{i}");
        await cluster.StopAsync(One);

        var directory = cluster.DirectoryOf(One);
        var sound = OfflineNode.Inspect(directory, withFrames: true);
        var newest = sound.Snapshots.Max(snapshot => snapshot.Index);
        var hit = sound.Frames!.First(frame => frame.FirstIndex == 30);
        Assert.InRange(newest, 64ul, 200ul);
        var segment = Path.Combine(directory, "raft", hit.Segment);
        using (var file = File.OpenHandle(segment, FileMode.Open, FileAccess.ReadWrite))
        {
            var bytes = new byte[1];
            RandomAccess.Read(file, bytes, hit.Offset + 70);
            bytes[0] ^= 1;
            RandomAccess.Write(file, bytes, hit.Offset + 70);
        }

        Assert.Equal(OfflineVerdict.Damaged, OfflineNode.Inspect(directory).Verdict);
        await Assert.ThrowsAsync<InvalidOperationException>(() => cluster.StartAsync(One));
        var inside = Path.Combine(directory, "new");
        Assert.Contains("only read", Assert.Throws<ArgumentException>(() => OfflineNode.Recover(directory, inside, "test", DateTimeOffset.UnixEpoch)).Message);

        var former = DirectoryIdentity.Read(Path.Combine(directory, DirectoryIdentity.FileName));
        var target = directory + "-recovered";
        var result = OfflineNode.Recover(directory, target, "test", DateTimeOffset.UnixEpoch);
        Assert.Equal(newest, result.KeptLastIndex);
        var machine = new RecordingMachine();
        await using var node = await RaftNode.StartAsync(
            cluster.Options(One) with { DataDirectory = target }, machine, null, CancellationToken.None);
        // What the state says of its earlier lives must not look like a copy's: each start is found at its own incarnation.
        Assert.True(former.Incarnation > 1, "it was started more than once");
        for (var back = 0; back < former.Starts!.Length; back++)
            Assert.Equal(former.Starts[back], node.StartIdOf(former.Incarnation - (ulong)back));
        using var patience = new CancellationTokenSource(LocalCluster.Patience);
        await node.ReadBarrierAsync(patience.Token);
        Assert.Equal((ulong)machine.Applied.Count, newest - 1); // The first entry is the leader's no-op.
        Assert.Equal("c0", machine.Applied.First().Command);
        await LocalCluster.CommitAsync(node, "after");
    }
}
