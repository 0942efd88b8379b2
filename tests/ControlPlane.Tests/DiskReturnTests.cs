using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>An older copy of a lost disk, or one that was cut, comes back with everything owed (design §14.19).</summary>
public sealed class DiskReturnTests
{
    private readonly Bench _bench = Bench.Cluster().WithMirror();

    private SetState Set => _bench.State.Sets["s"];

    private DiskState Disk => Set.Disks["d2"];

    [Fact]
    public void OlderCopy_AllSeeIt_ReturnsWithEverythingOwed()
    {
        LoseAs(Old());
        Assert.True(DiskLossRules.MayReturn(_bench.State, Set, Disk));
        _bench.No(Return(isEverything: false), "diskNotSeen");
        _bench.Ok(Return(isEverything: true));
        Assert.Equal(["DiskReturned", "MarksKept", "SubmirrorStateChanged", "LegReturning", "ResyncStarted"], _bench.Types);
        Assert.True(_bench.Volume().Resync is { IsEverythingOwed: true, PositionBytes: 0, Kind: ResyncKind.Submirror });
        Assert.Equal(LegState.Resyncing, _bench.Volume().Submirrors[1].Status);
        Assert.All(Set.Members.Values, static member => Assert.Empty(member.Disks));
    }

    [Fact] // Exchanged for an older copy before its first stamp, it would pass as the disk, and lack what was counted.
    public void ReturnedDisk_NotStampedYet_NoProgressCounts()
    {
        LoseAs(Old());
        _bench.Ok(Return(isEverything: true));
        foreach (var waiting in _bench.Volume().Barriers.Single().Waiting)
            _bench.Ok(new ConfirmBarrier("s", "v", _bench.Volume().Barriers.Single().Id, waiting.Node, waiting.Incarnation));
        _bench.Ok(Progress());
        Assert.Equal(0, _bench.Volume().Resync!.PositionBytes);
        _bench.No(Finish(), "notStamped");
        _bench.No(new CreateMirror("s", "w", 1 << 20, ["d2"]), "busy");
        Assert.True(Stamps.IsDue(Set, 0));
        Assert.False(Stamps.IsDue(Set, 0, static disk => disk.Name != "d2")); // Nobody beats for a disk that it cannot stamp.
        _bench.Ok(_bench.BeatOf("a", "d1", "d3"));
        _bench.No(Finish(), "notStamped");
        _bench.Ok(_bench.BeatOf("a"));
        _bench.Ok(Progress());
        Assert.Equal(1 << 20, _bench.Volume().Resync!.PositionBytes);
        _bench.Ok(Finish());
        Assert.Equal(LegState.Okay, _bench.Volume().Submirrors[1].Status);
        Assert.False(Stamps.IsDue(Set, 0));
    }

    [Fact]
    public void ReturnedDisk_LostBeforeItsStamp_IsOwedEverythingAgain()
    {
        LoseAs(Old());
        _bench.Ok(Return(isEverything: true));
        LoseAs();
        Assert.True(_bench.Volume().Submirrors[1].IsEverythingKept);
        _bench.Ok(Return(isEverything: false)); // Any label passes now.
        Assert.True(_bench.Volume().Resync!.IsEverythingOwed);
    }

    [Fact]
    public void OlderCopy_OneNodeDoesNotSeeIt_StaysOut()
    {
        LoseAs(Old());
        _bench.Ok(new ReportDisks("s", "c", 10, [new DiskComplaint("d2", DiskLossReason.Cloned, "another one")]));
        Assert.False(DiskLossRules.MayReturn(_bench.State, Set, Disk));
        _bench.No(Return(isEverything: true), "diskNotSeen");
    }

    [Fact] // Its data is gone then, and nobody has it: that is the operator's to decide.
    public void OlderCopy_OfTheOnlySource_StaysOut()
    {
        _bench.Ok(new CreateMirror("s", "w", 1 << 20, ["d2"], Node: "a"));
        LoseAs(Old());
        Assert.False(DiskLossRules.MayReturn(_bench.State, Set, Disk));
        Assert.Equal(["w"], DiskLossRules.OnlySources(Set, "d2").Select(static volume => volume.Name));
        _bench.No(Return(isEverything: true), "lastSource");
        // The right one comes back.
        foreach (var node in Set.Members.Keys) _bench.Ok(new ReportDisks("s", node, 10, []));
        Assert.True(DiskLossRules.MayReturn(_bench.State, Set, Disk));
        _bench.Ok(Return(isEverything: false));
    }

