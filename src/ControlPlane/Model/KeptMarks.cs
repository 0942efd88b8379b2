using System.Collections.Immutable;

namespace RaftMirror.ControlPlane.Model;

/// <summary>What an offline submirror will be owed when it is back: a superset of all regions written since it left. Pure.
/// <para>Three places hold it together. Live nodes clear no mark while a submirror is offline, so their dirty logs have all that they
/// wrote. What a dead node's log held, and what a resync of the others owes, would be forgotten once merged and resynced: it
/// is kept here, in the replicated state, from the moment that it becomes known. At the return each live node tells
/// its marks (<see cref="BarrierKind.LegReturn"/>).</para></summary>
public static class KeptMarks
{
    /// <summary>What a submirror misses at the moment it goes offline, beyond the marks of live nodes.</summary>
    public static (bool IsEverything, ImmutableArray<RegionRun> Runs) AtLoss(VolumeState volume, SubmirrorState leg)
    {
        if (volume.Recovery == RecoveryMode.App) return (true, []); // No marks tell what is written meanwhile.
        if (volume.Resync is not { } resync) return (leg.IsTarget, []);
        // A full copy to a new submirror says nothing about the others; any other full resync does.
        var isEverything = resync.IsEverythingOwed && (leg.IsTarget || resync.Kind != ResyncKind.Submirror);
        return (isEverything, resync.OwedRuns);
    }

    /// <summary>The submirror with more that it misses; the same one if it missed that already.</summary>
    public static SubmirrorState Add(SubmirrorState leg, bool isEverything, ImmutableArray<RegionRun> runs)
    {
        if (leg.IsEverythingKept || StateMutants.MarksNotKept) return leg; // Runs would say nothing more.
        if (isEverything) return leg with { IsEverythingKept = true, KeptRuns = [] };
        var union = RegionRuns.Union(leg.KeptRuns, runs);
        return union.SequenceEqual(leg.KeptRuns) ? leg : leg with { KeptRuns = union };
    }
}
