using RaftMirror.Linearizability;
using RaftMirror.Linearizability.Models;
using RaftMirror.Primitives;
using Xunit.Abstractions;
using KeyValueOperation = RaftMirror.Linearizability.Operation<
    RaftMirror.Linearizability.Models.KeyValueInput, RaftMirror.Linearizability.Models.KeyValueOutput>;

namespace RaftMirror.Consensus.Tests.Linearizability;

public sealed class CheckerTests(ITestOutputHelper output)
{
    private static readonly KeyValueModel Model = new();

    [Fact]
    public void Check_TinyRandomHistories_AgreesWithBruteForce()
    {
        const int Rounds = 25_000;
        var linearizable = 0;
        for (var seed = 0UL; seed < Rounds; seed++)
        {
            var random = new Xoshiro(seed);
            var history = RandomHistory.Make(
                random, clients: random.Next(1, 5), operations: random.Next(1, 8), keys: 1, lost: random.Next(5) * 0.15, values: 3);
            for (var changes = random.Next(4); changes > 0 && history.Count > 0; changes--) history = RandomHistory.Spoil(random, history);

            var result = Checker.Check(Model, history);
            var expected = BruteForce.IsLinearizable(Model, history);
            Assert.True(
                result.Verdict == (expected ? Verdict.Linearizable : Verdict.NotLinearizable),
                $"seed {seed}: expected {expected}\n{string.Join('\n', history)}\n{result.Explain()}");
            var fault = Evidence.Fault(Model, history, result);
            Assert.True(fault is null, $"seed {seed}: {fault}\n{string.Join('\n', history)}\n{result.Explain()}");
            if (expected) linearizable++;
        }

        output.WriteLine($"{linearizable} linearizable, {Rounds - linearizable} not");
        Assert.InRange(linearizable, Rounds / 5, Rounds * 4 / 5);
    }

    [Fact]
    public void Check_TinyRandomHistoriesOfARegister_AgreesWithBruteForce()
    {
        const int Rounds = 15_000;
        var linearizable = 0;
        for (var seed = 0UL; seed < Rounds; seed++)
        {
            var random = new Xoshiro(seed);
            var history = RandomHistory.MakeRegister(random, operations: random.Next(1, 8));
            var result = Checker.Check(new RegisterModel(), history);
            var expected = BruteForce.IsLinearizable(new RegisterModel(), history);
            var fault = Evidence.Fault(new RegisterModel(), history, result);
            Assert.True(
                result.Verdict == (expected ? Verdict.Linearizable : Verdict.NotLinearizable) && fault is null,
                $"seed {seed}: expected {expected} {fault}\n{string.Join('\n', history)}\n{result.Explain()}");
            if (expected) linearizable++;
        }

        output.WriteLine($"{linearizable} linearizable, {Rounds - linearizable} not");
        Assert.InRange(linearizable, Rounds / 10, Rounds * 9 / 10);
    }

    [Fact] // Locality: the parts decide as the whole does.
    public void CheckByKey_RandomHistories_AgreesWithTheWholeMap()
    {
        var wrong = 0;
        for (var seed = 0UL; seed < 3_000; seed++)
        {
            var random = new Xoshiro(seed);
            var history = RandomHistory.Make(random, clients: 3, operations: 8, keys: 2, lost: 0.1, values: 3);
            if (random.Chance(0.6)) history = RandomHistory.Spoil(random, history);
            var parts = Checker.CheckByKey(Model, history, KeyValueModel.KeyOf).Verdict;
            var expected = history.GroupBy(operation => operation.Input.Key).All(part => BruteForce.IsLinearizable(Model, [.. part]));
            Assert.Equal(expected ? Verdict.Linearizable : Verdict.NotLinearizable, parts);
            if (!expected) wrong++;
        }

        Assert.InRange(wrong, 300, 2_700);
    }

