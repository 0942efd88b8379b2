using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using Xunit;

namespace RaftMirror.ControlPlane.Tests.Clocks;

/// <summary>A cluster whose log time was carried a day ahead by a wrong clock, and how it comes back (design §14.23).</summary>
public sealed class ClockCorrectionTests
{
    private const long Day = RequestTable.WindowMs;
    private const long Hour = 60L * 60 * 1000;

    [Fact] // The cluster was dead: nobody was fenced, nobody joined, for ever.
    public void Decide_OwnCommandAfterAJump_IsNeverRefusedForItsTime()
    {
        var bench = Jumped(out var now);
        foreach (var idMs in (long[])[now - (3 * Day), now, now + (5 * Day)])
        {
            bench.AtMs(now);
            Assert.Equal("ok", bench.DoOwn(new SuspectNode("b", 10, "silent"), Bench.Id(idMs, (ulong)idMs + 1)).Code);
            Assert.Equal("ok", bench.DoOwn(new ClearSuspicion("b", 10), Bench.Id(idMs, (ulong)idMs + 2)).Code);
        }

        var fence = bench.DoOwn(new SuspectNode("b", 10, "silent"), Guid.Empty);
        Assert.Equal("ok", fence.Code);
        Assert.Equal(fence, bench.DoOwn(new SuspectNode("b", 10, "silent"), Guid.Empty)); // Repeats are still known.
    }

    [Fact]
    public void CorrectClock_AfterAJump_SetsLogTimeBackAndClientsAreServed()
    {
        var bench = Jumped(out var now);
        Assert.Equal(RequestRules.TooOld, bench.Do(new CreateSet("t", Bench.Id(1, 99), ["a"]), Bench.Id(now, 5)).Code);
        var from = bench.State.LogTimeMs;
        bench.AtMs(now + 500);
        var clocks = OrdinalMap.Empty<long>().Add("a", Day + Hour).Add("b", 0);
        Assert.Equal("ok", bench.DoOwn(new CorrectClock(now + 500, clocks)).Code);
        var corrected = Assert.IsType<ClockCorrected>(Assert.Single(bench.LastEvents).Event);
        Assert.Equal((from, now + 500), (corrected.FromMs, corrected.ToMs));
        Assert.Equal(clocks, corrected.Clocks);
        Assert.Equal(now + 500, Assert.Single(bench.LastEvents).AtMs);
        Assert.Equal(now + 500, bench.State.LogTimeMs);
        Assert.Equal("ok", bench.Do(new CreateSet("t", Bench.Id(1, 99), ["a"]), Bench.Id(now + 501, 6)).Code);
        Assert.InRange(bench.State.LogTimeMs, now + 501, now + 600);
    }

    [Fact] // I-ONCE: the jump dropped results; who asks again under their ids must not be served anew.
    public void CorrectClock_IdsMadeBefore_AreRefusedUnlessRemembered()
    {
        var bench = Bench.Cluster();
        var now = bench.State.LogTimeMs;
        var early = Bench.Id(now, 70);
        Assert.Equal("ok", bench.Do(new CreateMirror("s", "early", 8 << 20, ["d1"]), early).Code);
        var ahead = Bench.Id(now + (4 * 60_000), 71); // Of a client whose clock is four minutes ahead.
        Assert.Equal("ok", bench.Do(new CreateMirror("s", "ahead", 8 << 20, ["d1"]), ahead).Code);
        bench.AtMs(now + Day + Hour);
        var during = Bench.Id(now + Day + Hour, 72); // Of the leader's own host.
        var first = bench.Do(new CreateMirror("s", "during", 8 << 20, ["d1"]), during);
        Assert.Equal("ok", first.Code);
        bench.AtMs(now + 60_000);
        bench.DoOwn(new CorrectClock(now + 60_000, OrdinalMap.Empty<long>()));

        Assert.Equal(RequestRules.TooOld, bench.Do(new CreateMirror("s", "early", 8 << 20, ["d1"]), early).Code);
        Assert.Equal(RequestRules.TooOld, bench.Do(new CreateMirror("s", "ahead", 8 << 20, ["d1"]), ahead).Code);
        Assert.Equal(RequestRules.TooOld, bench.Do(new CreateMirror("s", "other", 8 << 20, ["d1"]), Bench.Id(now + 59_999, 73)).Code);
        Assert.Equal(first, bench.Do(new CreateMirror("s", "during", 8 << 20, ["d1"]), during));
        Assert.Equal(3, bench.State.Set("s")!.Volumes.Count);

        // What was dropped says from when on ids are taken again: a client may have been four minutes ahead.
        Assert.Equal(now + (4 * 60_000) + 1, bench.State.Requests.FloorMs(bench.State.LogTimeMs));
        Assert.Equal("ok", bench.Do(new CreateMirror("s", "other", 8 << 20, ["d1"]), Bench.Id(now + (4 * 60_000) + 1, 74)).Code);
    }

