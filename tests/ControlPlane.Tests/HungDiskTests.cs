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
        Assert.All(bench.Volume().Submirrors, leg => Assert.Equal(LegState.Okay, leg.Status));
        bench.Ok(Lose(bench, "d2"));
        Assert.Equal([LegState.Okay, LegState.Offline], bench.Volume().Submirrors.Select(static leg => leg.Status));
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

    [Fact] // Design §14.5: its call outlives it and its lease, and would land over what others write under the receipt.
    public void Fence_NodeHadSaidThatADiskHangsThere_DiskIsLostUntilItsCallsHaveEnded()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new ReportDisks("s", "a", 10, [new DiskComplaint("d2", DiskLossReason.TimedOut, "hangs"), new DiskComplaint("d1", DiskLossReason.FailsHere, "EIO")]));
        Assert.Equal(DiskStatus.Okay, bench.State.Sets["s"].Disks["d2"].Status);
        bench.Fence("a", 10);
        var disks = bench.State.Sets["s"].Disks;
        Assert.Equal((DiskStatus.Lost, DiskLossReason.TimedOut), (disks["d2"].Status, disks["d2"].LossReason));
        Assert.Contains(new DiskUser("a", 10, disks["d2"].Users.Single(static user => user.Node == "a").BootId), disks["d2"].Users);
        Assert.Equal(DiskStatus.Okay, disks["d1"].Status); // A call that failed has ended.
        Assert.Equal([LegState.Okay, LegState.Offline], bench.Volume().Submirrors.Select(static leg => leg.Status));

        var lostAt = disks["d2"].LostAtIndex;
        foreach (var node in (string[])["b", "c"]) bench.Ok(new ReportDiskIoEnded("s", "d2", lostAt, bench.State.Nodes[node].Incarnation, node, bench.State.Nodes[node].Incarnation));
        bench.No(new ReturnDisk("s", "d2", false, "well", "b", bench.State.Nodes["b"].Incarnation, bench.Evidence("b", "c")), "ioOutstanding");
    }

    [Fact] // The last source is never taken out: its I/O waits, and a cause says for whom.
    public void Fence_EveryDiskHungThere_LastLegStays()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new ReportDisks("s", "a", 10, [new DiskComplaint("d1", DiskLossReason.TimedOut, "hangs"), new DiskComplaint("d2", DiskLossReason.TimedOut, "hangs")]));
        bench.Fence("a", 10);
        Assert.All(["d1", "d2"], disk => Assert.Equal(DiskStatus.Lost, bench.State.Sets["s"].Disks[disk].Status));
        Assert.Single(bench.Volume().Submirrors, static leg => leg.IsReadable);
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
