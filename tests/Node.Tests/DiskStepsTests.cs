using System.Collections.Concurrent;
using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>A request to add a disk is repeated when its answer is late, at another leader or at the same: no try may spoil what another did.</summary>
public sealed class DiskStepsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly ConcurrentQueue<DiskStep> _done = new();
    private readonly StateFeed _feed = new(ClusterState.Empty);
    private ulong _term = 3;

    [Theory] // A leader that does not know yet that it was added: the undo zeroed the label of a disk in use.
    [InlineData(nameof(DiskStep.Stamp))]
    [InlineData(nameof(DiskStep.Label))]
    [InlineData(nameof(DiskStep.Restore))]
    public async Task StepThatWrites_DiskIsCommittedMeanwhile_IsRefusedAndTheDiskIsLeftAsItIs(string step)
    {
        var added = Samples.View().State;
        var disk = added.Sets["demo"].Disks["d0"].Id;
        var steps = Steps(_ => Publish(added)); // This node applies it only when it asks.

        var reply = await steps.RunAsync(Request(Enum.Parse<DiskStep>(step), disk, term: 3), CancellationToken.None);

        Assert.False(reply.IsOk);
        Assert.Contains("has been added", reply.Message, StringComparison.Ordinal);
        Assert.Empty(_done);
    }

    [Fact]
    public async Task StepThatWrites_NoLeaderTellsTheState_IsRefused()
    {
        var steps = Steps(_ => throw new NoLeaderException("test"));
        var reply = await steps.RunAsync(Request(DiskStep.Restore, Guid.NewGuid(), term: 3), CancellationToken.None);
        Assert.False(reply.IsOk);
        Assert.Contains("without a leader", reply.Message, StringComparison.Ordinal);
        Assert.Empty(_done);
        Assert.True((await steps.RunAsync(Request(DiskStep.Probe, Guid.NewGuid(), term: 3), CancellationToken.None)).IsOk); // A look needs no leave.
    }

    [Fact]
    public async Task StepOfALeaderThatWasFollowedByAnother_IsRefused()
    {
        var (disk, steps) = (Guid.NewGuid(), Steps(_ => Task.CompletedTask));
        Assert.True((await steps.RunAsync(Request(DiskStep.Probe, disk, term: 4), CancellationToken.None)).IsOk); // Before this node knows it itself.
        Assert.False((await steps.RunAsync(Request(DiskStep.Label, disk, term: 3), CancellationToken.None)).IsOk);
        _term = 5;
        Assert.False((await steps.RunAsync(Request(DiskStep.Restore, disk, term: 4), CancellationToken.None)).IsOk);
        Assert.Equal([DiskStep.Probe], _done);
    }

    [Fact] // What hangs in the kernel lands some time: the newer try looks only then.
    public async Task StepHangs_NextOneOfThatDiskWaitsForIt_AnotherDisksDoesNot()
    {
        var (disk, hold) = (Guid.NewGuid(), new TaskCompletionSource());
        var begun = new TaskCompletionSource();
        var steps = new DiskSteps(_ => Task.CompletedTask, _feed, () => _term, request =>
        {
            if (request.Step == DiskStep.Stamp)
            {
                begun.SetResult();
                Assert.True(hold.Task.Wait(Limit));
            }

            return Note(request);
        });
        using var caller = new CancellationTokenSource();
        var stuck = steps.RunAsync(Request(DiskStep.Stamp, disk, term: 3), caller.Token).AsTask();
        await begun.Task.WaitAsync(Limit);
        await caller.CancelAsync(); // The leader gave it up.
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stuck);
        var next = steps.RunAsync(Request(DiskStep.Probe, disk, term: 4), CancellationToken.None).AsTask();
        Assert.True((await steps.RunAsync(Request(DiskStep.ReadStamp, Guid.NewGuid(), term: 4), CancellationToken.None)).IsOk);
        Assert.False(next.IsCompleted);
        hold.SetResult();
        Assert.True((await next.WaitAsync(Limit)).IsOk);
        Assert.Equal([DiskStep.ReadStamp, DiskStep.Stamp, DiskStep.Probe], _done);
    }

    private DiskSteps Steps(Func<CancellationToken, Task> barrier) => new(barrier, _feed, () => _term, Note);

    private Task Publish(ClusterState state)
    {
        _feed.Publish(state);
        return Task.CompletedTask;
    }

    private DiskReply Note(DiskRequest request)
    {
        _done.Enqueue(request.Step);
        return new DiskReply(true, "", 0, 512);
    }

    private static DiskRequest Request(DiskStep step, Guid disk, ulong term) =>
        new("demo", Guid.NewGuid(), Guid.NewGuid(), disk, "/dev/x", true, 64 << 20, 16, 1, step) { Term = term };
}
