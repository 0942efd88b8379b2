using RaftMirror.DataPlane.DiskIo.Core;
using Xunit;

namespace RaftMirror.DataPlane.Tests.DiskIo;

/// <summary>Which disks hang (design §14.20): decided by the age of calls, after the other nodes were asked.</summary>
public sealed class DiskWatchTests
{
    private const long Second = 1_000_000_000;
    private static readonly WatchTimes Times = new(5 * Second);
    private static readonly WatchView TwoLegs = new([new("b", 1), new("c", 1)], [[["d0"], ["d1"]]], []);
    private readonly DiskWatch _watch = new();
    private readonly Dictionary<string, long> _calls = new() { ["d0"] = long.MaxValue, ["d1"] = long.MaxValue };

    [Fact]
    public void CallsThatEndInTime_AskNobody()
    {
        _calls["d1"] = 0;
        Assert.Empty(Run(0, 2 * Second, TwoLegs));
        Assert.Equal(WatchPhase.Fine, _watch.Of("d1").Phase);
    }

    [Fact]
    public void DiskHangsEverywhere_OthersAreAskedFirstAndItIsReportedWhenTheTimeIsOut()
    {
        _calls["d1"] = 0;
        var effects = Run(0, 6 * Second, TwoLegs, DiskAnswer.Hangs);
        var asked = effects.FindIndex(effect => effect.Kind == WatchEffectKind.Ask);
        var hangs = effects.FindIndex(effect => effect.Kind == WatchEffectKind.Hangs);
        Assert.True(asked >= 0 && hangs > asked);
        Assert.Equal(("d1", 0), (effects[hangs].Disk, effects[hangs].Slow!.Count));
        Assert.InRange(effects[hangs].AgeNs, 5 * Second, 6 * Second);
        Assert.Equal(["b", "c"], effects.Where(effect => effect.Kind == WatchEffectKind.Ask).Select(effect => effect.Node!).Distinct());
    }

    [Fact] // Path is not media.
    public void DiskIsFineElsewhere_IsNotReportedAsHanging()
    {
        _calls["d1"] = 0;
        var effects = Run(0, 10 * Second, TwoLegs, DiskAnswer.Fine);
        Assert.DoesNotContain(effects, effect => effect.Kind == WatchEffectKind.Hangs);
        Assert.Contains(effects, effect => effect is { Kind: WatchEffectKind.OnlyHere, Disk: "d1", Node: "b" });
    }

    [Fact] // The mutant: whoever asks nobody loses a disk that is fine elsewhere.
    public void Mutant_AsksNobody_IsFoundByTheTestAbove()
    {
        var mutant = new DiskWatch { AsksNobody = true };
        for (long now = 0; now < 6 * Second; now += Second / 10) mutant.Tick(now, Times, [new DiskAge("d1", 0)], TwoLegs);
        Assert.Contains(mutant.Effects, effect => effect.Kind == WatchEffectKind.Hangs);
    }

    [Fact] // A node whose calls may still land is waited for no longer than three time-outs; then the disk is lost after all.
    public void DiskIsFineElsewhereForTooLong_IsReported()
    {
        _calls["d1"] = 0;
        var effects = Run(0, 16 * Second, TwoLegs, DiskAnswer.Fine);
        Assert.Equal("b", effects.Find(effect => effect.Kind == WatchEffectKind.Hangs)!.Node);
    }

    [Fact] // What was fine when it was asked first may hang when the time is out.
    public void DiskWasFineElsewhereAndHangsThereToo_IsReported()
    {
        _calls["d1"] = 0;
        Run(0, 3 * Second, TwoLegs, DiskAnswer.Fine);
        var effects = Run(3 * Second, 6 * Second, TwoLegs, DiskAnswer.Hangs);
        Assert.Contains(effects, effect => effect.Kind == WatchEffectKind.Hangs);
        Assert.DoesNotContain(effects, effect => effect.Kind == WatchEffectKind.OnlyHere);
    }

    [Fact] // A node that is dead has no say; nobody waits for it beyond the bound.
    public void OthersDoNotAnswer_IsReportedASecondLater()
    {
        _calls["d1"] = 0;
        var effects = Run(0, 8 * Second, TwoLegs);
        Assert.InRange(effects.Find(effect => effect.Kind == WatchEffectKind.Hangs)!.AgeNs, 6 * Second, 7 * Second);
    }

