using System.Text.Json;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Commands;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What a leader answers rests on a state that is no older than the request.</summary>
public sealed class CommandServiceTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact] // Its first try was committed at a former leader. It was refused for what it had done itself: "already has a disk 'd0'. Nothing was applied".
    public async Task Submit_RepeatAtALeaderWhoseStateIsBehind_GetsTheFirstResult()
    {
        var request = Request();
        var first = new CommandResult(CommandOutcome.Applied, 40, "ok", default, false, "added", null);
        var done = ClusterState.Empty with
        {
            Requests = RequestTable.Empty.Add(new RequestRecord(request.RequestId, 0, first, RequestDigest.Of(request.Type, request.Body))),
        };
        var feed = new StateFeed(ClusterState.Empty);
        var commands = Service(feed, new LeaderLog(() => feed.Publish(done)));

        var result = await commands.SubmitAsync(request, CancellationToken.None).AsTask().WaitAsync(Limit);

        Assert.Equal((ApiOutcome.Applied, 40ul), (result.Outcome, result.Index));
    }

    [Fact] // It has been followed by another and does not know it.
    public async Task Submit_LeaderThatCannotConfirmThatItLeads_RefusesNothing()
    {
        var commands = Service(new StateFeed(ClusterState.Empty), new LeaderLog(() => throw new NoLeaderException("test")));

        var result = await commands.SubmitAsync(Request() with { TimeoutMs = 200 }, CancellationToken.None).AsTask().WaitAsync(Limit);

        Assert.True(result.Outcome is ApiOutcome.NotApplied or ApiOutcome.Unknown, result.Message); // Asked again until the time was up.
    }

    private static CommandService Service(StateFeed feed, LeaderLog log)
    {
        var directory = new NodeDirectory(new FirstStart("x", null, [new FirstMember("a", 1, "127.0.0.1:1")]), "a");
        var self = new NodeIdentity("a", new NodeId(1), 1);
        var peers = new PeerClient(log, directory);
        return new CommandService(
            self, log, feed, peers, directory, new DiskAdmission(self, peers), new ServiceBar(),
            () => throw new InvalidOperationException("It went on with a state that is behind."));
    }

    private static CommandRequest Request() => new()
    {
        Type = CommandTypes.AddDisk,
        RequestId = Guid.CreateVersion7(),
        By = "test",
        Body = JsonSerializer.SerializeToElement(new { set = "s", disk = "d0", path = "/dev/x" }),
    };

    /// <summary>A leader's log that knows no news until it is asked.</summary>
    private sealed class LeaderLog(Action barrier) : IReplicatedLog, IPeerRpc
    {
        public LogStatus Status { get; } = new(
            new NodeId(1), true, 3, new NodeId(1), new LogPosition(1), new LogPosition(1), new LogPosition(1), []);

        public event Action<LogStatus>? StatusChanged
        {
            add { }
            remove { }
        }

        public ValueTask<LogPosition> ReadBarrierAsync(CancellationToken cancellationToken)
        {
            barrier();
            return ValueTask.FromResult(new LogPosition(40));
        }

        public ValueTask WaitAppliedAsync(LogPosition position, CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public void Handle(string method, Func<NodeId, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>> handler)
        {
        }

        public ValueTask<ReadOnlyMemory<byte>> CallAsync(
            NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<CommitResult> ProposeAsync(ReadOnlyMemory<byte> command, ulong? expectedEpoch, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public ValueTask<string?> TransferLeadershipAsync(NodeId? target, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask<string?> ChangeMembersAsync(MembershipChange change, CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
