using RaftMirror.DataPlane.Configuration;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>What the committed state keeps for legs that are offline: the oracle's copy of the rules of <c>KeptMarks</c>.</summary>
internal sealed class SimKeptMarks(bool isLogged)
{
    private readonly Dictionary<string, Kept> _byLeg = new(StringComparer.Ordinal);

    public int Losses { get; private set; }

    public int Returns { get; private set; }

    /// <summary>A leg goes offline: it misses what is owed now, and all of it if it was being copied to in full.</summary>
    public void Lost(string leg, ResyncConfiguration? resync)
    {
        Losses++;
        _byLeg[leg] = new Kept { IsEverything = !isLogged };
        Owed(resync);
    }

    /// <summary>Something is owed between the legs in use: whoever is away misses it too, also after they are equal again.</summary>
    public void Owed(ResyncConfiguration? resync)
    {
        if (resync is null) return;
        foreach (var kept in _byLeg.Values)
        {
            kept.IsEverything |= resync.IsEverythingOwed;
            foreach (var run in resync.OwedRegions)
            {
                for (var region = run.Start; region < run.End; region++) kept.Regions.Add(region);
            }
        }
    }

    /// <summary>The leg is written again: what it is owed, on top of what is owed already.</summary>
    public ResyncConfiguration Returned(string leg, ResyncConfiguration? resync)
    {
        Returns++;
        _byLeg.Remove(leg, out var kept);
        if (kept!.IsEverything || resync is { IsEverythingOwed: true }) return new ResyncConfiguration(true, [], 0);
        return new ResyncConfiguration(false, Union(resync?.OwedRegions ?? [], [.. kept.Regions.Select(static region => new ByteRange(region, 1))]), 0);
    }

    public void Forget(string leg) => _byLeg.Remove(leg);

    public static ByteRange[] Union(IReadOnlyList<ByteRange> left, IReadOnlyList<ByteRange> right)
    {
        var regions = new SortedSet<long>();
        foreach (var run in left.Concat(right))
        {
            for (var region = run.Start; region < run.End; region++) regions.Add(region);
        }

        return [.. regions.Select(static region => new ByteRange(region, 1))];
    }

    private sealed class Kept
    {
        public bool IsEverything { get; set; }

        public SortedSet<long> Regions { get; } = [];
    }
}
