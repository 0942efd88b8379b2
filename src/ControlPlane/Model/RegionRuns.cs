using System.Collections.Immutable;
using RaftMirror.Primitives;

namespace RaftMirror.ControlPlane.Model;

/// <summary>Regions [Start, Start + Count) of a volume. In JSON: [start, count].</summary>
/// <param name="Start">First region number.</param>
/// <param name="Count">Number of regions, 1 and up.</param>
public readonly record struct RegionRun(long Start, long Count)
{
    /// <summary>The first region after the run.</summary>
    public long End => Start + Count;
}

/// <summary>Sets of regions as sorted, disjoint, non-adjacent runs. A set is cut down to <see cref="MaxRuns"/> runs by joining the
/// runs with the smallest gaps, so that it stays a superset.</summary>
public static class RegionRuns
{
    /// <summary>Most runs of one volume in the replicated state.</summary>
    public const int MaxRuns = 4096;

    /// <summary>The union of two lists of runs, in any order and overlapping at will, bounded to <see cref="MaxRuns"/>.</summary>
    public static ImmutableArray<RegionRun> Union(IEnumerable<RegionRun> left, IEnumerable<RegionRun> right)
    {
        var sorted = new List<RegionRun>(left);
        sorted.AddRange(right);
        sorted.Sort(static (a, b) => a.Start != b.Start ? a.Start.CompareTo(b.Start) : a.Count.CompareTo(b.Count));
        var joined = new List<RegionRun>(sorted.Count);
        foreach (var run in sorted)
        {
            Invariant.Require(run.Start >= 0 && run.Count > 0 && run.Start <= long.MaxValue - run.Count, "Runs are checked before they are kept.");
            if (joined.Count > 0 && run.Start <= joined[^1].End)
            {
                var last = joined[^1];
                joined[^1] = last with { Count = Math.Max(last.End, run.End) - last.Start };
            }
            else
            {
                joined.Add(run);
            }
        }

        return Coarsen(joined, MaxRuns);
    }

    /// <summary>A superset of sorted, disjoint runs in at most <paramref name="maxRuns"/> runs: for commands, whose size is bounded.</summary>
    public static ImmutableArray<RegionRun> Bound(ImmutableArray<RegionRun> runs, int maxRuns) =>
        runs.Length <= maxRuns ? runs : Coarsen([.. runs], maxRuns);

    /// <summary>The part of <paramref name="runs"/> at or above a region.</summary>
    public static ImmutableArray<RegionRun> From(ImmutableArray<RegionRun> runs, long firstRegion)
    {
        var kept = ImmutableArray.CreateBuilder<RegionRun>();
        foreach (var run in runs)
        {
            if (run.End <= firstRegion) continue;
            var start = Math.Max(run.Start, firstRegion);
            kept.Add(new RegionRun(start, run.End - start));
        }

        return kept.ToImmutable();
    }

    /// <summary>Number of regions in disjoint runs.</summary>
    public static long Count(ImmutableArray<RegionRun> runs)
    {
        long count = 0;
        foreach (var run in runs) count += run.Count;
        return count;
    }

    /// <summary>Joins the runs with the smallest gaps (the lower first) until at most <paramref name="maxRuns"/> are left.</summary>
    internal static ImmutableArray<RegionRun> Coarsen(List<RegionRun> runs, int maxRuns)
    {
        if (runs.Count <= maxRuns) return [.. runs];
        var gaps = new List<(long Gap, int Before)>(runs.Count - 1);
        for (var i = 1; i < runs.Count; i++) gaps.Add((runs[i].Start - runs[i - 1].End, i));
        gaps.Sort(); // Tuples compare gap first, then place: a total order, so the same on every node.
        var closed = new bool[runs.Count];
        for (var i = 0; i < runs.Count - maxRuns; i++) closed[gaps[i].Before] = true;

        var kept = ImmutableArray.CreateBuilder<RegionRun>(maxRuns);
        for (var i = 0; i < runs.Count; i++)
        {
            if (closed[i]) kept[^1] = kept[^1] with { Count = runs[i].End - kept[^1].Start };
            else kept.Add(runs[i]);
        }

        return kept.ToImmutable();
    }
}