    [Fact] // Ten thousand requests under a wrong clock, and the next ones push their results out.
    public void Floor_FarAheadOfLogTime_StillLeavesIdsThatAreTaken()
    {
        var table = RequestTable.Empty;
        for (var i = 0; i <= RequestTable.MaxCount; i++)
        {
            var result = new CommandResult(CommandOutcome.Applied, (ulong)i + 1, "ok", RejectionKind.None, false, null, null);
            table = table.Add(new RequestRecord(Bench.Id(Day + i, (ulong)i), 1000, result, "t:00"));
        }

        table = table.Expire(1000);
        var floor = table.FloorMs(1000);
        Assert.Equal(Day + 1, floor);
        var envelope = new CommandEnvelope(Bench.Id(floor, 99_999), 1000, "", null, new DeleteMirror("s", "v"), "t:00");
        Assert.Null(RequestRules.RefuseForTime(table, envelope, 1, 1000));
        Assert.Equal(RequestRules.TooOld, RequestRules.RefuseForTime(table, envelope with { Id = Bench.Id(floor - 1, 1) }, 1, 1000)?.Code);
    }

    [Fact]
    public void Expire_OwnCommands_RaiseNoFloorAndPushOutNoClient()
    {
        var table = RequestTable.Empty.Add(Record(1, Bench.Id(5000, 1), "t:00"));
        for (var i = 2ul; i < RequestTable.MaxOwnCount + 200; i++) table = table.Add(Record(i, Bench.Id(50 * Day, i), null)).Expire(6000);
        Assert.NotNull(table.Find(Bench.Id(5000, 1)));
        Assert.Equal(RequestTable.MaxOwnCount + 1, table.Count);
        Assert.Equal(0, table.RefusedBeforeMs);
        var copy = RequestTable.Restore(table.RefusedBeforeMs, table.Records);
        Assert.Equal(table.Records, copy.Records);

        static RequestRecord Record(ulong index, Guid id, string? digest) => new(
            id, 6000, new CommandResult(CommandOutcome.Applied, index, "ok", RejectionKind.None, false, null, null), digest);
    }

    [Fact]
    public void CorrectClock_Repeated_DoesNothing()
    {
        var bench = Jumped(out var now);
        bench.AtMs(now + 500);
        bench.DoOwn(new CorrectClock(now + 500, OrdinalMap.Empty<long>()));
        bench.DoOwn(new CorrectClock(now + 700, OrdinalMap.Empty<long>()));
        Assert.Empty(bench.LastEvents);
        Assert.InRange(bench.State.LogTimeMs, now + 501, now + 600);
        Assert.Equal("badTime", bench.DoOwn(new CorrectClock(-1, OrdinalMap.Empty<long>())).Code);
    }

    [Fact]
    public void CorrectClock_Forwards_ForgetsWhatIsTooOldAndRefusesNothingElse()
    {
        var bench = Bench.Cluster();
        var now = bench.State.LogTimeMs;
        var id = Bench.Id(now, 70);
        bench.Do(new CreateMirror("s", "early", 8 << 20, ["d1"]), id);
        bench.DoOwn(new CorrectClock(now + (2 * Day), OrdinalMap.Empty<long>()));
        Assert.Equal(now + (2 * Day), bench.State.LogTimeMs);
        bench.AtMs(now + (2 * Day));
        Assert.Equal(RequestRules.TooOld, bench.Do(new CreateMirror("s", "early", 8 << 20, ["d1"]), id).Code);
        Assert.Equal("ok", bench.Do(new CreateMirror("s", "late", 8 << 20, ["d1"]), Bench.Id(now + (2 * Day) - Hour, 71)).Code);
    }

    [Fact]
    public void Snapshot_RoundTrip_KeepsTheCorrection()
    {
        var bench = Jumped(out var now);
        bench.AtMs(now + 500);
        bench.DoOwn(new CorrectClock(now + 500, OrdinalMap.Empty<long>().Add("a", 1)));
        using var stream = new MemoryStream();
        bench.Machine.BeginSnapshot().WriteTo(stream);
        stream.Position = 0;
        var copy = new ControlPlaneMachine();
        copy.Restore(stream);
        Assert.Equal(StateCodec.Hash(bench.State), StateCodec.Hash(copy.State));
        Assert.Contains(copy.History.Read(0, 10_000, out _), record => record.Event is ClockCorrected);
    }

    [Theory]
    [InlineData(-Day - Hour, RequestRules.TooOld, "remembered")]
    [InlineData(RequestTable.MaxAheadMs + 60_000, RequestRules.ClockAhead, "ahead of the cluster's clock")]
    public void Decide_ClientsWrongClock_IsToldWhatToDo(long aheadMs, string code, string says)
    {
        var bench = Bench.Cluster();
        var refused = bench.Do(new CreateMirror("s", "m", 8 << 20, ["d1"]), Bench.Id(bench.State.LogTimeMs + aheadMs, 5));
        Assert.Equal(code, refused.Code);
        Assert.Contains(says, refused.Message, StringComparison.Ordinal);
        Assert.Contains("the command line then takes the cluster's time", refused.Message, StringComparison.Ordinal);
        Assert.Contains("Nothing was applied", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>A cluster whose leader was 25 hours ahead for one command.</summary>
    private static Bench Jumped(out long now)
    {
        var bench = Bench.Cluster();
        now = bench.State.LogTimeMs;
        bench.AtMs(now + Day + Hour);
        bench.DoOwn(new SuspectNode("c", 10, "silent"));
        Assert.True(bench.State.LogTimeMs >= now + Day + Hour);
        bench.AtMs(now);
        return bench;
    }
}
