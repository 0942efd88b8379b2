using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>What this node tells when a leg that was offline is written again: the regions that it had marked at that instant. While the
/// leg was away no mark was cleared, and every write since goes to the leg, so that the leg misses nothing else of this node's.
/// Belongs to one core.</summary>
internal sealed class LegReturns
{
    private readonly Dictionary<ulong, IReadOnlyList<ByteRange>> _told = [];
    private readonly Dictionary<ulong, long> _sentNs = [];

    /// <summary>True while this node's marks are not known to the committed state: none may be cleared.</summary>
    public bool IsAwaited => _told.Count > 0;

    /// <summary>Takes over the barriers of a configuration, before any write is submitted under it.</summary>
    public void Configured(IReadOnlyList<BarrierConfiguration> barriers, RegionTracker? tracker)
    {
        foreach (var id in _told.Keys.ToArray())
        {
            if (IsStillAwaited(barriers, id)) continue;
            _told.Remove(id);
            _sentNs.Remove(id);
        }

        foreach (var barrier in barriers)
        {
            if (barrier.Kind != BarrierKind.LegReturn || !barrier.AwaitsThisNode || _told.ContainsKey(barrier.Id)) continue;
            _told.Add(barrier.Id, tracker is null ? [] : Runs(tracker.MarkedRegions()));
        }
    }

    /// <summary>What is due to be told now, each after <paramref name="repeatNs"/> once more.</summary>
    public IEnumerable<(ulong Barrier, IReadOnlyList<ByteRange> Runs)> Due(long now, long repeatNs)
    {
        foreach (var (id, runs) in _told.OrderBy(static entry => entry.Key).ToArray())
        {
            if (_sentNs.TryGetValue(id, out var sent) && now - sent < repeatNs) continue;
            _sentNs[id] = now;
            yield return (id, runs);
        }
    }

    private static bool IsStillAwaited(IReadOnlyList<BarrierConfiguration> barriers, ulong id)
    {
        foreach (var barrier in barriers)
        {
            if (barrier.Id == id) return barrier.AwaitsThisNode;
        }

        return false;
    }

    private static List<ByteRange> Runs(IReadOnlyList<long> regions)
    {
        var runs = new List<ByteRange>();
        foreach (var region in regions)
        {
            if (runs.Count > 0 && runs[^1].End == region) runs[^1] = new ByteRange(runs[^1].Start, runs[^1].Length + 1);
            else runs.Add(new ByteRange(region, 1));
        }

        return runs;
    }
}
