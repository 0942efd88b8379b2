using Xunit;

namespace RaftMirror.Primitives.Tests;

/// <summary>A simulator's seed means the same for ever.</summary>
public sealed class XoshiroTests
{
    [Fact] // xoshiro256** whose state SplitMix64 makes of the seed 0.
    public void NextUInt64_KnownSeed_GivesThePublishedSequence()
    {
        var random = new Xoshiro(0);
        Assert.Equal(
            [11091344671253066420, 13793997310169335082, 1900383378846508768, 7684712102626143532],
            Enumerable.Range(0, 4).Select(_ => random.NextUInt64()));
    }

    [Fact]
    public void Next_AnyMaximum_StaysInTheRangeAndReachesItsEnds()
    {
        var random = new Xoshiro(7);
        var seen = new HashSet<int>();
        for (var i = 0; i < 1000; i++) seen.Add(random.Next(-2, 3));
        Assert.Equal([-2, -1, 0, 1, 2], seen.Order());
        Assert.All(Enumerable.Range(0, 1000), _ => Assert.InRange(random.NextDouble(), 0, 0.9999999999999999));
        Assert.False(random.Chance(0));
        Assert.True(random.Chance(1));
        Assert.Throws<InvariantException>(() => random.Next(0));
    }

    [Fact] // One consumer's draws do not shift another's.
    public void Fork_DrawnFrom_LeavesTheParentAsItWas()
    {
        var (drawn, left) = (new Xoshiro(3), new Xoshiro(3));
        var fork = drawn.Fork();
        _ = left.Fork();
        for (var i = 0; i < 10; i++) _ = fork.NextUInt64();
        Assert.Equal(left.NextUInt64(), drawn.NextUInt64());
    }
}