    [Fact]
    public void AllLegsSlow_NoneIsReportedUntilOneIsWell()
    {
        (_calls["d0"], _calls["d1"]) = (2 * Second, 0);
        Assert.DoesNotContain(Run(0, 12 * Second, TwoLegs, DiskAnswer.Hangs), effect => effect.Kind == WatchEffectKind.Hangs);
        Assert.Equal(WatchPhase.AllSlow, _watch.Of("d1").Phase);
        _calls["d0"] = long.MaxValue;
        Assert.Contains(Run(12 * Second, 14 * Second, TwoLegs, DiskAnswer.Hangs), effect => effect is { Kind: WatchEffectKind.Hangs, Disk: "d1" });
    }

    [Fact] // Two of three: what has a third place goes on there; the report says what else may not be counted on.
    public void TwoOfThreeDisksHang_EachIsReportedWithTheOther()
    {
        _calls["d2"] = 0;
        (_calls["d0"], _calls["d1"]) = (long.MaxValue, 0);
        var view = TwoLegs with { Groups = [[["d1"], ["d2"]], [["d0"], ["d1"], ["d2"]]] };
        var effects = Run(0, 7 * Second, view, DiskAnswer.Hangs);
        Assert.Equal(["d2"], effects.Find(effect => effect is { Kind: WatchEffectKind.Hangs, Disk: "d1" })!.Slow);
        Assert.Equal(["d1"], effects.Find(effect => effect is { Kind: WatchEffectKind.Hangs, Disk: "d2" })!.Slow);
    }

    [Fact] // Legs and dirty logs alike: a set whose volumes lie elsewhere is stopped by a log on the disk.
    public void OnlyADirtyLogLiesOnTheDisk_IsReported()
    {
        _calls["d1"] = 0;
        var view = TwoLegs with { Groups = [[["d0"]], [["d0"], ["d1"]]] };
        Assert.Contains(Run(0, 6 * Second, view, DiskAnswer.Hangs), effect => effect.Kind == WatchEffectKind.Hangs);
    }

    [Fact] // SIGSTOP, suspend: the calls look old, and have ended long ago.
    public void ProcessWasPaused_CallsCountFromItsEnd()
    {
        _calls["d1"] = 0;
        Run(0, Second, TwoLegs);
        Assert.Empty(Run(60 * Second, 61 * Second, TwoLegs));
        _calls["d1"] = long.MaxValue;
        Assert.Empty(Run(61 * Second, 70 * Second, TwoLegs));
    }

    [Fact]
    public void LostDisk_IsNotReportedAgain()
    {
        _calls["d1"] = 0;
        Assert.Empty(Run(0, 20 * Second, TwoLegs with { Groups = [[["d0"]]], Lost = ["d1"] }, DiskAnswer.Hangs));
    }

    [Fact] // What had no other place when the disk was lost, and has one now.
    public void LostDiskStillInUse_IsReportedOnceItsDataLiesElsewhereToo()
    {
        _calls["d0"] = 0;
        var view = TwoLegs with { Lost = ["d1"] };
        Assert.DoesNotContain(Run(5 * Second, 8 * Second, view, DiskAnswer.Hangs), effect => effect.Kind == WatchEffectKind.Hangs);
        _calls["d0"] = long.MaxValue;
        Assert.Contains(Run(8 * Second, 10 * Second, view, DiskAnswer.Hangs), effect => effect is { Kind: WatchEffectKind.Hangs, Disk: "d1" });
    }

    private List<WatchEffect> Run(long from, long to, WatchView view, DiskAnswer? answer = null)
    {
        var all = new List<WatchEffect>();
        for (var now = from; now < to; now += Second / 10)
        {
            _watch.Tick(now, Times, [.. _calls.Select(call => new DiskAge(call.Key, call.Value <= now ? call.Value : long.MaxValue))], view);
            foreach (var ask in _watch.Effects)
            {
                if (ask.Kind == WatchEffectKind.Ask && answer is { } said) _watch.Answered(now, ask.Disk, ask.Question, ask.Node!, said);
            }

            all.AddRange(_watch.Effects);
            _watch.Effects.Clear();
        }

        return all;
    }
}
