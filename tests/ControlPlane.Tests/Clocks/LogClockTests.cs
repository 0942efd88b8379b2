using RaftMirror.ControlPlane.Clocks;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests.Clocks;

/// <summary>The leader's clock: where it starts, what moves it, when log time is corrected (design §14.23).</summary>
public sealed class LogClockTests
{
    private const long Day = 24L * 60 * 60 * 1000;
    private const long Unix = 1_800_000_000_000;
    private const long Boot = 5_000_000;

    private readonly LogClock _clock = new();

    [Fact]
    public void Follow_NotLeading_HasNoTime()
    {
        Assert.Null(_clock.Follow(Boot, Agreed(3, 0), 0));
        Assert.Null(_clock.NowMs(Boot));
        Assert.False(_clock.IsReady(Boot, 0));
    }

    [Fact]
    public void Follow_FirstAgreement_IsTheTimeAndRunsWithBootTime()
    {
        Lead(Agreed(3, 0), logTimeMs: Unix - 500);
        Assert.Equal(Unix, _clock.NowMs(Boot));
        Assert.Equal(Unix + 12_345, _clock.NowMs(Boot + 12_345));
        Assert.True(_clock.IsReady(Boot, Unix - 500));
    }

    [Fact] // An hour without a command is no wrong clock.
    public void Follow_LogTimeLongAgo_IsNoCorrection()
    {
        Assert.Null(Lead(Agreed(3, 0), logTimeMs: Unix - Day));
        Assert.Equal(Unix, _clock.NowMs(Boot));
    }

    [Fact]
    public void Follow_LogTimeADayAhead_IsCorrectedBeforeAnybodyIsServed()
    {
        Assert.Equal(Unix, Lead(Agreed(3, 0), logTimeMs: Unix + Day));
        Assert.Equal(Unix, _clock.NowMs(Boot)); // What is stamped meanwhile does not carry the wrong time on.
        Assert.False(_clock.IsReady(Boot, Unix + Day));
        Assert.Equal(Unix + 700, _clock.Follow(Boot + 700, Agreed(3, 0), Unix + Day + 3)?.ToMs); // Lost, and asked for again.
        Assert.Null(_clock.Follow(Boot + 800, Agreed(3, 0), Unix + 750));
        Assert.True(_clock.IsReady(Boot + 800, Unix + 750));
    }

    [Fact]
    public void Follow_LogTimeADayAheadAndNoMajorityAgrees_GoesOnFromIt()
    {
        Assert.Null(Lead(Apart(2, 0), logTimeMs: Unix + Day));
        Assert.Equal(Unix + Day, _clock.NowMs(Boot));
        Assert.Equal(Unix + Day + 1000, _clock.NowMs(Boot + 1000));
        Assert.True(_clock.IsReady(Boot, Unix + Day));
    }

    [Fact] // Less than that is made good by running slower: no time comes twice, nobody is refused.
    public void Follow_LogTimeSecondsAhead_RunsSlower()
    {
        Assert.Null(Lead(Agreed(3, 0), logTimeMs: Unix + 4000));
        Assert.Equal(Unix + 4000, _clock.NowMs(Boot));
        var last = Unix + 4000L;
        for (var ms = 50; ms <= 100_000; ms += 50)
        {
            _clock.Follow(Boot + ms, Agreed(3, 0), last);
            var now = _clock.NowMs(Boot + ms)!.Value;
            Assert.True(now >= last, "the clock went back");
            last = now;
        }

        Assert.Equal(Unix + 100_000 + 4000 - 500, last, 10L); // 5 ‰ of 100 s.
    }

    [Theory]
    [InlineData(Day)]
    [InlineData(-Day)]
    [InlineData(20_000)]
    public void Follow_MajorityJumpsForAMoment_ChangesNothing(long jumpMs)
    {
        Lead(Agreed(3, 0), logTimeMs: Unix);
        for (var ms = 0; ms < 30_000; ms += 1000) Assert.Null(_clock.Follow(Boot + ms, Agreed(3, jumpMs), Unix + ms));
        Assert.Null(_clock.Follow(Boot + 31_000, Agreed(3, 0), Unix + 30_000));
        Assert.Equal(Unix + 31_000, _clock.NowMs(Boot + 31_000));
    }

