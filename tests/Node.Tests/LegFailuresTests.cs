using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.Node.Disks;
using RaftMirror.Node.Peers;
using RaftMirror.Node.Sets;
using RaftMirror.Node.State;
using RaftMirror.Primitives;
using Xunit;
using DiskStatus = RaftMirror.ControlPlane.Model.DiskStatus;

namespace RaftMirror.Node.Tests;

/// <summary>The core repeats the report of a failure until something is committed; the node's log is not a list of repeats.</summary>
public sealed class LegFailuresTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task Judge_ReportIsRepeated_SameVerdictIsSaidOnce()
    {
        // No other member has joined, so nobody is asked.
        var state = Samples.View().State;
        var set = state.Sets["demo"];
        state = state with
        {
            Sets = state.Sets.SetItem("demo", set with { Members = OrdinalMap.Empty<MemberState>().Add("a", set.Members["a"]) }),
        };
        var log = new Lines();
        var failures = new LegFailures(
            "demo", new NodeIdentity("a", new NodeId(1), 7), new StateFeed(state), null!, () => null, NoTrial, (_, _, _) => throw new InvalidOperationException(), log,
            CancellationToken.None);
        for (var repeat = 0; repeat < 5; repeat++)
            Assert.Equal(FailureVerdict.Medium, (await failures.JudgeAsync("d0", new ByteRange(4096L * repeat, 4096), true, "write failed")).Verdict);
        Assert.Equal(FailureVerdict.Medium, (await failures.JudgeAsync("d1", default, true, "write failed")).Verdict);
        Assert.Equal(["d0", "d1"], log.Said.Select(static line => line.Contains("disk d0", StringComparison.Ordinal) ? "d0" : "d1"));
    }

    [Fact] // The call was given up since the disk is lost: that another node still has it open says nothing of this node's way to it.
    public async Task Judge_DiskIsLostAlready_NothingIsSaidAgainstIt()
    {
        var feed = new StateFeed(With(Samples.View().State, DiskStatus.Lost));
        var (failures, told) = Start(feed, NoTrial);
        Assert.Equal(FailureVerdict.Path, (await failures.JudgeAsync("d0", new ByteRange(4096, 4096), true, "Unreachable")).Verdict);
        Assert.Equal(["b", "c"], _asked.Order());
        Assert.Empty(told);
    }

    [Fact] // The data plane closes a lost disk and has no opinion of it any more; so the word that kept the disk lost would have stood for ever.
    public async Task Complaint_DiskIsLostLater_IsTakenBackWhenTheDiskCanBeUsed()
    {
        var feed = new StateFeed(Samples.View().State);
        var trials = Channel.CreateUnbounded<(string Disk, ByteRange Place, TaskCompletionSource<bool> Outcome)>();
        var (failures, told) = Start(feed, async (disk, place, token) =>
        {
            var outcome = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            await trials.Writer.WriteAsync((disk, place, outcome), token);
            return await outcome.Task;
        });
        await failures.JudgeAsync("d0", new ByteRange(4096, 4096), false, "IoError");
        Assert.Equal("d0", Assert.Single(Assert.Single(told).Disks).Disk);

        feed.Publish(With(feed.Current, DiskStatus.Lost));
        var trial = await trials.Reader.ReadAsync().AsTask().WaitAsync(Limit);
        Assert.Equal(("d0", new ByteRange(4096, 4096)), (trial.Disk, trial.Place));
        trial.Outcome.SetResult(false);
        trial = await trials.Reader.ReadAsync().AsTask().WaitAsync(Limit); // It is asked again.
        Assert.Single(told);
        trial.Outcome.SetResult(true);
        await feed.WaitAsync(static state => state.Sets["demo"].Members["a"].Disks.IsEmpty, CancellationToken.None).WaitAsync(Limit);
        Assert.Equal(2, told.Count);
    }

    [Fact] // Another report of this node's complaints had put it back after its look had ended.
    public async Task LookAgain_ComplaintStandsWithoutALook_IsTakenBack()
    {
        var state = With(Samples.View().State, DiskStatus.Lost);
        var set = state.Sets["demo"];
        var complaint = new DiskComplaint("d0", DiskLossReason.FailsHere, "IoError");
        var feed = new StateFeed(state with
        {
            Sets = state.Sets.SetItem("demo", set with { Members = set.Members.SetItem("a", set.Members["a"] with { Disks = [complaint], DisksBy = 7 }) }),
        });
        var (failures, told) = Start(feed, static (_, _, _) => Task.FromResult(true));
        failures.LookAgain("d0");
        await feed.WaitAsync(static state => state.Sets["demo"].Members["a"].Disks.IsEmpty, CancellationToken.None).WaitAsync(Limit);
        Assert.Single(told);
    }

    [Fact] // Weeks later one error while another node was silent for a second lost the disk, by this node's word alone.
    public async Task Judge_WaitEndedWithoutAVerdict_DoesNotCountForALaterFailure()
    {
        var feed = new StateFeed(Samples.View().State);
        var clock = new Clock();
        var (failures, told) = Start(feed, NoTrial, DiskAnswer.Unknown, clock);
        Assert.Equal(FailureVerdict.Wait, (await JudgeAsync()).Verdict);
        clock.Advance(TimeSpan.FromMinutes(10));
        Assert.Equal(FailureVerdict.Wait, (await JudgeAsync()).Verdict);
        clock.Advance(TimeSpan.FromSeconds(10)); // The same failure: it has waited.
        Assert.Equal(FailureVerdict.Medium, (await JudgeAsync()).Verdict);
        Assert.Empty(told);

        Task<LegJudgement> JudgeAsync() => failures.JudgeAsync("d0", new ByteRange(4096, 4096), true, "IoError");
    }

    [Fact] // Design §14.5: the disk is lost with the node only for what hangs on it, and a call that hangs may land after the node is fenced.
    public async Task Complaint_CallsFailAndThenHang_TheHangIsSaid()
    {
        var feed = new StateFeed(Samples.View().State);
        var (failures, told) = Start(feed, NoTrial);
        await failures.JudgeAsync("d0", new ByteRange(4096, 4096), false, "IoError");
        var complaints = new OwnComplaints("demo", new NodeIdentity("a", new NodeId(1), 7), feed, _submit!, CancellationToken.None);
        Assert.True(await complaints.AddAsync(new DiskComplaint("d0", DiskLossReason.TimedOut, "hangs")));
        Assert.False(await complaints.AddAsync(new DiskComplaint("d0", DiskLossReason.FailsHere, "IoError")));
        Assert.Equal(DiskLossReason.TimedOut, Assert.Single(feed.Current.Sets["demo"].Members["a"].Disks).Reason);
        Assert.Equal(2, told.Count);
    }

    private Func<CommandBody, string?, CancellationToken, Task<ApiResult>>? _submit;

    private readonly List<string> _asked = [];

    private static Task<bool> NoTrial(string disk, ByteRange place, CancellationToken cancellationToken) => throw new InvalidOperationException("Not lost.");

    /// <summary>Node a, which others tell of each disk what they are to, and what it has committed of its own disks.</summary>
    private (LegFailures Failures, List<ReportDisks> Told) Start(
        StateFeed feed, LostDiskTrial trial, DiskAnswer answer = DiskAnswer.Fine, TimeProvider? clock = null)
    {
        var told = new List<ReportDisks>();
        var members = new FirstMember[] { new("a", 1, "127.0.0.1:1"), new("b", 2, "127.0.0.1:2"), new("c", 3, "127.0.0.1:3") };
        var directory = new NodeDirectory(new FirstStart("demo", null, members), "a");
        _submit = (body, _, _) =>
        {
            var report = Assert.IsType<ReportDisks>(body);
            told.Add(report);
            var set = feed.Current.Sets["demo"];
            feed.Publish(feed.Current with
            {
                Sets = feed.Current.Sets.SetItem("demo", set with
                {
                    Members = set.Members.SetItem("a", set.Members["a"] with { Disks = report.Disks, DisksBy = report.Incarnation }),
                }),
            });
            return Task.FromResult(new ApiResult { Outcome = ApiOutcome.Applied });
        };
        var failures = new LegFailures(
            "demo", new NodeIdentity("a", new NodeId(1), 7), feed, new PeerClient(new Others(answer, id => _asked.Add(directory.NameOf(id)!)), directory), () => null,
            trial, _submit, new Lines(), CancellationToken.None, clock);
        return (failures, told);
    }

    private static ClusterState With(ClusterState state, DiskStatus status)
    {
        var set = state.Sets["demo"];
        return state with
        {
            Sets = state.Sets.SetItem("demo", set with { Disks = set.Disks.SetItem("d0", set.Disks["d0"] with { Status = status }) }),
        };
    }

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public void Advance(TimeSpan time) => _ticks += time.Ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;
    }

    /// <summary>Nodes that say the same of every disk.</summary>
    private sealed class Others(DiskAnswer answer, Action<NodeId> asked) : IPeerRpc
    {
        public ValueTask<ReadOnlyMemory<byte>> CallAsync(
            NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
        {
            Assert.Equal(PeerMethods.ProbeDisk, method);
            asked(node);
            return ValueTask.FromResult<ReadOnlyMemory<byte>>(
                JsonSerializer.SerializeToUtf8Bytes(new ProbeDiskReply(answer), DaemonJson.Default.ProbeDiskReply));
        }

        public void Handle(string method, Func<NodeId, ReadOnlyMemory<byte>, CancellationToken, ValueTask<ReadOnlyMemory<byte>>> handler) =>
            throw new NotSupportedException();
    }

    private sealed class Lines : ILogger
    {
        public List<string> Said { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Said.Add(formatter(state, exception));
    }
}
