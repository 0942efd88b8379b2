using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Clocks;

/// <summary>Compares the wall clocks of the nodes as this node reads them (design §14.23): what time it is by a majority of the voters, and whose
/// clock is wrong. Pure: times are inputs, CLOCK_BOOTTIME of this node in ms. One thread owns it.
///
/// Two clocks are compared by their offsets from this node's boot time, which no correction of a wall clock moves: so readings of different
/// moments can be compared, and a jump shows in the next reading.</summary>
public sealed class ClockWatch
{
    /// <summary>Clocks that are further apart than this are not both right.</summary>
    public const long MaxApartMs = 3000;

    /// <summary>Whose clock was wrong counts as right again once it is this near: so that none goes back and forth.</summary>
    public const long NearMs = 2000;

    /// <summary>Readings that took longer say too little.</summary>
    public const long MaxUncertaintyMs = 1000;

    /// <summary>A reading counts for so long: who is silent is no part of a majority.</summary>
    public const long StaleAfterMs = 5000;

    private readonly SortedDictionary<string, Reading> _readings = new(StringComparer.Ordinal);
    private ImmutableSortedSet<string> _voters = ImmutableSortedSet.Create<string>(StringComparer.Ordinal);
    private ImmutableSortedSet<string> _off = ImmutableSortedSet.Create<string>(StringComparer.Ordinal);

    /// <summary>Who votes. Others' clocks are compared, but decide nothing.</summary>
    public void SetVoters(IEnumerable<string> voters) => _voters = voters.ToImmutableSortedSet(StringComparer.Ordinal);

    /// <summary>A clock was read; this node's own too.</summary>
    /// <param name="node">Whose.</param>
    /// <param name="beforeMs">Boot time of this node before it was asked.</param>
    /// <param name="afterMs">Boot time of this node when the answer was there.</param>
    /// <param name="unixMs">What it showed in between.</param>
    public void Read(string node, long beforeMs, long afterMs, long unixMs)
    {
        var uncertaintyMs = (afterMs - beforeMs + 1) / 2;
        if (uncertaintyMs > MaxUncertaintyMs) return; // An older one, if there is any, says more.
        _readings[node] = new Reading(unixMs - (beforeMs + ((afterMs - beforeMs) / 2)), uncertaintyMs, afterMs);
    }

    /// <summary>What the clocks say now.</summary>
    /// <param name="nowMs">Boot time.</param>
    public ClockVerdict Judge(long nowMs)
    {
        foreach (var (node, reading) in _readings.ToList())
        {
            if (nowMs - reading.AtMs > StaleAfterMs) _readings.Remove(node);
        }

        var voters = _readings.Where(pair => _voters.Contains(pair.Key)).Select(static pair => pair.Value)
            .OrderBy(static reading => reading.OffsetMs).ToList();
        var majority = (_voters.Count / 2) + 1;
        var agreed = AgreedOffset(voters, majority);
        long? median = voters.Count >= majority ? voters[(voters.Count - 1) / 2].OffsetMs : null;
        var reference = agreed ?? median;
        _off = _voters.Count >= 3 && agreed is { } right ? WrongAgainst(right) : _off.Clear();
        return new ClockVerdict(
            _voters.Count,
            _voters.Count > 0 && voters.Count == _voters.Count,
            agreed,
            median,
            AheadOf(reference),
            _off,
            agreed is null && voters.Count >= majority && voters.Count > 1);
    }

    /// <summary>The tightest majority of the voters, if its clocks agree. Two majorities share a voter, so at most one can be far from another.</summary>
    private static long? AgreedOffset(List<Reading> sorted, int majority)
    {
        (long Spread, int First)? best = null;
        for (var first = 0; first + majority <= sorted.Count; first++)
        {
            var (low, high) = (sorted[first], sorted[first + majority - 1]);
            var spread = high.OffsetMs - low.OffsetMs;
            if (spread - low.UncertaintyMs - high.UncertaintyMs > MaxApartMs || (best is { } known && known.Spread <= spread)) continue;
            best = (spread, first);
        }

        return best is { } tightest ? sorted[tightest.First + ((majority - 1) / 2)].OffsetMs : null;
    }

    private ImmutableSortedSet<string> WrongAgainst(long rightMs)
    {
        var wrong = _off.Clear().ToBuilder();
        foreach (var (node, reading) in _readings)
        {
            var distance = Math.Abs(reading.OffsetMs - rightMs) - reading.UncertaintyMs;
            if (distance > (_off.Contains(node) ? NearMs : MaxApartMs)) wrong.Add(node);
        }

        return wrong.ToImmutable();
    }

    private ImmutableSortedDictionary<string, long> AheadOf(long? referenceMs)
    {
        var ahead = OrdinalMap.Empty<long>().ToBuilder();
        if (referenceMs is not { } reference) return ahead.ToImmutable();
        foreach (var (node, reading) in _readings) ahead[node] = reading.OffsetMs - reference;
        return ahead.ToImmutable();
    }

    /// <param name="OffsetMs">The clock minus this node's boot time.</param>
    /// <param name="UncertaintyMs">By which that may be wrong, either way.</param>
    /// <param name="AtMs">When it was read.</param>
    private readonly record struct Reading(long OffsetMs, long UncertaintyMs, long AtMs);
}
