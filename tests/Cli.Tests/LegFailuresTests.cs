using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DiskIo.Core;
using RaftMirror.Node.Sets;
using RaftMirror.Node.State;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.Cli.Tests;

/// <summary>The core repeats the report of a failure until something is committed; the node's log is not a list of repeats.</summary>
public sealed class LegFailuresTests
{
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
            "demo", new NodeIdentity("a", new NodeId(1), 7), new StateFeed(state), null!, () => null, (_, _, _) => throw new InvalidOperationException(), log,
            CancellationToken.None);
        for (var repeat = 0; repeat < 5; repeat++)
            Assert.Equal(FailureVerdict.Medium, (await failures.JudgeAsync("d0", new ByteRange(4096L * repeat, 4096), true, "write failed")).Verdict);
        Assert.Equal(FailureVerdict.Medium, (await failures.JudgeAsync("d1", default, true, "write failed")).Verdict);
        Assert.Equal(["d0", "d1"], log.Said.Select(static line => line.Contains("disk d0", StringComparison.Ordinal) ? "d0" : "d1"));
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
