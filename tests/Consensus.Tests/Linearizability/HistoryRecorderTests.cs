using RaftMirror.Linearizability;

namespace RaftMirror.Consensus.Tests.Linearizability;

public sealed class HistoryRecorderTests
{
    [Fact]
    public void Snapshot_EachOutcome_IsWrittenDown()
    {
        var recorder = new HistoryRecorder<string, int>();
        var first = recorder.Invoke(1, "first");
        var second = recorder.Invoke(2, "second");
        first.Return(10);
        recorder.Invoke(3, "refused").Refused();
        recorder.Invoke(4, "timed out").Unknown();
        recorder.Invoke(5, "under way");
        Assert.Equal(
            [
                new(1, "first", Answer.Of(10), 1, 3),
                new(2, "second", default, 2, 0),
                new(4, "timed out", default, 5, 0),
                new(5, "under way", default, 6, 0),
            ],
            recorder.Snapshot());

        second.Return(20);
        Assert.Equal(new(2, "second", Answer.Of(20), 2, 7), recorder.Snapshot()[1]);
    }

    [Fact]
    public void Outcome_GivenTwice_IsAnError()
    {
        var pending = new HistoryRecorder<string, int>().Invoke(1, "once");
        pending.Unknown();
        Assert.Throws<InvalidOperationException>(() => pending.Return(1));
    }

    [Fact]
    public void Invoke_FromManyThreads_StampsAreUniqueAndOrdered()
    {
        const int Threads = 4, Each = 2_000;
        var recorder = new HistoryRecorder<int, int>();
        Parallel.For(0, Threads, client =>
        {
            for (var i = 0; i < Each; i++) recorder.Invoke(client, i).Return(i);
        });
        var history = recorder.Snapshot();
        Assert.Equal(Threads * Each, history.Count);
        Assert.Equal(2 * Threads * Each, history.SelectMany(o => new[] { o.InvokedAt, o.ReturnedAt }).Distinct().Count());
        foreach (var client in history.GroupBy(operation => operation.Client))
        {
            Assert.Equal(client.OrderBy(operation => operation.InvokedAt).Select(operation => operation.Input), Enumerable.Range(0, Each));
            Assert.All(client, operation => Assert.True(operation.InvokedAt < operation.ReturnedAt));
        }
    }
}