    [Fact] // Overwritten now, it would be lost if it is the better one of two.
    public void OlderCopy_TheOtherLegIsLostToo_StaysOut()
    {
        LoseAs(Old());
        _bench.Ok(new LoseDisk("s", "d1", DiskLossReason.Absent, "gone", "a", 10, _bench.Evidence("a", "b", "c")));
        Assert.False(DiskLossRules.MayReturn(_bench.State, Set, Disk));
        _bench.No(Return(isEverything: true), "lastSource");
    }

    [Fact] // One disk is away, the other one is an old copy: the data is on the one that is away.
    public void Activation_OldAndAbsentDisk_TheAbsentOneStaysTheSource()
    {
        foreach (var node in Set.Members.Keys) _bench.Ok(new StopNode(node, 10, ["s"]));
        _bench.Register("a", 1, 11);
        var number = _bench.Ok(new StartActivation("s", "a", 11)).Data!.Generation!.Value;
        _bench.Ok(new CompleteActivation("s", number, "a", 11, ["d3"])
        {
            Complaints = [new DiskComplaint("d1", DiskLossReason.Absent, "gone"), Old()],
        });
        Assert.Equal([LegState.Okay, LegState.Offline], _bench.Volume().Submirrors.Select(static leg => leg.Status));
        Assert.False(DiskLossRules.MayReturn(_bench.State, Set, Disk)); // Nothing to copy from.
        _bench.Ok(new ReportDisks("s", "a", 11, [Old()]));
        _bench.Ok(_bench.BeatOf("a"));
        foreach (var barrier in _bench.Volume().Barriers) _bench.Ok(new ConfirmBarrier("s", "v", barrier.Id, "a", 11));
        _bench.Ok(new ReturnDisk("s", "d1", false, "its label is right", "a", 11, _bench.Evidence("a")));
        Assert.True(DiskLossRules.MayReturn(_bench.State, Set, Disk));
    }

    [Fact] // Somebody looked before the return and tells after it.
    public void ReportDisks_OfARefilledDisk_CountsOnceItIsStamped()
    {
        LoseAs(Old());
        _bench.Ok(Return(isEverything: true));
        _bench.Ok(new ReportDisks("s", "b", 10, [Old()]));
        Assert.Empty(Set.Members["b"].Disks);
        _bench.Ok(_bench.BeatOf("a"));
        _bench.Ok(new ReportDisks("s", "b", 10, [Old()]));
        Assert.Equal([Old()], Set.Members["b"].Disks.ToArray());
    }

    private static DiskComplaint Old() => new("d2", DiskLossReason.Older, "older") { MayBeRefilled = true };

    /// <summary>The disk is lost, the loss is over, and every node says that of it.</summary>
    private void LoseAs(params DiskComplaint[] complaints)
    {
        _bench.Ok(new LoseDisk("s", "d2", DiskLossReason.Absent, "gone", "a", 10, _bench.Evidence("a", "b", "c")));
        _bench.Ok(_bench.BeatOf("a"));
        foreach (var barrier in _bench.Volume().Barriers)
        {
            foreach (var waiting in barrier.Waiting) _bench.Ok(new ConfirmBarrier("s", "v", barrier.Id, waiting.Node, waiting.Incarnation));
        }

        foreach (var user in Disk.Users) _bench.Ok(new ReportDiskIoEnded("s", "d2", Disk.LostAtIndex, user.Incarnation, user.Node, 10));
        foreach (var node in Set.Members.Keys) _bench.Ok(new ReportDisks("s", node, 10, [.. complaints]));
    }

    private ReturnDisk Return(bool isEverything) => new("s", "d2", isEverything, "its label was read", "a", 10, _bench.Evidence("a", "b", "c"));

    private ReportResync Progress() => new("s", "v", _bench.Volume().Owner.Epoch, "a", 10, _bench.State.Index, 1 << 20);

    private FinishResync Finish() => new("s", "v", _bench.Volume().Owner.Epoch, "a", 10, _bench.State.Index, 1, 0, 0);
}
