using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

public sealed class DeciderTests
{
    [Fact]
    public void CreateMirror_TwoDisks_FirstOkayOthersAttachedOwnerResyncs()
    {
        var bench = Bench.Cluster();
        bench.Ok(new CreateMirror("s", "v", 64 << 20, ["d1", "d2"], Node: "b"));
        Assert.Equal(["MirrorCreated", "ResyncStarted", "OwnerChanged"], bench.Types);
        var volume = bench.Volume();
        Assert.Equal([("v-0", LegState.Okay), ("v-1", LegState.Attached)], volume.Submirrors.Select(s => (s.Name, s.Status)));
        Assert.Equal(new OwnerState("b", 10, 1), volume.Owner);
        Assert.Equal(new ExtentState("d1", 64 << 20, 0, 64 << 20), Assert.Single(volume.Submirrors[0].Extents));
        bench.Ok(new CreateMirror("s", "w", 64 << 20, ["d1"]));
        Assert.Equal(128 << 20, bench.Volume("w").Submirrors[0].Extents[0].DiskOffsetBytes);
        Assert.Null(bench.Volume("w").Resync);
    }

    [Fact]
    public void Commands_BadInput_RefusedAndNothingChanged()
    {
        var bench = Bench.Cluster().WithMirror();
        Assert.Equal(RejectionKind.Usage, bench.No(new CreateMirror("s", "V", 1 << 20, ["d1"]), "badName").Kind);
        Assert.Contains("bytes are free", bench.No(new CreateMirror("s", "w", 1L << 40, ["d1"], RegionBytes: 1 << 26), "noSpace").Message);
        bench.No(new CreateMirror("s", "w", 1000, ["d1"]), "badSize");
        bench.No(new CreateMirror("s", "w", 1 << 20, ["d1", "d1"]), "duplicateDisk");
        bench.No(new CreateMirror("s", "w", 1 << 20, []), "badDisks");
        bench.No(new CreateMirror("s", "w", 1 << 20, ["x"]), "noSuchDisk");
        bench.No(new CreateMirror("s", "w", 1 << 20, ["d1"], RegionBytes: 3 << 16), "badRegion");
        bench.No(new CreateMirror("s", "w", 1 << 20, ["d1"], RecoveryMode.App), "badWriters");
        bench.No(new CreateMirror("s", "w", 1L << 42, ["d1"], RegionBytes: 1 << 16), "slotTooSmall");
        bench.No(new CreateMirror("s", "v", 1 << 20, ["d1"]), "volumeExists");
        Assert.Equal(RejectionKind.NotFound, bench.No(new DeleteMirror("t", "v"), "noSuchSet").Kind);
        bench.No(new DeleteMirror("s", "w"), "noSuchVolume");
        bench.No(new CreateSet("s", Bench.Id(1, 99), ["a"]), "setExists");
        bench.No(new CreateSet("t", Bench.Id(1, 99), ["x"]), "noSuchNode");
        bench.No(new CreateSet("t", Bench.Id(1, 99), ["a", "b"], MaxNodes: 1), "tooManyNodes");
        bench.No(new OpenSlot("s", "a", 10, ["d1", "d2"]), "slotOpen");
        bench.No(new JoinSet("s", "a", 9), "staleIncarnation");
        bench.No(new MoveOwner("s", "v", "b", 9, TransferReason.Write), "staleIncarnation");
        bench.No(new AddDisk("s", "d4", Bench.Id(1, 44), 1 << 30, 512, true, "a", "/disks/4", OrdinalMap.Empty<string>(), bench.Evidence("a")),
            "evidenceMissing");
        bench.No(new AddDisk("s", "d4", Bench.Id(1, 44), 1 << 20, 512, true, "a", "/disks/4", OrdinalMap.Empty<string>(), bench.Evidence("a", "b", "c")),
            "diskTooSmall");
        bench.No(new FenceNode("a", 10, bench.Receipt("a", 10)), "notSuspect");
    }