    [Theory] // All booted with a wrong clock, and then time came by the network.
    [InlineData(Day)]
    [InlineData(-Day)]
    public void Follow_MajorityStaysElsewhere_IsBelievedAfterAMinute(long jumpMs)
    {
        Lead(Agreed(3, 0), logTimeMs: Unix);
        for (var ms = 0; ms < LogClock.ConvincedAfterMs; ms += 1000) Assert.Null(_clock.Follow(Boot + ms, Agreed(3, jumpMs), Unix + ms));
        var at = Boot + LogClock.ConvincedAfterMs;
        Assert.Equal(at - Boot + Unix + jumpMs, _clock.Follow(at, Agreed(3, jumpMs), Unix + 59_000)?.ToMs);
        Assert.Equal(at - Boot + Unix + jumpMs, _clock.NowMs(at));
    }

    [Fact] // Nobody's quartz is exact.
    public void Follow_Drift_IsMadeGood()
    {
        Lead(Agreed(3, 0), logTimeMs: Unix);
        for (var ms = 500; ms <= 1_000_000; ms += 500) _clock.Follow(Boot + ms, Agreed(3, ms / 1000), Unix + ms); // 1 ‰.
        Assert.Equal(Unix + 1_000_000 + 1000, _clock.NowMs(Boot + 1_000_000)!.Value, 20L);
    }

    [Fact] // The first answer to a new leader may come from the one voter whose clock is wrong.
    public void Follow_FirstAnswersDisagree_WaitsForTheOthers()
    {
        _clock.LeadershipGained(Boot, 7);
        Assert.Null(_clock.Follow(Boot + 1, Apart(3, 0, all: false), Unix));
        Assert.Null(_clock.NowMs(Boot + 1));
        _clock.Follow(Boot + 5, Agreed(3, 100), Unix);
        Assert.Equal(Unix + 105, _clock.NowMs(Boot + 5));
    }

    [Theory] // Fencing the dead must not wait for clocks.
    [InlineData(Unix, Unix)]
    [InlineData(0, 0)]
    public void Follow_NoMajorityAnswers_GoesOnFromLogTimeAfterAWhile(long logTimeMs, long expected)
    {
        _clock.LeadershipGained(Boot, 7);
        Assert.Null(_clock.Follow(Boot + LogClock.GiveUpAfterMs - 1, ClockVerdict.None, logTimeMs));
        Assert.Null(_clock.NowMs(Boot + LogClock.GiveUpAfterMs - 1));
        _clock.Follow(Boot + LogClock.GiveUpAfterMs, ClockVerdict.None, logTimeMs);
        Assert.Equal(expected, _clock.NowMs(Boot + LogClock.GiveUpAfterMs));
    }

    [Fact]
    public void LeadershipGained_NextTerm_MeasuresAnew()
    {
        Lead(Agreed(3, 0), logTimeMs: Unix);
        _clock.LeadershipLost();
        Assert.Null(_clock.NowMs(Boot));
        _clock.LeadershipGained(Boot + 10_000, 9);
        _clock.Follow(Boot + 10_000, Agreed(3, 50), Unix);
        Assert.Equal(Unix + 10_050, _clock.NowMs(Boot + 10_000));
    }

    private static ClockVerdict Agreed(int voters, long aheadMs) => ClockVerdict.None with
    {
        Voters = voters,
        HaveAllAnswered = true,
        AgreedOffsetMs = Unix + aheadMs - Boot,
        MedianOffsetMs = Unix + aheadMs - Boot,
        Ahead = OrdinalMap.Empty<long>().Add("a", 0),
    };

    private static ClockVerdict Apart(int voters, long aheadMs, bool all = true) =>
        Agreed(voters, aheadMs) with { AgreedOffsetMs = null, HaveAllAnswered = all, AreApart = true };

    private long? Lead(ClockVerdict verdict, long logTimeMs)
    {
        _clock.LeadershipGained(Boot, 7);
        return _clock.Follow(Boot, verdict, logTimeMs)?.ToMs;
    }
}
