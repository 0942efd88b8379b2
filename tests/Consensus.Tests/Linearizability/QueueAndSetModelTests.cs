using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;

namespace RaftMirror.Consensus.Tests.Linearizability;

/// <summary>Queues and sets: what a correct one may answer, and what gives a wrong one away.</summary>
public sealed class QueueAndSetModelTests
{
    [Fact]
    public void Queue_ValuesComeOutInTheOrderOfConcurrentEnqueues_IsLinearizable() => Assert.Equal(
        Verdict.Linearizable, Check(Put("a", 1, 9), Put("b", 2, 8), Take("b", 10, 11), Take("a", 12, 13), Take(null, 14, 15)));

    [Fact]
    public void Queue_ValueOvertakesAnEarlierOne_IsNot() => Assert.Equal(
        Verdict.NotLinearizable, Check(Put("a", 1, 2), Put("b", 3, 4), Take("b", 5, 6)));

    [Fact]
    public void Queue_ValueIsTakenTwice_IsNot() => Assert.Equal(
        Verdict.NotLinearizable, Check(Put("a", 1, 2), Take("a", 3, 6), Take("a", 4, 5)));

    [Fact]
    public void Queue_EmptyAfterAnAcknowledgedEnqueue_IsNot() => Assert.Equal(
        Verdict.NotLinearizable, Check(Put("a", 1, 2), Take(null, 3, 4)));

    [Fact]
    public void Queue_UnknownEnqueueIsSeenOrNot_IsLinearizableEitherWay()
    {
        var unknown = new Operation<QueueInput, QueueOutput>(1, new QueueInput(QueueAction.Enqueue, "q", "a"), default, 1, 0);
        Assert.Equal(Verdict.Linearizable, Check(unknown, Take(null, 3, 4), Take("a", 5, 6)));
        Assert.Equal(Verdict.Linearizable, Check(unknown, Take(null, 3, 4), Take(null, 5, 6)));
        Assert.Equal(Verdict.NotLinearizable, Check(unknown, Take("a", 3, 4), Take("a", 5, 6)));
    }

    [Fact]
    public void Set_ChangesAndLists_AgreeInOneOrder()
    {
        Assert.Equal(Verdict.Linearizable, Check(Add("b", true, 1, 2), Add("a", true, 3, 6), List("b,", 4, 5), List("a,b,", 7, 8), Add("a", false, 9, 10)));
        Assert.Equal(Verdict.NotLinearizable, Check(Add("a", true, 1, 2), List("", 3, 4)));
        Assert.Equal(Verdict.NotLinearizable, Check(Add("a", true, 1, 2), Add("a", true, 3, 4)));
        Assert.Equal(Verdict.NotLinearizable, Check(Remove("a", true, 1, 2)));
        Assert.Equal(Verdict.Linearizable, Check(Add("a", true, 1, 2), Remove("a", true, 3, 4), Remove("a", false, 5, 6), List("", 7, 8)));
    }

    private static Operation<QueueInput, QueueOutput> Put(string value, long from, long to) =>
        new(1, new QueueInput(QueueAction.Enqueue, "q", value), Answer.Of(new QueueOutput(null)), from, to);

    private static Operation<QueueInput, QueueOutput> Take(string? value, long from, long to) =>
        new(2, new QueueInput(QueueAction.Dequeue, "q"), Answer.Of(new QueueOutput(value)), from, to);

    private static Operation<SetInput, SetOutput> Add(string value, bool changed, long from, long to) =>
        new(1, new SetInput(SetAction.Add, "s", value), Answer.Of(new SetOutput(changed)), from, to);

    private static Operation<SetInput, SetOutput> Remove(string value, bool changed, long from, long to) =>
        new(1, new SetInput(SetAction.Remove, "s", value), Answer.Of(new SetOutput(changed)), from, to);

    private static Operation<SetInput, SetOutput> List(string values, long from, long to) =>
        new(1, new SetInput(SetAction.List, "s"), Answer.Of(new SetOutput(false, values)), from, to);

    private static Verdict Check(params Operation<QueueInput, QueueOutput>[] history) => Checker.Check(new QueueModel(), history).Verdict;

    private static Verdict Check(params Operation<SetInput, SetOutput>[] history) => Checker.Check(new SetModel(), history).Verdict;
}
