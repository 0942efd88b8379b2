using RaftMirror.ControlPlane.Clocks;
using Xunit;

namespace RaftMirror.ControlPlane.Tests.Clocks;

/// <summary>What several wall clocks say together (design §14.23).</summary>
public sealed class ClockWatchTests
{
    private const long Day = 24L * 60 * 60 * 1000;
    private const long Unix = 1_800_000_000_000;

    private readonly ClockWatch _watch = new();
    private long _bootMs = 1_000_000;

    [Fact]
    public void Judge_OneOfThreeADayAhead_IsWrongAndTheOthersTell()
    {
        var verdict = Judge(("a", Day), ("b", 0), ("c", 40));
        Assert.Equal(["a"], verdict.Off);
        Assert.Equal(Unix - _bootMs, verdict.AgreedOffsetMs);
        Assert.Equal((Day, 0, 40), (verdict.Ahead["a"], verdict.Ahead["b"], verdict.Ahead["c"]));
        Assert.False(verdict.AreApart);
    }

    [Theory]
    [InlineData(3000, false)]
    [InlineData(3100, true)]
    [InlineData(-3000, false)]
    [InlineData(-3100, true)]
    public void Judge_OneOfThreeSecondsOff_IsWrongBeyondThree(long aheadMs, bool isWrong) =>
        Assert.Equal(isWrong, Judge(("a", aheadMs), ("b", 0), ("c", 0)).Off.Contains("a"));

    [Fact] // Else it would go back and forth, and leadership with it.
    public void Judge_WrongClockThatComesNear_IsRightOnlyWithinTwoSeconds()
    {
        Assert.Contains("a", Judge(("a", 3500), ("b", 0), ("c", 0)).Off);
        Assert.Contains("a", Judge(("a", 2500), ("b", 0), ("c", 0)).Off);
        Assert.Empty(Judge(("a", 1900), ("b", 0), ("c", 0)).Off);
        Assert.Empty(Judge(("a", 2500), ("b", 0), ("c", 0)).Off);
    }

    [Fact]
    public void Judge_OneOfThreeSilent_BarsNobody()
    {
        // Two that differ: who is right? And one that was wrong may have to lead now.
        Assert.Equal(["a"], Judge(("a", Day), ("b", 0), ("c", 0)).Off);
        _bootMs += ClockWatch.StaleAfterMs + 1;
        var verdict = Judge(("a", Day), ("b", 0));
        Assert.Empty(verdict.Off);
        Assert.Null(verdict.AgreedOffsetMs);
        Assert.True(verdict.AreApart);
        Assert.False(verdict.HaveAllAnswered);
    }

    [Fact]
    public void Judge_TwoVotersApart_BarsNobodyAndSaysSo()
    {
        _watch.SetVoters(["a", "b"]);
        var verdict = Read(("a", Day), ("b", 0));
        Assert.True(verdict.AreApart);
        Assert.True(verdict.HaveAllAnswered);
        Assert.Empty(verdict.Off);
        Assert.Null(verdict.AgreedOffsetMs);
        Assert.Equal(Unix - _bootMs, verdict.MedianOffsetMs); // The earlier one: ahead is what does harm.
        verdict = Read(("a", 1000), ("b", 0));
        Assert.False(verdict.AreApart);
        Assert.NotNull(verdict.AgreedOffsetMs);
    }

    [Fact]
    public void Judge_OneVoter_IsRightByItself()
    {
        _watch.SetVoters(["a"]);
        var verdict = Read(("a", Day));
        Assert.Equal(Unix + Day - _bootMs, verdict.AgreedOffsetMs);
        Assert.Empty(verdict.Off);
        Assert.False(verdict.AreApart);
    }

    [Fact]
    public void Judge_ThreeAllApart_BarsNobodyAndTakesTheMiddle()
    {
        var verdict = Judge(("a", Day), ("b", 0), ("c", -Day));
        Assert.True(verdict.AreApart);
        Assert.Empty(verdict.Off);
        Assert.Equal(Unix - _bootMs, verdict.MedianOffsetMs);
    }

    [Fact]
    public void Judge_TwoOfFiveWrong_AreWrong()
    {
        _watch.SetVoters(["a", "b", "c", "d", "e"]);
        Assert.Equal(["b", "e"], Read(("a", 0), ("b", -Day), ("c", 100), ("d", -100), ("e", 60_000)).Off);
    }

    [Fact]
    public void Judge_LearnersClock_IsNamedButDecidesNothing()
    {
        _watch.SetVoters(["a", "b", "c"]);
        var verdict = Read(("a", 0), ("d", Day), ("e", Day), ("f", Day));
        Assert.Null(verdict.AgreedOffsetMs);
        verdict = Read(("b", 0));
        Assert.Equal(["d", "e", "f"], verdict.Off);
    }

    [Fact] // A paused peer, a full queue: then neither of two moments is the one it was read at.
    public void Read_SlowAnswer_IsDoubted()
    {
        _watch.SetVoters(["a", "b", "c"]);
        Read(("b", 0), ("c", 0));
        _watch.Read("a", _bootMs - 1900, _bootMs, Unix - 950 + 3900); // 3.9 s off, give or take 0.95 s.
        Assert.Empty(_watch.Judge(_bootMs).Off);
        _watch.Read("a", _bootMs - 2100, _bootMs, Unix + Day);
        Assert.Empty(_watch.Judge(_bootMs).Off);
    }

    [Fact] // Clocks are compared by offsets: that time passes between two readings changes nothing.
    public void Read_AtOtherMoments_IsComparable()
    {
        _watch.SetVoters(["a", "b", "c"]);
        _watch.Read("a", 1000, 1000, Unix);
        _watch.Read("b", 3000, 3000, Unix + 2000);
        _watch.Read("c", 4500, 4500, Unix + 3500);
        var verdict = _watch.Judge(4500);
        Assert.Equal(Unix - 1000, verdict.AgreedOffsetMs);
        Assert.All(verdict.Ahead.Values, ahead => Assert.Equal(0, ahead));
    }

    private ClockVerdict Judge(params (string Node, long AheadMs)[] clocks)
    {
        _watch.SetVoters(["a", "b", "c"]);
        return Read(clocks);
    }

    private ClockVerdict Read(params (string Node, long AheadMs)[] clocks)
    {
        foreach (var (node, ahead) in clocks) _watch.Read(node, _bootMs, _bootMs, Unix + ahead);
        return _watch.Judge(_bootMs);
    }
}
