using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.Node.Sets;
using RaftMirror.Node.State;
using Xunit;

namespace RaftMirror.Node.Tests;

public sealed class VolumeReportsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact] // A failure is reported once: one that was dropped would have left the node without a dirty log for good.
    public async Task DirtyLogFailed_WhileAnEarlierLogsFailureIsStillUnderWay_IsReportedToo()
    {
        var generations = Channel.CreateUnbounded<ulong>();
        var first = new TaskCompletionSource<ApiResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        var applied = new ApiResult { Outcome = ApiOutcome.Applied };
        var reports = new VolumeReports(
            "demo", new NodeIdentity("a", new NodeId(1), 7), new StateFeed(Samples.View().State),
            async (body, _, cancellationToken) =>
            {
                var generation = Assert.IsType<AbandonSlot>(body).SlotGeneration;
                await generations.Writer.WriteAsync(generation, cancellationToken);
                return generation == 5 ? await first.Task : applied;
            },
            static _ => { }, null!, null!, NullLogger.Instance, CancellationToken.None);

        reports.DirtyLogFailed(new SlotConfiguration(7, ["d0"], 5), new DirtyLogFailure("no space", null, IsFull: true));
        Assert.Equal(5ul, await generations.Reader.ReadAsync().AsTask().WaitAsync(Limit));
        reports.DirtyLogFailed(new SlotConfiguration(7, ["d0"], 6), new DirtyLogFailure("no space", null, IsFull: true));
        Assert.Equal(6ul, await generations.Reader.ReadAsync().AsTask().WaitAsync(Limit));
        first.SetResult(applied);
    }
}
