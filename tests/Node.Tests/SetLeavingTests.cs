using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.Sets;
using RaftMirror.Node.State;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>A node that leaves a set asserts that nothing of it can land on the set's disks any more (design §14.20).</summary>
public sealed class SetLeavingTests
{
    [Fact] // Labels are not the data plane's: its drain knows nothing of a write that nobody waits for any more.
    public async Task LabelWriteIsInTheKernel_NodeStaysAndSaysWhy_LeavesOnceItHasComeBack()
    {
        var self = new NodeIdentity("leaver", new NodeId(1), 7);
        var state = Samples.View().State;
        var set = state.Sets["demo"];
        var feed = new StateFeed(state);
        await using var agents = new SetAgents(self, feed, (_, _) => throw new InvalidOperationException(), new MirrorOptions(), _ => { }, NullLogger.Instance);
        var submitted = 0;
        var leaving = new SetLeaving(
            self,
            agents,
            (_, _) => Task.FromResult<System.Collections.Immutable.ImmutableArray<string>>([]),
            (name, limit, token) => LateWrites.WaitAsync(self.Name, feed.Current.Set(name), limit, token),
            (_, _, _, _) =>
            {
                submitted++;
                return ValueTask.FromResult(new ApiResult { Outcome = ApiOutcome.Applied });
            },
            _ => { });
        var disk = set.Disks["d1"].Id;
        LateWrites.Begin(self.Name, disk);

        var refused = await leaving.LeaveAsync(Request(), CancellationToken.None);

        Assert.Equal((ApiOutcome.Rejected, "notDrained", 0), (refused.Outcome, refused.Code, submitted));
        Assert.Contains("a write of a label to disk 'd", refused.Message, StringComparison.Ordinal);
        var waiting = leaving.LeaveAsync(Request(60_000), CancellationToken.None);
        LateWrites.End(self.Name, disk);
        Assert.Equal((ApiOutcome.Applied, 1), ((await waiting).Outcome, submitted)); // One that is merely under way is waited for.
    }

    private static LeaveSetRequest Request(int timeoutMs = 200) => new("demo", new ClientRequest(Guid.NewGuid(), "leave"), timeoutMs);
}