    [Fact]
    public void Check_LongHistoryOfCorrectMap_IsLinearizableWithinBudget()
    {
        var history = RandomHistory.Make(new Xoshiro(7), clients: 16, operations: 20_000, keys: 8, lost: 0.02, values: 0);
        var result = Checker.CheckByKey(Model, history, KeyValueModel.KeyOf, new CheckOptions(TimeSpan.FromSeconds(20)));
        output.WriteLine($"{history.Count} operations, {history.Count(o => !o.Answer.IsKnown)} unknown: {result.Explain()}");
        Assert.Equal(Verdict.Linearizable, result.Verdict);
    }

    [Fact]
    public void Check_LongHistoryWithOneStaleRead_NamesIt()
    {
        var history = RandomHistory.Make(new Xoshiro(8), clients: 8, operations: 5_000, keys: 4, lost: 0.02, values: 0).ToList();
        var index = history.FindIndex(
            4_000, operation => operation.Answer.IsKnown && operation.Input is { Action: KeyValueAction.Get, Key: "k2" });
        history[index] = history[index] with { Answer = Answer.Of(new KeyValueOutput("0;")) };
        var result = Checker.CheckByKey(Model, history, KeyValueModel.KeyOf, new CheckOptions(TimeSpan.FromSeconds(20)));
        output.WriteLine(result.Explain());
        Assert.Equal((Verdict.NotLinearizable, "k2"), (result.Verdict, result.Key));
        Assert.Same(history[index], result.Unplaced);
    }

    [Fact]
    public void Check_StaleRead_IsRefused()
    {
        var put = Put(1, "a", 1, 2);
        var second = Put(1, "b", 3, 4);
        var stale = Get(2, "a", 5, 6);
        var result = Checker.Check(Model, [put, second, stale]);
        Assert.Equal(Verdict.NotLinearizable, result.Verdict);
        Assert.Equal([put, second], result.Order);
        Assert.Same(stale, result.Unplaced);
        Assert.Equal("b", result.StateBefore);
    }

    [Fact]
    public void Check_LostAcknowledgedWrite_IsRefused() =>
        Assert.Equal(Verdict.NotLinearizable, Checker.Check(Model, [Put(1, "a", 1, 2), Get(2, null, 3, 4)]).Verdict);

    [Fact]
    public void Check_DuplicatedAppend_IsRefused() => Assert.Equal(
        Verdict.NotLinearizable, Checker.Check(Model, [Append(1, "a", 1, 2), Append(2, "b", 3, 4), Get(3, "aba", 5, 6)]).Verdict);

    [Fact]
    public void Check_ReadsThatGoBack_AreRefused() => Assert.Equal(
        Verdict.NotLinearizable, Checker.Check(Model, [Put(1, "a", 1, 10), Get(2, "a", 2, 3), Get(3, null, 4, 5)]).Verdict);