    [Fact] // Design §9, ownership: two commits and a release; §14.13: the epochs must match.
    public void MoveOwner_LiveOwner_ReleasesThenChanges()
    {
        var bench = Bench.Cluster().WithMirror();
        var epoch = bench.Ok(new MoveOwner("s", "v", "b", 10, TransferReason.Write)).Data!.Epoch!.Value;
        Assert.Equal(["OwnershipTransferStarted"], bench.Types);
        bench.No(new MoveOwner("s", "v", "c", 10, TransferReason.Write), "busy");
        bench.No(new ReleaseOwner("s", "v", "a", 10, epoch - 1, []), "staleEpoch");
        bench.No(new ReleaseOwner("s", "v", "b", 10, epoch, []), "notOwner");
        bench.Ok(new ReleaseOwner("s", "v", "a", 10, epoch, []));
        Assert.Equal(new OwnerChanged("s", "v", "a", "b", 10, epoch, TransferReason.Write), Assert.Single(bench.LastEvents).Event);
        Assert.Equal(new OwnerState("b", 10, epoch), bench.Volume().Owner);
    }

    [Fact]
    public void CancelTransfer_OldOwner_StillMustRelease()
    {
        var bench = Bench.Cluster().WithMirror();
        var epoch = bench.Ok(new MoveOwner("s", "v", "b", 10, TransferReason.Write)).Data!.Epoch!.Value;
        bench.Ok(new CancelTransfer("s", "v", epoch, "too slow"));
        Assert.Equal("a", bench.Volume().Owner.Node);
        bench.No(new MoveOwner("s", "v", "c", 10, TransferReason.Write), "busy");
        bench.No(new ReleaseOwner("s", "v", "a", 10, epoch, []), "staleEpoch");
        bench.Ok(new ReleaseOwner("s", "v", "a", 10, epoch + 1, []));
        Assert.Equal(new OwnerState(null, 0, epoch + 1), bench.Volume().Owner);
    }

