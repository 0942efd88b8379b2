using System.Collections.Immutable;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>A dirty log that lies on one disk is opened anew once it may lie on two (design §14.17), by the protocol of one that failed.</summary>
public sealed class LogRulesTests
{
    private readonly Bench _bench = Bench.Cluster().WithMirror();

    private SetState Set => _bench.State.Sets["s"];

    [Fact]
    public void OneDiskWasMissing_IsBack_LogMayLieOnMore()
    {
        OpenOnOne();
        Assert.False(MayLieOnMore());
        _bench.Ok(new ReportDisks("s", "b", 10, []));
        Assert.True(MayLieOnMore());
        Assert.False(LogRules.MayLieOnMore(_bench.State, Set, Set.Members["b"], 9));
        Assert.False(LogRules.MayLieOnMore(_bench.State, Set, Set.Members["a"], 10)); // Lies on two.
    }

    [Fact] // Sealed, merged, opened: what the old log told is owed before it is written over.
    public void OpenedAnew_OldMarksAreMergedBefore()
    {
        OpenOnOne();
        _bench.Ok(new ReportDisks("s", "b", 10, []));
        var generation = Set.Members["b"].SlotGeneration;
        _bench.Ok(new AbandonSlot("s", "b", 10, generation, "opened anew"));
        _bench.No(new OpenSlot("s", "b", 10, ["d1", "d2"]), "busy");
        Assert.False(MayLieOnMore());
        _bench.Ok(_bench.MergeOf("b", 10, "a", new VolumeMarks(1, [new RegionRun(3, 1)])));
        Assert.Equal([new RegionRun(3, 1)], _bench.Volume().Resync!.OwedRuns.ToArray());
        _bench.Ok(new OpenSlot("s", "b", 10, ["d1", "d2"]));
        Assert.Equal(generation + 1, Set.Members["b"].SlotGeneration);
        Assert.False(MayLieOnMore());
    }

    [Fact] // Not beside a repair, and one node after the other.
    public void SetIsNotAtRest_LogStays()
    {
        OpenOnOne();
        _bench.Ok(new ReportDisks("s", "b", 10, []));
        _bench.Ok(new CreateMirror("s", "w", 4 << 20, ["d1", "d3"], Node: "a"));
        Assert.False(MayLieOnMore());
        _bench.Ok(new FinishResync("s", "w", _bench.Volume("w").Owner.Epoch, "a", 10, _bench.State.Index, 1, 0, 0));
        Assert.True(MayLieOnMore());
        _bench.Ok(new AbandonSlot("s", "c", 10, Set.Members["c"].SlotGeneration, "failed"));
        Assert.False(MayLieOnMore());
        _bench.Ok(_bench.MergeOf("c", 10, "a"));
        Assert.False(MayLieOnMore()); // c has no log yet.
        _bench.Ok(new OpenSlot("s", "c", 10, ["d1", "d2"]));
        Assert.True(MayLieOnMore());
    }

    private bool MayLieOnMore() => LogRules.MayLieOnMore(_bench.State, Set, Set.Members["b"], 10);

    /// <summary>Node b opens its log while it can use one disk only.</summary>
    private void OpenOnOne()
    {
        _bench.Ok(new AbandonSlot("s", "b", 10, Set.Members["b"].SlotGeneration, "failed"));
        _bench.Ok(_bench.MergeOf("b", 10, "a"));
        ImmutableArray<DiskComplaint> missing =
            [new DiskComplaint("d2", DiskLossReason.Absent, "gone"), new DiskComplaint("d3", DiskLossReason.Absent, "gone")];
        _bench.Ok(new ReportDisks("s", "b", 10, missing));
        _bench.Ok(new OpenSlot("s", "b", 10, ["d1"]));
    }
}
