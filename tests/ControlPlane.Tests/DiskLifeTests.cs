using System.Collections.Immutable;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>A disk is lost and comes back (design §14.5, §14.20, §14.21).</summary>
public sealed class DiskLifeTests
{
    [Fact] // §14.5: offline with its marks kept; §14.2, §14.10: barrier and labels of the survivors.
    public void LoseDisk_OneOfTwoLegs_GoesOfflineBehindABarrier()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        Assert.Equal(["DiskLost", "SubmirrorStateChanged", "BarrierStarted"], bench.Types);
        var disk = bench.State.Sets["s"].Disks["d2"];
        Assert.Equal(
            (DiskStatus.Lost, DiskLossReason.Absent, bench.State.Index), (disk.Status, disk.LossReason, disk.LostAtIndex));
        Assert.Equal(["a", "b", "c"], disk.Users.Select(static user => user.Node));
        Assert.Equal(LegState.Offline, bench.Volume().Submirrors[1].Status);
        Settle(bench);
        Assert.Empty(bench.Volume().Barriers);
        Assert.Equal(["d1", "d3"], PlacementRules.ChooseLogDisks(bench.State.Sets["s"], bench.State.Sets["s"].Members["a"], 10).ToArray());
    }

    [Fact] // §14.20: the last readable one is not taken out, whatever the order of the losses.
    public void LoseDisk_LastReadableLeg_Stays()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        bench.Ok(Lose(bench, "d1"));
        Assert.Equal(["DiskLost"], bench.Types);
        Assert.Equal([LegState.Okay, LegState.Offline], bench.Volume().Submirrors.Select(static leg => leg.Status));
    }

    [Fact]
    public void LoseDisk_WithoutTheOthersWord_IsRefused()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.No(Lose(bench, "d2") with { Evidence = bench.Evidence("a", "b") }, "evidenceMissing");
        bench.No(Lose(bench, "d2") with { Reason = DiskLossReason.None }, "badReason");
        bench.No(Lose(bench, "nosuch"), "noSuchDisk");
        bench.Ok(new SuspectNode("c", 10, "silent"));
        bench.Ok(Lose(bench, "d2") with { Evidence = bench.Evidence("a", "b") });
    }

    [Fact] // What a dead node's log tells would be forgotten once the others are equal again.
    public void MergeAndResync_WhileALegIsOffline_AreKeptForIt()
    {
        var bench = Bench.Cluster();
        bench.Ok(new CreateMirror("s", "v", 64 << 20, ["d1", "d2", "d3"], Node: "a"));
        Finish(bench);
        bench.Ok(Lose(bench, "d3"));
        Settle(bench);
        bench.Fence("a", 10);
        bench.Ok(bench.MergeOf("a", 10, "b", new VolumeMarks(1, [new RegionRun(5, 2)])));
        Assert.Contains("MarksKept", bench.Types);
        Assert.Equal([new RegionRun(5, 2)], bench.Volume().Resync!.OwedRuns.ToArray());
        Finish(bench);
        Assert.Null(bench.Volume().Resync);
        Assert.Equal([new RegionRun(5, 2)], bench.Volume().Submirrors[2].KeptRuns.ToArray());

        bench.Ok(Return(bench, "d3"));
        Assert.Equal(LegState.Resyncing, bench.Volume().Submirrors[2].Status);
        Assert.Equal([new RegionRun(5, 2)], bench.Volume().Resync!.OwedRuns.ToArray());
        Assert.Empty(bench.Volume().Submirrors[2].KeptRuns);
    }

    [Fact] // With one leg left nothing differs, so nothing is owed now; the one that is away misses it all the same.
    public void Merge_OneLegLeft_KeepsTheMarks()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Fence("a", 10);
        bench.Ok(bench.MergeOf("a", 10, "b", new VolumeMarks(1, [new RegionRun(9, 1)])));
        Assert.Null(bench.Volume().Resync);
        Assert.Equal([new RegionRun(9, 1)], bench.Volume().Submirrors[1].KeptRuns.ToArray());
        bench.Fence("b", 10);
        bench.Ok(bench.MergeOf("b", 10, "c") with { IsEverything = true });
        Assert.True(bench.Volume().Submirrors[1].IsEverythingKept);
    }

    [Fact] // Nodes' own logs hold the rest: each tells what it has marked, and nobody ends the resync before.
    public void ReturnDisk_ResyncEndsOnlyAfterEveryNodeToldItsMarks()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2"));
        Assert.Equal(["DiskReturned", "SubmirrorStateChanged", "LegReturning", "ResyncStarted"], bench.Types);
        var barrier = Assert.Single(bench.Volume().Barriers);
        bench.No(FinishOf(bench), "moreOwed");
        bench.Ok(new ConfirmBarrier("s", "v", barrier.Id, "a", 10) { Runs = [new RegionRun(3, 1)] });
        bench.Ok(new ConfirmBarrier("s", "v", barrier.Id, "b", 10) { Runs = [new RegionRun(7, 2)] });
        bench.No(FinishOf(bench), "moreOwed");
        bench.Ok(new ConfirmBarrier("s", "v", barrier.Id, "c", 10));
        Assert.Equal([new RegionRun(3, 1), new RegionRun(7, 2)], bench.Volume().Resync!.OwedRuns.ToArray());
        // Its label is the one that it left with: copies of it from the time it was out bear it too.
        Assert.True(Stamps.IsDue(bench.State.Sets["s"], sinceLastMs: 0));
        bench.No(FinishOf(bench), "notStamped");
        bench.Ok(bench.BeatOf("a"));
        Assert.False(Stamps.IsDue(bench.State.Sets["s"], sinceLastMs: 0));
        bench.Ok(FinishOf(bench));
        Assert.Equal(LegState.Okay, bench.Volume().Submirrors[1].Status);
    }

    [Fact] // A victim's sealed log tells of acknowledged writes that the returned leg lacks: it is no source before.
    public void ReturnDisk_NodeDiesBeforeItTold_ResyncWaitsForItsMerge()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2"));
        var barrier = Assert.Single(bench.Volume().Barriers).Id;
        bench.Ok(new ConfirmBarrier("s", "v", barrier, "a", 10));
        bench.Ok(new ConfirmBarrier("s", "v", barrier, "b", 10));
        bench.Fence("c", 10);
        Assert.Empty(bench.Volume().Barriers);
        bench.No(FinishOf(bench), "moreOwed");
        bench.Ok(bench.MergeOf("c", 10, "b", new VolumeMarks(1, [new RegionRun(4, 1)])));
        Assert.Equal([new RegionRun(4, 1)], bench.Volume().Resync!.OwedRuns.ToArray());
        bench.Ok(bench.BeatOf("a"));
        bench.Ok(FinishOf(bench));
    }

    [Fact] // A log that cannot be written says nothing of the submirrors: while they are written, the disk is opened, judged and stamped.
    public void AbandonSlot_DiskFailed_StaysInUseWhileASubmirrorIs()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new AbandonSlot("s", "b", 10, 1, "EIO", "d1"));
        Assert.Equal(["DiskFailed", "SlotSealed"], bench.Types);
        Assert.True(Stamps.IsInUse(bench.State.Sets["s"], bench.State.Sets["s"].Disks["d1"]));
        bench.Ok(bench.BeatOf("a"));
        Assert.Equal(bench.State.Sets["s"].Disks["d2"].Stamp, bench.State.Sets["s"].Disks["d1"].Stamp);
        bench.Ok(new FailSubmirror("s", "v", "v-0", "a", 10, "EIO"));
        Assert.False(Stamps.IsInUse(bench.State.Sets["s"], bench.State.Sets["s"].Disks["d1"]));
        Assert.DoesNotContain("d1", Stamps.DisksToStamp(bench.State.Sets["s"]));
    }

    [Fact] // Writes of all wait for the stamp of a survivor: who can write it has the duty.
    public void SetDuty_LossUnderWay_IsWhereASurvivorCanBeStamped()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new ReportDisks("s", "a", 10, [new DiskComplaint("d1", DiskLossReason.Unreachable, "ENXIO")]));
        bench.Ok(new ReportDisks("s", "b", 10, [new DiskComplaint("d3", DiskLossReason.Unreachable, "ENXIO")]));
        bench.Ok(new ReportDisks("s", "c", 10, [new DiskComplaint("d3", DiskLossReason.Unreachable, "ENXIO")]));
        Assert.Equal("a", Duties.SetDuty(bench.State, bench.State.Sets["s"])!.Name);
        bench.Ok(new FailSubmirror("s", "v", "v-1", "c", 10, "EIO"));
        Assert.Equal("b", Duties.SetDuty(bench.State, bench.State.Sets["s"])!.Name);
        bench.Ok(bench.BeatOf("b", "d1"));
        Assert.Equal(bench.State.Sets["s"].Generation, bench.State.Sets["s"].StampedGeneration);
    }

    [Fact] // §14.20: late completions.
    public void ReturnDisk_IoMayBeOutstanding_IsRefused()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        Settle(bench, endIo: false);
        bench.No(Return(bench, "d2"), "ioOutstanding");
        var lostAt = bench.State.Sets["s"].Disks["d2"].LostAtIndex;
        bench.No(new ReportDiskIoEnded("s", "d2", lostAt - 1, 10, "a", 10), "staleReport");
        foreach (var node in new[] { "a", "b" }) bench.Ok(new ReportDiskIoEnded("s", "d2", lostAt, 10, node, 10));
        bench.No(Return(bench, "d2"), "ioOutstanding");
        // Killed and started anew on the same boot: still in its kernel. Rebooted: gone.
        bench.Ok(new RegisterNode("c", 3, 11, "h:1", "h:2", "h:3") { BootId = "boot 1" });
        Assert.Single(bench.State.Sets["s"].Disks["d2"].Users);
        bench.Ok(new ReportDiskIoEnded("s", "d2", lostAt, 10, "c", 11));
        Assert.Empty(bench.State.Sets["s"].Disks["d2"].Users);
    }

    [Fact]
    public void RegisterNode_OtherBoot_EndsTheIoOfTheFormer()
    {
        var bench = Bench.Cluster();
        bench.Ok(new RegisterNode("c", 3, 11, "h:1", "h:2", "h:3") { BootId = "boot 1" });
        bench.Fence("c", 10);
        bench.Ok(bench.MergeOf("c", 10, "a"));
        bench.Ok(new JoinSet("s", "c", 11));
        bench.Ok(Lose(bench, "d2"));
        Assert.Equal(new DiskUser("c", 11, "boot 1"), bench.State.Sets["s"].Disks["d2"].Users[2]);
        bench.Ok(new RegisterNode("c", 3, 12, "h:1", "h:2", "h:3") { BootId = "boot 1" });
        Assert.DoesNotContain("DiskIoEnded", bench.Types);
        bench.Ok(new RegisterNode("c", 3, 13, "h:1", "h:2", "h:3") { BootId = "boot 2" });
        Assert.Contains("DiskIoEnded", bench.Types);
        Assert.Equal(["a", "b"], bench.State.Sets["s"].Disks["d2"].Users.Select(static user => user.Node));
    }

    [Fact] // No marks tell what was written to an ABR volume meanwhile.
    public void ReturnDisk_AbrOrInDoubt_OwesEverything()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All, RecoveryMode.App);
        bench.Ok(new CreateMirror("s", "w", 8 << 20, ["d1", "d2"], Node: "a"));
        bench.Ok(new FinishResync("s", "w", bench.Volume("w").Owner.Epoch, "a", 10, bench.State.Index, 1, 0, 0));
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2"));
        Assert.True(bench.Volume().Resync!.IsEverythingOwed);
        Assert.False(bench.Volume("w").Resync!.IsEverythingOwed);
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2") with { IsEverythingOwed = true });
        Assert.True(bench.Volume("w").Resync!.IsEverythingOwed);
    }

    [Fact] // Until its label is new, copies of the disk from any time would pass for it after a crash of all nodes.
    public void FinishResync_DiskThatCameBackOld_WaitsForItsStamp()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(bench.BeatOf("a"));
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2") with { IsEverythingOwed = true });
        Confirm(bench);
        bench.No(FinishOf(bench), "notStamped");
        bench.Ok(bench.BeatOf("a", "d1"));
        bench.No(FinishOf(bench), "notStamped");
        bench.Ok(bench.BeatOf("a"));
        Finish(bench);
        Assert.All(bench.Volume().Submirrors, static leg => Assert.Equal(LegState.Okay, leg.Status));
    }

    [Fact] // A flaky path: lost again before all was copied, it still needs only what it missed.
    public void LoseDisk_WhileItsResyncRuns_KeepsWhatIsLeft()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2"));
        var barrier = Assert.Single(bench.Volume().Barriers).Id;
        bench.Ok(new ConfirmBarrier("s", "v", barrier, "a", 10) { Runs = [new RegionRun(3, 2)] });
        bench.Ok(Lose(bench, "d2"));
        Assert.DoesNotContain(bench.Volume().Barriers, static b => b.Kind == BarrierKind.LegReturn);
        Assert.Null(bench.Volume().Resync);
        Assert.Equal([new RegionRun(3, 2)], bench.Volume().Submirrors[1].KeptRuns.ToArray());
        Assert.False(bench.Volume().Submirrors[1].IsEverythingKept);
    }

    [Fact] // A new leg that was still being filled has nothing to rely on.
    public void LoseDisk_LegStillBeingFilled_KeepsEverything()
    {
        var bench = Bench.Cluster();
        bench.Ok(new CreateMirror("s", "v", 64 << 20, ["d1", "d2"], Node: "a"));
        bench.Ok(Lose(bench, "d2"));
        Assert.Equal(LegState.Offline, bench.Volume().Submirrors[1].Status);
        Assert.True(bench.Volume().Submirrors[1].IsEverythingKept);
        Assert.Null(bench.Volume().Resync);
    }

    [Fact] // §14.21: path is not media. Who cannot see a disk serves nothing that needs it; the others do.
    public void ReportDisks_OneNode_OwnsNothingThatNeedsTheDisk()
    {
        var bench = Bench.Cluster().WithMirror();
        ImmutableArray<DiskComplaint> missing = [new DiskComplaint("d2", DiskLossReason.Absent, "ENOENT")];
        bench.Ok(new ReportDisks("s", "b", 10, missing));
        Assert.Equal(["DisksReported"], bench.Types);
        bench.Ok(new ReportDisks("s", "b", 10, missing));
        Assert.Empty(bench.Types);
        bench.No(new MoveOwner("s", "v", "b", 10, TransferReason.Write), "diskNotSeen");
        bench.Fence("a", 10);
        bench.Ok(bench.MergeOf("a", 10, "b", new VolumeMarks(1, [new RegionRun(1, 1)])));
        Assert.Equal("c", bench.Volume().Owner.Node);
        bench.No(new ReportDisks("s", "b", 10, [new DiskComplaint("d2", DiskLossReason.None, "x")]), "badReason");
        // Lost for all: what it cannot see is needed no more.
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(new MoveOwner("s", "v", "b", 10, TransferReason.Write));
        bench.No(Return(bench, "d2"), "diskNotSeen");
        bench.Ok(new ReportDisks("s", "b", 10, []));
        bench.Ok(Return(bench, "d2"));
    }

    [Fact] // Every node pays for the path of the one that reads everything, unless another one goes on.
    public void ReportDisks_OwnerOfAResync_HandsItOver()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All);
        bench.Fence("c", 10);
        bench.Ok(bench.MergeOf("c", 10, "a", new VolumeMarks(1, [new RegionRun(5, 2)])));
        Assert.Equal("a", bench.Volume().Owner.Node);
        ImmutableArray<DiskComplaint> fails = [new DiskComplaint("d1", DiskLossReason.FailsHere, "EIO")];
        bench.Ok(new ReportDisks("s", "a", 10, fails));
        Assert.Equal(["DisksReported", "OwnershipTransferStarted"], bench.Types);
        Assert.Equal(("b", TransferReason.Resync), (bench.Volume().Transfer!.To, bench.Volume().Transfer!.Reason));
        bench.Ok(new ReleaseOwner("s", "v", "a", 10, bench.Volume().Transfer!.Epoch, []));
        Assert.Equal("b", bench.Volume().Owner.Node);

        // Nobody can: it stays, and moves as soon as one can again.
        bench.Ok(new ReportDisks("s", "b", 10, fails));
        Assert.Equal(["DisksReported"], bench.Types);
        bench.Ok(new ReportDisks("s", "a", 10, []));
        Assert.Equal("a", bench.Volume().Transfer!.To);
    }

    [Fact] // It is up, serves, and can use no disk for a log: nobody would ever hear its marks, which are merged already.
    public void ReturnDisk_NodeGivesItsLogUp_IsWaitedForUntilItIsMerged()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All);
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2"));
        var barrier = Assert.Single(bench.Volume().Barriers).Id;
        foreach (var node in (string[])["a", "b"]) bench.Ok(new ConfirmBarrier("s", "v", barrier, node, 10));
        bench.Ok(new AbandonSlot("s", "c", 10, bench.State.Sets["s"].Members["c"].SlotGeneration, "EIO"));
        Assert.Single(bench.Volume().Barriers);
        bench.Ok(bench.MergeOf("c", 10, "a", new VolumeMarks(1, [new RegionRun(4, 1)])));
        Assert.Empty(bench.Volume().Barriers);
        Assert.Equal([new RegionRun(4, 1)], bench.Volume().Resync!.OwedRuns.ToArray());

        // It had none when the disk came back: there is nothing to wait for.
        bench.Ok(Lose(bench, "d2"));
        Settle(bench);
        bench.Ok(Return(bench, "d2"));
        Assert.Equal(["a", "b"], Assert.Single(bench.Volume().Barriers).Waiting.Select(static node => node.Node));
    }

    [Fact] // Its next incarnation came before it was fenced, and the machine is rebooted only then, or was before.
    public void LoseDisk_FormerIncarnationMayUseIt_ItsBootIsKnown()
    {
        var bench = Bench.Cluster();
        bench.Ok(new RegisterNode("c", 3, 11, "h:1", "h:2", "h:3") { BootId = "boot 1" });
        bench.Fence("c", 10);
        bench.Ok(bench.MergeOf("c", 10, "a"));
        bench.Ok(new JoinSet("s", "c", 11));
        bench.Ok(new OpenSlot("s", "c", 11, ["d1", "d2"]));
        bench.Ok(new RegisterNode("c", 3, 12, "h:1", "h:2", "h:3") { BootId = "boot 1" });
        bench.Fence("c", 11);
        bench.Ok(Lose(bench, "d2"));
        Assert.Equal(new DiskUser("c", 11, "boot 1"), bench.State.Sets["s"].Disks["d2"].Users.Single(static user => user.Node == "c"));
        bench.Ok(new RegisterNode("c", 3, 13, "h:1", "h:2", "h:3") { BootId = "boot 2" });
        Assert.DoesNotContain(bench.State.Sets["s"].Disks["d2"].Users, static user => user.Node == "c");
        bench.Ok(Lose(bench, "d3"));
        Assert.DoesNotContain(bench.State.Sets["s"].Disks["d3"].Users, static user => user.Node == "c");
    }

    [Fact] // Scrapped: no reboot and no later incarnation will ever tell.
    public void ConfirmNodeOff_NodeIsDown_EndsWhatItHadUnderWay()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.No(new ConfirmNodeOff("c", 10), "notGone");
        bench.Ok(Lose(bench, "d2"));
        bench.Ok(new SuspectNode("c", 10, "silent"));
        bench.No(new ConfirmNodeOff("c", 10), "notGone");
        bench.Fence("c", 10);
        bench.No(new ConfirmNodeOff("c", 9), "staleIncarnation");
        bench.Ok(new ConfirmNodeOff("c", 10));
        Assert.Equal(["DiskIoEnded"], bench.Types);
        Assert.Equal(["a", "b"], bench.State.Sets["s"].Disks["d2"].Users.Select(static user => user.Node));
        bench.No(new ConfirmNodeOff("c", 10), "nothingAwaited");
        bench.Register("c", 3, 11);
        bench.No(new ConfirmNodeOff("c", 10), "staleIncarnation");
        bench.No(new ConfirmNodeOff("c", 11), "notGone");
    }

    [Fact]
    public void JoinSet_WithoutADisk_TellsSo()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new LeaveSet("s", "b", 10));
        bench.Ok(new JoinSet("s", "b", 10, IsByOperator: true));
        bench.Ok(new LeaveSet("s", "b", 10, IsByOperator: false));
        bench.Ok(new JoinSet("s", "b", 10) { Disks = [new DiskComplaint("d1", DiskLossReason.Foreign, "disk of another set")] });
        Assert.Equal(["NodeJoinedSet", "DisksReported"], bench.Types);
        Assert.Equal(["d2", "d3"], PlacementRules.ChooseLogDisks(bench.State.Sets["s"], bench.State.Sets["s"].Members["b"], 10).ToArray());
        bench.No(new OpenSlot("s", "b", 10, ["d1", "d2"]), "diskNotSeen");
        bench.Ok(new OpenSlot("s", "b", 10, ["d2", "d3"]));
    }

    [Fact] // A path is where to look; who cannot look is not sent there by name.
    public void SetDiskPath_LiveNodesHaveLooked_Applies()
    {
        var bench = Bench.Cluster();
        var none = OrdinalMap.Empty<string>();
        SetDiskPath On(string? all, params (string Node, string Path)[] named) => new(
            "s", "d1", all, none.SetItems(named.Select(static n => KeyValuePair.Create(n.Node, n.Path))), OrdinalMap.Empty<ulong>());
        bench.No(On("/new"), "evidenceMissing");
        bench.No(On("new") with { Evidence = bench.Evidence("a", "b", "c") }, "badPath");
        bench.No(On(null) with { Evidence = bench.Evidence("a", "b", "c") }, "badPath");
        bench.No(On(null, ("x", "/x")) with { Evidence = bench.Evidence("a") }, "notAMember");
        bench.Ok(On("/new") with { Evidence = bench.Evidence("a", "b", "c") });
        Assert.Equal(["DiskPathChanged"], bench.Types);
        bench.Ok(On(null, ("b", "/b")) with { Evidence = bench.Evidence("b") });
        var disk = bench.State.Sets["s"].Disks["d1"];
        Assert.Equal(["/new", "/b", "/new"], bench.State.Sets["s"].Members.Keys.Select(disk.PathOn));
        // A node that is down finds out when it starts, unless it is named: then somebody must have looked there.
        bench.Fence("c", 10);
        bench.No(On(null, ("c", "/c")), "evidenceMissing");
        bench.Ok(On("/newer", ("b", "/b")) with { Evidence = bench.Evidence("a", "b") });
        Assert.Equal("/newer", bench.State.Sets["s"].Disks["d1"].PathOn("c"));
        bench.Ok(On("/newer", ("b", "/b")) with { Evidence = bench.Evidence("a", "b") });
        Assert.Empty(bench.Types);
    }

    private static LoseDisk Lose(Bench bench, string disk) =>
        new("s", disk, DiskLossReason.Absent, "no node finds it (ENOENT)", Live(bench), bench.State.Nodes[Live(bench)].Incarnation, Joined(bench));

    private static ReturnDisk Return(Bench bench, string disk) =>
        new("s", disk, false, "its label is right", Live(bench), bench.State.Nodes[Live(bench)].Incarnation, Joined(bench));

    private static string Live(Bench bench) => Joined(bench).Keys.First();

    private static ImmutableSortedDictionary<string, ulong> Joined(Bench bench) =>
        bench.Evidence([.. bench.State.Sets["s"].Members.Values
            .Where(member => Duties.IsJoined(bench.State.Nodes[member.Node], member)).Select(static member => member.Node)]);

    private static void Confirm(Bench bench)
    {
        foreach (var volume in bench.State.Sets["s"].Volumes.Values)
        {
            foreach (var barrier in volume.Barriers)
            {
                foreach (var waiting in barrier.Waiting)
                    bench.Ok(new ConfirmBarrier("s", volume.Name, barrier.Id, waiting.Node, waiting.Incarnation));
            }
        }
    }

    private static void Settle(Bench bench, bool endIo = true)
    {
        bench.Ok(bench.BeatOf(Duties.SetDuty(bench.State, bench.State.Sets["s"])!.Name));
        Confirm(bench);
        if (!endIo) return;
        foreach (var disk in bench.State.Sets["s"].Disks.Values)
        {
            foreach (var user in disk.Users)
                bench.Ok(new ReportDiskIoEnded("s", disk.Name, disk.LostAtIndex, user.Incarnation, user.Node, bench.State.Nodes[user.Node].Incarnation));
        }
    }

    private static FinishResync FinishOf(Bench bench)
    {
        var owner = bench.Volume().Owner;
        return new("s", "v", owner.Epoch, owner.Node!, owner.Incarnation, bench.State.Index, 1, 0, 0);
    }

    private static void Finish(Bench bench) => bench.Ok(FinishOf(bench));
}
