using RaftMirror.Conformance;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.Conformance;

/// <summary>The suite of the seam on our engine, as it is delivered.</summary>
public sealed class EngineConformanceTests : ReplicatedLogConformance
{
    protected override async Task<ILogCluster> StartAsync(int size, TimeSpan? requestLimit = null) => await EngineCluster.StartAsync(
        size, options => options with { RequestTimeout = requestLimit ?? options.RequestTimeout });
}

/// <summary>The same with a snapshot every 16 entries, a comparison of states every 4, and barriers from a leader's lease: clients must notice
/// nothing.</summary>
public sealed class EngineSnapshotAndLeaseConformanceTests : ReplicatedLogConformance
{
    protected override async Task<ILogCluster> StartAsync(int size, TimeSpan? requestLimit = null) => await EngineCluster.StartAsync(
        size, options => options with
        {
            RequestTimeout = requestLimit ?? options.RequestTimeout,
            SnapshotEntries = 16,
            CheckpointEntries = 4,
            LeaseReads = true,
        });

    [Fact]
    public async Task Suite_HereReallyRestoresFromSnapshots()
    {
        await using var cluster = (EngineCluster)await StartAsync(3);
        var one = cluster.LogOf(new NodeId(1));
        for (var i = 0; i < 20; i++) await one.ProposeAsync("x"u8.ToArray(), null, CancellationToken.None);
        await cluster.StopAsync(new NodeId(3));
        for (var i = 0; i < 80; i++) await one.ProposeAsync("y"u8.ToArray(), null, CancellationToken.None);
        await cluster.StartAsync(new NodeId(3));
        await cluster.LogOf(new NodeId(3)).ReadBarrierAsync(CancellationToken.None);
        Assert.True(cluster.Snapshots is { Restores: > 0, Newest: > 60 }, $"{cluster.Snapshots}");
    }
}
