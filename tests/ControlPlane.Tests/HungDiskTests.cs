using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>Disks that hang, as the committed state sees them (design §14.20).</summary>
public sealed class HungDiskTests
{
    [Fact] // Legs and dirty logs alike: an acknowledged mark is on every disk that the state lists, so the others have all.
    public void LoseDisk_LeavesTheDirtyLogsThatHaveAnother()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        foreach (var member in bench.State.Sets["s"].Members.Values)
        {
            Assert.Equal(["d1"], member.Slot!.Disks.ToArray());
            Assert.Equal(1UL, member.SlotGeneration);
        }

        bench.Ok(Lose(bench, "d1")); // The only one stays named: its log ends with it.
        Assert.Equal(["d1"], bench.State.Sets["s"].Members["a"].Slot!.Disks.ToArray());
    }

    [Fact] // All legs slow at once: none is lost.
    public void LoseDisk_OtherLegIsSlowToo_LegStaysUntilTheOtherIsWell()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2") with { Slow = ["d1"] });
        Assert.All(bench.Volume().Submirrors, leg => Assert.Equal(SubmirrorStatus.Okay, leg.Status));
        bench.Ok(Lose(bench, "d2"));
        Assert.Equal([SubmirrorStatus.Okay, SubmirrorStatus.Offline], bench.Volume().Submirrors.Select(static leg => leg.Status));
    }

    [Fact]
    public void LeaveLogDisk_OneOfTwo_GoesOnWithTheOther()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.No(new LeaveLogDisk("s", "a", 10, 7, "d2"), "staleSlot");
        bench.Ok(new LeaveLogDisk("s", "a", 10, 1, "d2"));
        Assert.Equal(["d1"], bench.State.Sets["s"].Members["a"].Slot!.Disks.ToArray());
        Assert.Equal(["d1", "d2"], bench.State.Sets["s"].Members["b"].Slot!.Disks.ToArray());
        bench.Ok(new LeaveLogDisk("s", "a", 10, 1, "d1")); // Its last one.
        Assert.Empty(bench.Types);
    }

    [Fact] // What a dead writer had under way is not proven to be over by its fencing.
    public void LoseDisk_DeadWriterIsNotMerged_CountsAsAUser()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Fence("a", 10);
        bench.Ok(Lose(bench, "d2", "b", "c"));
        Assert.Equal(["b", "c", "a"], bench.State.Sets["s"].Disks["d2"].Users.Select(static user => user.Node));
    }

    [Fact] // Design §6.2: the device time-out is part of the horizon.
    public void Horizon_OfANodeInASet_HasItsDeviceTimeout()
    {
        var times = new LeaseOptions();
        var bench = Bench.Cluster();
        Assert.Equal(3520, times.HorizonMs);
        Assert.Equal(7520, times.HorizonMsOf(bench.State, "a"));
        bench.Ok(new CreateSet("t", Bench.Id(1, 3), ["b"]) { DeviceTimeoutMs = 20_000 });
        Assert.Equal((7520, 22_520), (times.HorizonMsOf(bench.State, "a"), times.HorizonMsOf(bench.State, "b")));
        bench.No(new CreateSet("u", Bench.Id(1, 4), ["b"]) { DeviceTimeoutMs = 20 }, "badDeviceTimeout");
    }

    private static LoseDisk Lose(Bench bench, string disk, params string[] by)
    {
        string[] nodes = by.Length == 0 ? ["a", "b", "c"] : by;
        return new LoseDisk("s", disk, DiskLossReason.TimedOut, "hangs", nodes[0], 10, bench.Evidence(nodes));
    }
}