    [Fact]
    public void Check_ConcurrentWrite_MaySeemBeforeOrAfter()
    {
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [Put(1, "a", 1, 4), Get(2, null, 2, 3)]).Verdict);
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [Put(1, "a", 1, 4), Get(2, "a", 2, 3)]).Verdict);
    }

    [Fact]
    public void Check_OperationsThatTouch_AreConcurrent() =>
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [Put(1, "a", 1, 2), Get(2, null, 2, 3)]).Verdict);

    [Fact]
    public void Check_UnknownWrite_MayTakeEffectLateOrNeverButOnce()
    {
        var unknown = Put(1, "a", 1, null);
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [unknown, Get(2, null, 2, 3)]).Verdict);
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [unknown, Get(2, null, 2, 3), Get(3, "a", 4, 5)]).Verdict);
        KeyValueOperation[] twice = [unknown, Get(2, "a", 2, 3), Put(3, "b", 4, 5), Get(4, "b", 6, 7), Get(5, "a", 8, 9)];
        Assert.Equal(Verdict.NotLinearizable, Checker.Check(Model, twice).Verdict);
        KeyValueOperation[] early = [Get(2, "a", 1, 2), Put(1, "a", 3, null)];
        Assert.Equal(Verdict.NotLinearizable, Checker.Check(Model, early).Verdict);
    }

    [Fact] // Equal unknown operations are interchangeable, but each counts once.
    public void Check_EqualUnknownAppends_CountOnceEach()
    {
        KeyValueOperation[] pair = [Append(1, "a", 1, null), Append(2, "a", 2, null)];
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [.. pair, Get(3, "aa", 3, 4)]).Verdict);
        Assert.Equal(Verdict.NotLinearizable, Checker.Check(Model, [.. pair, Get(3, "aaa", 3, 4)]).Verdict);
    }

    [Fact]
    public void Check_CompareAndSet_MustAgreeWithItsAnswer()
    {
        KeyValueOperation Cas(bool succeeded) => new(
            2, new(KeyValueAction.CompareAndSet, "k", "b", "a"), Answer.Of(new KeyValueOutput(null, succeeded)), 3, 4);
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, [Put(1, "a", 1, 2), Cas(true), Get(3, "b", 5, 6)]).Verdict);
        Assert.Equal(Verdict.NotLinearizable, Checker.Check(Model, [Put(1, "a", 1, 2), Cas(false)]).Verdict);
        Assert.Equal(Verdict.NotLinearizable, Checker.Check(Model, [Put(1, "c", 1, 2), Cas(true)]).Verdict);
    }

    [Fact] // It changes nothing where it fits first, and something where it is needed.
    public void Check_WriteOfTheValueThatIsThere_MayStillBeNeededLater()
    {
        KeyValueOperation[] history = [Put(0, "a", 1, 2), Put(1, "a", 3, 9), Put(2, "b", 4, 5), Get(3, "b", 6, 7), Get(3, "a", 10, 11)];
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, history).Verdict);
    }

    [Fact]
    public void Check_EmptyOrOnlyUnknown_IsLinearizable()
    {
        Assert.Equal(Verdict.Linearizable, Checker.Check(Model, []).Verdict);
        Assert.Equal(Verdict.Linearizable, Checker.CheckByKey(Model, [Put(1, "a", 1, null)], KeyValueModel.KeyOf).Verdict);
    }

    [Fact] // No budget, no verdict: never a guess.
    public void Check_BudgetSpent_IsUnknown()
    {
        KeyValueOperation[] stale = [Put(1, "a", 1, 2), Get(2, null, 3, 4)];
        var noTime = new CheckOptions(TimeSpan.FromTicks(-1));
        Assert.Equal(Verdict.Unknown, Checker.Check(Model, stale, noTime).Verdict);
        var byKey = Checker.CheckByKey(Model, stale, KeyValueModel.KeyOf, noTime);
        Assert.Equal((Verdict.Unknown, "k"), (byKey.Verdict, byKey.Key));
        Assert.Null(byKey.Unplaced);
        var noRoom = new CheckOptions(TimeSpan.FromSeconds(10), MaxConfigurations: 1);
        Assert.Equal(Verdict.Unknown, Checker.Check(Model, stale, noRoom).Verdict);
    }

    [Fact]
    public void Check_AnswerBeforeQuestion_IsAnError() =>
        Assert.Throws<ArgumentException>(() => Checker.Check(Model, [Put(1, "a", 2, 1)]));

    private static KeyValueOperation Put(int client, string value, long from, long? to) =>
        Write(KeyValueAction.Put, client, value, from, to);

    private static KeyValueOperation Append(int client, string value, long from, long? to) =>
        Write(KeyValueAction.Append, client, value, from, to);

    private static KeyValueOperation Write(KeyValueAction action, int client, string value, long from, long? to) => new(
        client, new(action, "k", value), to is null ? default : Answer.Of(new KeyValueOutput()), from, to ?? 0);

    private static KeyValueOperation Get(int client, string? value, long from, long to) =>
        new(client, new(KeyValueAction.Get, "k"), Answer.Of(new KeyValueOutput(value)), from, to);
}