    [Fact] // Design §6.4, §14.7: no owner before the merge; the marks are owed after it.
    public void FenceNode_OwnerDied_NoOwnerUntilMerged()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new SuspectNode("a", 10, "silent"));
        bench.No(new MoveOwner("s", "v", "b", 10, TransferReason.Write), "busy");
        var early = bench.MergeOf("a", 10, "b");
        bench.No(early, "notOwed");
        bench.No(new FenceNode("a", 10, bench.Receipt("a", 10) with { WaitedMs = 1 }), "badReceipt");
        bench.No(new FenceNode("a", 10, bench.Receipt("a", 10) with { SuspectedAtIndex = 1 }), "staleReceipt");
        bench.Fence("a", 10);
        Assert.Equal(["NodeFenced", "SlotSealed", "NodeLeftSet", "OwnerChanged", "SetMasterChanged"], bench.Types);
        Assert.Equal(NodeStatus.Fenced, bench.State.Nodes["a"].Status);
        Assert.Equal("b", Duties.MergeDuty(bench.State, "s", "a")!.Name);
        Assert.True(bench.No(new MoveOwner("s", "v", "b", 10, TransferReason.Write), "busy").IsRetryable);
        bench.No(early, "readTooEarly");
        bench.Ok(bench.MergeOf("a", 10, "b", new VolumeMarks(1, [new RegionRun(5, 2), new RegionRun(1, 1)])));
        Assert.Equal(["ResyncStarted", "DirtyLogMerged", "NodeDown", "OwnerChanged"], bench.Types);
        Assert.Contains("\"regions\":3", bench.Json[1]);
        Assert.True(bench.Volume().Resync!.OwedRuns.SequenceEqual([new RegionRun(1, 1), new RegionRun(5, 2)]));
        Assert.Equal("b", bench.Volume().Owner.Node);
        bench.No(new FinishResync("s", "v", bench.Volume().Owner.Epoch, "b", 10, bench.State.Index - 1, 1, 1, 1), "moreOwed");
        bench.Ok(new FinishResync("s", "v", bench.Volume().Owner.Epoch, "b", 10, bench.State.Index, 1, 1, 1));
        Assert.Null(bench.Volume().Resync);
    }

    [Fact] // §14.7; a cluster that was killed whole recovers by itself.
    public void RegisterNode_AllKilled_StartingNodesMergeAndComeUp()
    {
        var bench = Bench.Cluster().WithMirror();
        var names = new[] { "a", "b", "c" };
        for (ushort i = 0; i < 3; i++) bench.Register(names[i], (ushort)(i + 1), 20);
        Assert.All(names, n => Assert.Equal(NodeStatus.Starting, bench.State.Nodes[n].Status));
        bench.No(new JoinSet("s", "a", 20), "notUp");
        foreach (var n in names) bench.Fence(n, 10);
        foreach (var n in names)
        {
            var duty = Duties.MergeDuty(bench.State, "s", n);
            bench.Ok(bench.MergeOf(n, 10, duty!.Name, new VolumeMarks(1, [new RegionRun(0, 1)])));
        }

        Assert.All(names, n => Assert.Equal(NodeStatus.Up, bench.State.Nodes[n].Status));
        Assert.Null(bench.Volume().Owner.Node);
        bench.No(new JoinSet("s", "b", 20), "notActive");
        bench.Activate("b");
        Assert.Equal("b", bench.Volume().Owner.Node);
    }

    [Fact] // Design §14.24.
    public void RegisterNode_SameIncarnationWithAnotherStart_HasGoneBack()
    {
        var bench = Bench.Cluster();
        bench.Ok(new RegisterNode("d", 4, 10, "h:1", "h:2", "h:3") { Start = "0000000000000001" });
        bench.Ok(new RegisterNode("d", 4, 10, "h:1", "h:2", "h:9") { Start = "0000000000000001" });
        bench.No(new RegisterNode("d", 4, 10, "h:1", "h:2", "h:3") { Start = "0000000000000002" }, "wentBack");
        Assert.Equal("0000000000000001", bench.State.Node("d")!.Start);
    }

    [Fact] // A node that was removed from the log and replaced by another of its name, with a higher number.
    public void RegisterNode_HigherNumberOfTheSameName_TakesOverAfterTheFormerIsFencedAndMerged()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.No(new RegisterNode("c", 4, 10, "h:1", "h:2", "h:3"), "staleIncarnation");
        bench.No(new RegisterNode("c", 2, 20, "h:1", "h:2", "h:3"), "duplicateNodeId");
        bench.Register("c", 4, 11);
        Assert.Equal((4, NodeStatus.Starting), (bench.State.Nodes["c"].Id, bench.State.Nodes["c"].Status));
        bench.No(new RegisterNode("c", 3, 12, "h:1", "h:2", "h:3"), "nodeIdChanged");
        bench.No(new JoinSet("s", "c", 11), "notUp");
        bench.Fence("c", 10);
        bench.Ok(bench.MergeOf("c", 10, "a", new VolumeMarks(1, [new RegionRun(0, 1)])));
        bench.Ok(new JoinSet("s", "c", 11));
        Assert.Equal(11UL, bench.State.Sets["s"].Members["c"].JoinedIncarnation);
    }

    [Fact] // §14.2, §14.10.
    public void FailSubmirror_OkayLeg_BarrierAwaitsNodesAndLabels()
    {
        var bench = Bench.Cluster().WithMirror();
        var result = bench.Ok(new FailSubmirror("s", "v", "v-1", "a", 10, "EIO"));
        Assert.Equal(LegState.Maintenance, bench.Volume().Submirrors[1].Status);
        var barrier = result.Data!.Barrier!.Value;
        foreach (var node in new[] { "a", "b" }) bench.Ok(new ConfirmBarrier("s", "v", barrier, node, 10));
        bench.Ok(bench.BeatOf("a"));
        Assert.Single(bench.Volume().Barriers);
        bench.Fence("c", 10);
        Assert.Empty(bench.Volume().Barriers);
        bench.Ok(new FailSubmirror("s", "v", "v-0", "a", 10, "EIO"));
        Assert.Equal(LegState.LastErred, bench.Volume().Submirrors[0].Status);
    }

    [Fact] // §14.22: another node found that one full first, so neither has everything.
    public void FailSubmirror_TheOneThatHasTheBytesIsLostMeanwhile_LosesNoFurtherLeg()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new FailSubmirror("s", "v", "v-1", "a", 10, "NoSpace") { HeldBy = "v-0" });
        Assert.Equal(LegState.Maintenance, bench.Volume().Submirrors[1].Status);
        var result = bench.Ok(new FailSubmirror("s", "v", "v-0", "b", 10, "NoSpace") { HeldBy = "v-1" });
        Assert.Equal(LegState.Okay, bench.Volume().Submirrors[0].Status);
        Assert.Equal(nameof(LegState.Okay), result.Data!.Status);
    }

    [Fact]
    public void DeleteMirror_AllConfirmed_ExtentsAreFree()
    {
        var bench = Bench.Cluster().WithMirror();
        var barrier = bench.Ok(new DeleteMirror("s", "v")).Data!.Barrier!.Value;
        bench.No(new MoveOwner("s", "v", "b", 10, TransferReason.Write), "deleting");
        foreach (var node in new[] { "a", "b", "c" }) bench.Ok(new ConfirmBarrier("s", "v", barrier, node, 10));
        Assert.Equal(["BarrierConfirmed", "BarrierCompleted", "MirrorDeleted"], bench.Types);
        bench.Ok(new CreateMirror("s", "v", 64 << 20, ["d1"]));
        Assert.Equal((2u, 64L << 20), (bench.Volume().Number, bench.Volume().Submirrors[0].Extents[0].DiskOffsetBytes));
    }

    [Fact]
    public void AbandonSlot_Owner_LosesOwnershipUntilMerged()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new AbandonSlot("s", "a", 10, 1, "EIO", "d1"));
        Assert.Equal(["DiskFailed", "SlotSealed", "OwnerChanged"], bench.Types);
        bench.No(new OpenSlot("s", "a", 10, ["d2", "d3"]), "busy");
        bench.Ok(bench.MergeOf("a", 10, "a"));
        bench.Ok(new OpenSlot("s", "a", 10, ["d2", "d3"]));
        bench.Ok(new MoveOwner("s", "v", "a", 10, TransferReason.Write));
    }

    [Fact] // §14.18.
    public void FenceNode_AbrWriter_PinsReads()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All, RecoveryMode.App);
        Assert.Null(bench.Volume().Owner.Node);
        bench.No(new MoveOwner("s", "v", "b", 10, TransferReason.Write), "notOwned");
        bench.Fence("c", 10);
        Assert.True(bench.Volume().IsReadPinned);
    }

    [Fact] // §14.18.
    public void MarkRecovered_Pinned_EndsThePinOnce()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All, RecoveryMode.App);
        bench.No(new MarkRecovered("s", "v", bench.State.Index), "notPinned");
        bench.Fence("c", 10);
        var pin = bench.Volume().ReadPin!;
        Assert.Equal(("c", bench.State.Index, bench.State.Index), (pin.Node, pin.SinceIndex, pin.CrashedAtIndex));
        bench.Ok(new MarkRecovered("s", "v", bench.State.Index));
        Assert.Equal(["MirrorRecovered"], bench.Types);
        Assert.Null(bench.Volume().ReadPin);
        bench.No(new MarkRecovered("s", "v", bench.State.Index), "notPinned");
    }

    [Fact] // §14.18: a repair knows nothing of a crash that came after it began.
    public void MarkRecovered_AnotherWriterDiedSince_IsRefusedAndStaysPinned()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All, RecoveryMode.App);
        bench.Fence("c", 10);
        var first = bench.State.Index;
        bench.Fence("b", 10);
        var pin = bench.Volume().ReadPin!;
        Assert.Equal((first, "b", bench.State.Index), (pin.SinceIndex, pin.Node, pin.CrashedAtIndex));
        bench.No(new MarkRecovered("s", "v", first), "crashedSince");
        bench.No(new MarkRecovered("s", "v", bench.State.Index + 100), "badIndex");
        Assert.True(bench.Volume().IsReadPinned);
        bench.Ok(new MarkRecovered("s", "v", pin.CrashedAtIndex));
        Assert.False(bench.Volume().IsReadPinned);
    }

    [Fact] // §14.18: whether a silent writer has died is not known yet; once it is fenced the volume is pinned anew.
    public void MarkRecovered_WriterSuspect_WaitsAndTheNextCrashPinsAnew()
    {
        var bench = Bench.Cluster().WithMirror(WriterMode.All, RecoveryMode.App);
        bench.Fence("c", 10);
        bench.Ok(new SuspectNode("b", 10, "silent"));
        bench.No(new MarkRecovered("s", "v", bench.State.Index), "writerSuspect");
        bench.Ok(new ClearSuspicion("b", 10));
        bench.Ok(new MarkRecovered("s", "v", bench.State.Index));
        bench.Fence("b", 10);
        Assert.Equal("b", bench.Volume().ReadPin!.Node);
    }

    [Fact]
    public void MarkRecovered_LoggedOrDeletedOrUnknown_IsRefused()
    {
        var logged = Bench.Cluster().WithMirror();
        logged.No(new MarkRecovered("s", "v", 1), "notAbr");
        logged.No(new MarkRecovered("s", "nosuch", 1), "noSuchVolume");
        var abr = Bench.Cluster().WithMirror(WriterMode.All, RecoveryMode.App);
        abr.Fence("c", 10);
        abr.Ok(new DeleteMirror("s", "v"));
        abr.No(new MarkRecovered("s", "v", abr.State.Index), "deleting");
    }

    [Fact]
    public void StopNode_Clean_OwesNothing()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new StopNode("a", 10));
        Assert.Equal(["NodeStopped", "SlotRetired", "NodeLeftSet", "OwnerChanged", "SetMasterChanged", "NodeDown"], bench.Types);
        bench.Register("a", 1, 11);
        Assert.Equal(NodeStatus.Up, bench.State.Nodes["a"].Status);
    }

    [Fact] // I-ONCE.
    public void Decide_RepeatedId_ReturnsFirstResult()
    {
        var bench = Bench.Cluster();
        var id = Bench.Id(1_800_000_001_000, 77);
        var first = bench.Do(new CreateSet("t", Bench.Id(1, 99), ["a"]), id);
        var again = bench.Do(new CreateSet("t", Bench.Id(1, 99), ["a"]), id);
        Assert.Equal(first, again);
        Assert.Equal("tooOld", bench.Do(new CreateSet("t", Bench.Id(1, 99), ["a"]), id, RequestTable.WindowMs + 1_000_000).Code);
        Assert.Equal("badRequestId", bench.Do(new DeleteMirror("s", "v"), Guid.Empty).Code);
    }

    [Fact]
    public void Coarsen_TooManyRuns_IsASupersetWithinTheBound()
    {
        var runs = Enumerable.Range(0, 10_000).Select(i => new RegionRun(i * 3L, 1 + (i % 2))).ToList();
        var kept = RegionRuns.Union(runs, []);
        Assert.True(kept.Length <= RegionRuns.MaxRuns);
        Assert.All(runs, r => Assert.Contains(kept, k => k.Start <= r.Start && k.End >= r.End));
    }

    [Fact]
    public void Snapshot_RoundTrip_SameHash()
    {
        var bench = Bench.Cluster().WithMirror();
        var copy = StateCodec.Decode(StateCodec.Encode(bench.State));
        Assert.Equal(StateCodec.Hash(bench.State), StateCodec.Hash(copy));
    }
}
