using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

// Steps a core and compares the whole list of effects; sections of the design in the names' comments.
public sealed class MirrorCoreTests
{
    private const long Ms = 1_000_000;
    private readonly MirrorCore _core = new("a", 1, 1, new MirrorOptions());
    private long _now = Ms;
    private ulong _index = 1;
    private ResyncConfiguration? _resync;

    [Fact] // §9: mark durable, then all writable legs, then the reply.
    public void Write_CleanRegion_MarksThenWritesThenReplies()
    {
        Serve(WriterMode.One, Owner("a", 2));
        _core.Submit(_now, new MirrorRequest(10, RequestKind.Write, new ByteRange(4096, 4096), 0));
        var mark = Single(EffectKind.AppendMarks);
        Assert.Equal([new RegionUpdate(1, 0, true)], (RegionUpdate[])mark.Payload!);
        _core.MarksAppended(_now, mark.Id, true);
        var writes = Take();
        Assert.Equal(
            [
                new MirrorEffect(EffectKind.LegWrite, writes[0].Id, 0, "d0", new ByteRange(4096, 4096), Request: 10),
                new MirrorEffect(EffectKind.LegWrite, writes[0].Id, 1, "d1", new ByteRange(4096, 4096), Request: 10),
            ],
            writes);
        Done(writes[0]);
        Assert.Empty(Take());
        Done(writes[1]);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok)], Take());
    }

    [Fact] // §14.8: waits for ownership without range lock or count; asks once.
    public void Write_NotOwner_AsksOnceAndGoesOnWhenOwner()
    {
        Serve(WriterMode.One, Owner("b", 5));
        _core.Submit(_now, Write(10, 0));
        _core.Submit(_now, Write(11, 0));
        Assert.Equal([new MirrorEffect(EffectKind.RequestOwnership, 5)], Take());
        Assert.Equal(0, _core.Tracker!.MarkedCount);
        Configure(WriterMode.One, Owner("a", 7));
        Assert.Equal(EffectKind.AppendMarks, Single().Kind);
    }

    [Fact] // Overlapping writes of one node go one after the other, in order.
    public void Write_Overlapping_WaitsForTheFirst()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var first = Take();
        _core.Submit(_now, Write(11, 0));
        Assert.Empty(Take());
        foreach (var effect in first) Done(effect);
        Assert.Equal([EffectKind.Reply, EffectKind.LegWrite, EffectKind.LegWrite], Take().Select(effect => effect.Kind));
    }

    [Fact] // §6.1: a completion after expiry is never a success.
    public void Write_EndsAfterLease_Drops()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        _now += 10_000 * Ms;
        foreach (var effect in writes) Done(effect);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Drop)], Take());
    }

    [Fact] // A write that the end of the lease tore is written again once there is a lease, and only then acknowledged.
    public void Write_TornByLease_IsWrittenAgain()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1", isLeaseLost: true);
        var again = Take();
        Assert.Equal([EffectKind.LegWrite, EffectKind.LegWrite], again.Select(effect => effect.Kind));
        foreach (var effect in again) Done(effect);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok)], Take());
    }

    [Fact] // §14.2: report, wait for the commit, wait for the barrier to go, then acknowledge.
    public void WriteError_WaitsForCommitAndBarrier()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1");
        var report = (LegFailureReport)Single(EffectKind.LegFailed).Payload!;
        Assert.Equal(new LegFailureReport("l1", "d1", LegFailureReason.WriteError, true, _index), report);
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Maintenance, barrier: true);
        Assert.Equal([new MirrorEffect(EffectKind.ConfirmBarrier, 77)], Take());
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Maintenance);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok)], Take());
    }

    [Fact] // §14.20: nothing waits without a bound, whatever keeps another node from confirming.
    public void WriteError_LossIsNeverOver_ClientIsLetGoAndTheRangeStaysLocked()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1");
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Maintenance, barrier: true);
        Take();
        var replies = new List<MirrorEffect>();
        for (var second = 0; second < 60; second++)
        {
            _now += 1000 * Ms;
            _core.LeaseGranted(_now, new LeaseGrant(_now, 2000 * Ms, _index, 1, 1));
            _core.Tick(_now);
            replies.AddRange(Take().Where(effect => effect.Kind == EffectKind.Reply));
        }

        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Drop)], replies);
        _core.Submit(_now, Write(11, 0));
        Assert.Empty(Take());
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Maintenance);
        Assert.Equal([EffectKind.LegWrite], Take().Select(effect => effect.Kind));
    }

    [Fact] // §14.20: the disk is fine elsewhere, so its leg stays; what this write left torn only this incarnation's marks tell.
    public void WriteError_DiskUnusableOnlyHere_EndsTheIncarnation()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1", place: writes[1].Range);
        Assert.Equal(writes[1].Range, ((LegFailureReport)Single(EffectKind.LegFailed).Payload!).Place);
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, isUnusableHere: true);
        Assert.Equal([EffectKind.Fenced, EffectKind.DropClients, EffectKind.Reply], Take().Select(effect => effect.Kind));
    }

    [Fact] // A read that failed leaves nothing torn: another leg answers, and the node goes on when it can use the disk again.
    public void ReadError_DiskUnusableOnlyHere_WaitsAndGoesOn()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, new MirrorRequest(10, RequestKind.Read, new ByteRange(0, 8192), 0));
        var read = Single();
        _core.IoCompleted(_now, read.Id, read.Leg, DeviceStatus.IoError, read.Name!);
        var again = Take();
        Assert.Equal([EffectKind.LegFailed, EffectKind.LegRead], again.Select(effect => effect.Kind));
        Done(again[1]);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok)], Take());
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, isUnusableHere: true);
        _core.Submit(_now, Write(11, 0));
        Assert.Empty(Take());
        Assert.Equal((HoldReason.Disk, 1), (_core.OldestHeld(_now)!.Value.Reason, _core.OldestHeld(_now)!.Value.Requests));
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        Assert.Equal([EffectKind.LegWrite, EffectKind.LegWrite], Take().Select(effect => effect.Kind));
        _now += 2000 * Ms;
        _core.Tick(_now);
        Assert.DoesNotContain(Take(), effect => effect.Kind == EffectKind.LegFailed); // It is forgotten.
    }

    [Fact] // §14.13: stop, drain, flush, clean, then report with the transfer's epoch; nothing is admitted meanwhile.
    public void Transfer_DrainsFlushesThenReports()
    {
        Serve(WriterMode.One, Owner("a", 2));
        _core.Submit(_now, Write(10, 0));
        _core.MarksAppended(_now, Single(EffectKind.AppendMarks).Id, true);
        var writes = Take();
        Configure(WriterMode.One, Owner("a", 3) with { TransferTo = "b" });
        _core.Submit(_now, Write(11, 1 << 20));
        Assert.Empty(Take());
        foreach (var effect in writes) Done(effect);
        var flushes = Take();
        Assert.Equal([EffectKind.Reply, EffectKind.LegFlush, EffectKind.LegFlush], flushes.Select(effect => effect.Kind));
        Done(flushes[1]);
        Done(flushes[2]);
        var end = Take();
        var report = (ReleaseReport)end[0].Payload!;
        Assert.Equal((3UL, 1UL, false, 0L), (report.Epoch, report.Incarnation, report.IsEverythingOwed, report.PositionBytes));
        Assert.Empty(report.Owed);
        Assert.Equal([new RegionUpdate(1, 0, false)], (RegionUpdate[])end[1].Payload!);
    }

    [Fact] // A torn write below the committed position of a full resync would be lost to the next owner if it were not named.
    public void Transfer_TornWriteUnderFullResync_IsHandedOverAsOwed()
    {
        Serve(WriterMode.One, Owner("a", 2));
        _core.Submit(_now, Write(10, 0));
        foreach (var effect in Take())
        {
            if (effect.Kind == EffectKind.AppendMarks) _core.MarksAppended(_now, effect.Id, true);
        }

        var writes = Take().Where(effect => effect.Kind == EffectKind.LegWrite).ToArray();
        _resync = new ResyncConfiguration(true, [], 7 << 20, 1);
        Configure(WriterMode.One, Owner("a", 3) with { TransferTo = "b" });
        Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1", isLeaseLost: true);
        ReleaseReport? report = null;
        for (var round = 0; round < 8 && report is null; round++)
        {
            foreach (var effect in Take())
            {
                if (effect.Kind == EffectKind.Released) report = (ReleaseReport)effect.Payload!;
                else if (effect.Kind == EffectKind.LegFlush) Done(effect);
                else if (effect.Kind == EffectKind.AppendMarks) _core.MarksAppended(_now, effect.Id, true);
            }
        }

        Assert.NotNull(report);
        Assert.True(report.IsEverythingOwed);
        Assert.Equal([new ByteRange(0, 1)], report.Owed);
        Assert.Equal(_index, report.Index);
    }

    [Fact] // An answer about a repair that was asked for before the range became owed again says nothing.
    public void Read_LateAnswerToAnEarlierAsk_StillWaits()
    {
        _resync = new ResyncConfiguration(false, [new ByteRange(0, 1)], 0, 5);
        Serve(WriterMode.One, Owner("b", 2));
        _core.Submit(_now, new MirrorRequest(10, RequestKind.Read, new ByteRange(0, 4096), 0));
        var first = (PeerMessage)Single(EffectKind.Send).Payload!;
        _resync = _resync with { ChangedAtIndex = 6 };
        Configure(WriterMode.One, Owner("b", 2));
        var second = (PeerMessage)Single(EffectKind.Send).Payload!;
        Assert.Equal((first.Sequence, PeerMessageKind.RepairRequest), (second.Sequence, second.Kind));
        var done = new PeerMessage(PeerMessageKind.RepairDone, 1, 1, 1, 2, first.Sequence, first.Index, first.Range);
        _core.PeerMessageReceived(_now, "b", done);
        Assert.Empty(Take());
        _core.PeerMessageReceived(_now, "b", done with { Index = second.Index });
        Assert.Equal(EffectKind.LegRead, Single().Kind);
    }

    [Fact] // A resync's end, committed before the failure of a target, must not make this node forget that the target lacks a write.
    public void WriteError_OnTargetThatBecomesOkay_IsReportedAgain()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Resyncing);
        Take();
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1");
        Single(EffectKind.LegFailed);
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        Take();
        _now += 1500 * Ms;
        _core.Tick(_now);
        Assert.Contains(Take(), effect => effect.Kind == EffectKind.LegFailed);
    }

    [Fact] // The leg was lost and came back while this node had no lease to decide under: nobody will report or commit anything more.
    public void WriteError_LegReplacedWhileLeaseWasOver_IsWrittenAgain()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        Done(writes[0]);
        _core.IoCompleted(_now, writes[1].Id, 1, DeviceStatus.IoError, "d1");
        Assert.Equal(EffectKind.LegFailed, Single().Kind);
        _now += 2500 * Ms;
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Maintenance);
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Resyncing);
        Assert.Empty(Take());
        _core.LeaseGranted(_now, new LeaseGrant(_now, 2000 * Ms, _index, 1, 1));
        _core.Tick(_now);
        writes = [.. Take().Where(effect => effect.Kind == EffectKind.LegWrite)];
        Assert.Equal(["d0", "d1"], writes.Select(effect => effect.Name));
        foreach (var effect in writes) Done(effect);
        Assert.Contains(new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Ok), Take());
    }

    [Fact] // Only a proven clean end lets the node's slot be retired without a merge.
    public void Shutdown_AllCleaned_IsClean()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Shutdown(_now);
        foreach (var effect in Take().Where(effect => effect.Kind == EffectKind.LegFlush)) Done(effect);
        Assert.Contains(Take(), effect => effect.Kind == EffectKind.Drained);
        Assert.True(_core.EndedClean);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Shutdown_FlushFailedOrLeaseOver_IsNotClean(bool hasLease)
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        if (!hasLease) _now += 10_000 * Ms;
        _core.Shutdown(_now);
        foreach (var effect in _core.Effects.ToArray().Where(effect => effect.Kind == EffectKind.LegFlush))
            _core.IoCompleted(_now, effect.Id, effect.Leg, effect.Leg == 0 ? DeviceStatus.Ok : DeviceStatus.IoError, effect.Name!);
        Assert.Contains(Take(), effect => effect.Kind == EffectKind.Drained);
        Assert.False(_core.EndedClean);
    }

    [Fact] // §14.6: from suspicion to merge nobody reads what the dead writer may have torn.
    public void Read_OwnerSuspect_Waits()
    {
        Serve(WriterMode.One, Owner("b", 2), suspect: true);
        _core.Submit(_now, new MirrorRequest(10, RequestKind.Read, new ByteRange(0, 4096), 0));
        Assert.Empty(Take());
        Configure(WriterMode.One, Owner(null, 3));
        Assert.Equal(EffectKind.LegRead, Single().Kind);
    }

    [Fact] // I-SRC: a target is written and never read.
    public void Read_WithTarget_NeverReadsIt()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, LegState.Resyncing);
        for (ulong id = 10; id < 16; id++)
        {
            _core.Submit(_now, new MirrorRequest(id, RequestKind.Read, new ByteRange(0, 4096), 0));
            Assert.Equal("d0", Single().Name);
        }
    }

    [Fact] // §14.12: confirmed when this node has enacted what the owner has, and nothing overlapping is under way.
    public void Window_ConfirmedAfterOverlappingWriteEnded_ThenBlocksWrites()
    {
        Serve(WriterMode.All, Owner("b", 4), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        var open = new PeerMessage(
            PeerMessageKind.WindowAnnounce, 1, 1, 1, 4, 2, _index + 1, Windows: [new ByteRange(0, 1 << 20)]);
        _core.PeerMessageReceived(_now, "b", open);
        foreach (var effect in writes) Done(effect);
        Assert.Equal([EffectKind.Reply], Take().Select(effect => effect.Kind));
        Configure(WriterMode.All, Owner("b", 4), RecoveryMode.App);
        Assert.Equal(PeerMessageKind.WindowAck, ((PeerMessage)Single(EffectKind.Send).Payload!).Kind);
        _core.Submit(_now, Write(11, 4096));
        Assert.Empty(Take());
        _core.PeerMessageReceived(_now, "b", open with { Sequence = 3, Windows = [] });
        Assert.Equal([EffectKind.LegWrite, EffectKind.LegWrite, EffectKind.Send], Take().Select(effect => effect.Kind).Order());
    }

    [Fact] // §14.9: a new connection writes only after every live member has drained.
    public void Session_NewConnection_WritesAfterPeersDrained()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        var ask = OpenFirst();
        _core.Submit(_now, Write(10, 0) with { Session = 1 });
        Assert.Empty(Take());
        _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.DrainDone, 1, 1, 1, Sequence: ask.Sequence));
        Assert.Equal([EffectKind.LegWrite, EffectKind.LegWrite, EffectKind.SessionAdmitted], Take().Select(effect => effect.Kind));
    }

    [Fact] // §14.9: who the live members are must be known as of the opening; the client may come from one that joined just before.
    public void Session_NewConnection_WaitsForAGrantThatWasAskedForSince()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _now += 10 * Ms;
        var ask = OpenFirst();
        _core.Submit(_now, Write(10, 0) with { Session = 1 });
        _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.DrainDone, 1, 1, 1, Sequence: ask.Sequence));
        Assert.Empty(Take());
        _core.LeaseGranted(_now, new LeaseGrant(_now - 1, 2000 * Ms, _index, 1, 1));
        Assert.Empty(Take());
        _core.LeaseGranted(_now, new LeaseGrant(_now, 2000 * Ms, _index + 1, 1, 1));
        Assert.Empty(Take());
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        Assert.Equal([EffectKind.LegWrite, EffectKind.LegWrite, EffectKind.SessionAdmitted], Take().Select(effect => effect.Kind));
    }

    [Fact] // §14.9: a dropped connection's bytes may be in the kernel when its node is asked.
    public void Drain_UnreadBytes_WaitsUntilTheyAreRead()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        OpenFirst();
        var ask = new PeerMessage(PeerMessageKind.DrainRequest, 1, 1, 1, Sequence: 9);
        _core.Sampled(_now + (5 * Ms), new IntakeSample(_now + (5 * Ms), [(1, _now)]));
        _core.PeerMessageReceived(_now + (6 * Ms), "b", ask);
        Assert.Empty(Take());
        _core.Sampled(_now + (7 * Ms), new IntakeSample(_now + (7 * Ms), [(1, _now + (7 * Ms))]));
        _core.Tick(_now + (7 * Ms));
        Assert.Contains(Take(), effect => effect.Payload is PeerMessage { Kind: PeerMessageKind.DrainDone, Sequence: 9 });
    }

    [Fact] // §14.25: a write that is held for order and whose client hung up was given up; it has touched nothing.
    public void Write_HeldForOrder_EndsWhenItsClientHangsUp()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        OpenFirst();
        _core.Sampled(_now, new IntakeSample(_now, [(1, _now)]));
        _now += 1000 * Ms;
        _core.Sampled(_now, new IntakeSample(_now, [(1, _now)]));
        _core.Submit(_now, Write(10, 0) with { Session = 1, FromNs = _now, ToNs = _now });
        Assert.Equal(PeerMessageKind.OrderQuestion, ((PeerMessage)Single(EffectKind.Send).Payload!).Kind);
        _core.SessionHungUp(_now, 1);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Drop)], Take());
    }

    [Theory] // §14.26: joined, a lease that was asked for since, every member drained, the log open, nothing to be merged: all of it, in any order.
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Session_OneConditionMissing_IsAdmittedOnlyOnceItIsThere(int last)
    {
        Configure(WriterMode.All, Owner(null, 1), isJoined: false, suspect: true);
        _now += 10 * Ms;
        _core.SessionOpened(_now, 7, _now);
        var isMerged = false;
        var isJoined = false;
        Action[] steps =
        [
            () => Configure(WriterMode.All, Owner(null, 1), isJoined: isJoined = true, suspect: !isMerged),
            () => Configure(WriterMode.All, Owner(null, 1), isJoined: isJoined, suspect: !(isMerged = true)),
            () => _core.LeaseGranted(_now, new LeaseGrant(_now, 5000 * Ms, 1, 1, 1)),
            () =>
            {
                _core.LogOpened(_now);
                foreach (var effect in _core.Effects.ToArray().Where(effect => effect.Kind == EffectKind.AppendMarks)) _core.MarksAppended(_now, effect.Id, true);
            },
            () => _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.DrainDone, 1, 1, 1, Sequence: 1)),
            () => _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.OrderAnswer, 1, 1, 1, Sequence: (ulong)_now)),
        ];
        for (var i = 0; i < steps.Length; i++)
        {
            if (i != last) steps[i]();
        }

        Assert.DoesNotContain(Take(), effect => effect.Kind == EffectKind.SessionAdmitted);
        steps[last]();
        Assert.Equal([7ul], Take().Where(effect => effect.Kind == EffectKind.SessionAdmitted).Select(effect => effect.Id));
        Assert.Equal(ServiceState.Serving, _core.Service);
        _core.Tick(_now += 50 * Ms);
        Assert.DoesNotContain(Take(), effect => effect.Kind == EffectKind.SessionAdmitted); // Once.
    }

    [Fact] // §14.26: what is lacking is told, and seen as soon as time alone takes it away.
    public void Service_LeaseRunsOut_IsSeenAtTheNextTick()
    {
        Serve(WriterMode.All, Owner(null, 1));
        Assert.Equal(ServiceState.Serving, _core.Service);
        _core.Tick(_now += 2000 * Ms);
        Assert.Equal(ServiceState.NoLease, _core.Service);
        _core.SessionOpened(_now, 1, _now);
        _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.DrainDone, 1, 1, 1, Sequence: 1));
        Assert.DoesNotContain(Take(), effect => effect.Kind == EffectKind.SessionAdmitted);
        _core.Shutdown(_now);
        Assert.Equal(ServiceState.Ended, _core.Service);
    }

    [Fact] // §14.9: nobody asks a node that has not joined; its client may have written elsewhere meanwhile.
    public void Write_FromBeforeJoining_IsDroppedWhenJoined()
    {
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App, isJoined: false);
        _core.Submit(_now, Write(10, 0));
        Assert.Empty(Take());
        Configure(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Drop)], Take());
        _core.LeaseGranted(_now, new LeaseGrant(_now, 2000 * Ms, _index, 1, 1));
        Assert.Empty(Take());
        _core.Submit(_now, Write(11, 0));
        Assert.Equal([EffectKind.LegWrite, EffectKind.LegWrite], Take().Select(effect => effect.Kind));
    }

    [Fact] // §6.5
    public void Fenced_ByStorage_DropsEverything()
    {
        Serve(WriterMode.All, Owner(null, 1), RecoveryMode.App);
        _core.Submit(_now, Write(10, 0));
        var writes = Take();
        _core.IoCompleted(_now, writes[0].Id, 0, DeviceStatus.Fenced, "d0");
        Assert.Equal([EffectKind.Fenced, EffectKind.DropClients], Take().Select(effect => effect.Kind));
        Done(writes[1]);
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 10, Status: IoStatus.Drop)], Take());
        _core.Submit(_now, Write(11, 0));
        Assert.Equal([new MirrorEffect(EffectKind.Reply, 11, Status: IoStatus.Drop)], Take());
    }

    [Fact]
    public void PeerMessageCodec_RoundTrip_AndRefusesOtherShapes()
    {
        var message = new PeerMessage(
            PeerMessageKind.WindowAnnounce, 1, 2, 3, 4, 5, 6, new ByteRange(7, 8), [new ByteRange(0, 4096), new ByteRange(8192, 1)]);
        var bytes = PeerMessageCodec.Encode(message);
        Assert.True(PeerMessageCodec.TryDecode(bytes, out var decoded));
        Assert.Equal(message with { Windows = null }, decoded with { Windows = null, Ages = null });
        Assert.Equal(message.Windows, decoded.Windows);
        for (var length = 0; length < bytes.Length; length++) Assert.False(PeerMessageCodec.TryDecode(bytes.AsSpan(0, length), out _));
        bytes[0] = 2;
        Assert.False(PeerMessageCodec.TryDecode(bytes, out _));
    }

    [Fact]
    public void PeerMessageCodec_Answer_CarriesAges()
    {
        var message = new PeerMessage(
            PeerMessageKind.OrderAnswer, 1, 2, 3, 4, 5, 1, Windows: [new ByteRange(0, long.MaxValue), new ByteRange(8192, 1)], Ages: [7, long.MaxValue]);
        var bytes = PeerMessageCodec.Encode(message);
        Assert.True(PeerMessageCodec.TryDecode(bytes, out var decoded));
        Assert.Equal(message.Windows, decoded.Windows);
        Assert.Equal(message.Ages, decoded.Ages);
        for (var length = 0; length < bytes.Length; length++) Assert.False(PeerMessageCodec.TryDecode(bytes.AsSpan(0, length), out _));
        bytes[^1] = 0x80; // An age below zero.
        Assert.False(PeerMessageCodec.TryDecode(bytes, out _));
    }

    /// <summary>The first connection; b has heard of it. Returns what b is to drain.</summary>
    private PeerMessage OpenFirst()
    {
        _core.SessionOpened(_now, 1, _now);
        var sent = Take().Where(effect => effect.Kind == EffectKind.Send).Select(effect => (PeerMessage)effect.Payload!).ToList();
        Assert.Equal([PeerMessageKind.DrainRequest, PeerMessageKind.OrderQuestion], sent.Select(message => message.Kind));
        _core.PeerMessageReceived(_now, "b", new PeerMessage(PeerMessageKind.OrderAnswer, 1, 1, 1, Epoch: 1, Sequence: sent[1].Sequence, Index: 1));
        Assert.Empty(Take());
        return sent[0];
    }

    private static MirrorRequest Write(ulong id, long offset) => new(id, RequestKind.Write, new ByteRange(offset, 8192), 0);

    private static OwnerConfiguration Owner(string? node, ulong epoch) => new(node, node is null ? 0UL : 1UL, epoch, null);

    private void Serve(WriterMode writers, OwnerConfiguration owner, RecoveryMode recovery = RecoveryMode.Log, bool suspect = false)
    {
        Configure(writers, owner, recovery, suspect: suspect);
        _core.LogOpened(_now);
        foreach (var effect in Take())
        {
            if (effect.Kind == EffectKind.AppendMarks) _core.MarksAppended(_now, effect.Id, true);
        }

        _core.LeaseGranted(_now, new LeaseGrant(_now, 2000 * Ms, _index, 1, 1));
        Take();
    }

    private void Configure(
        WriterMode writers, OwnerConfiguration owner, RecoveryMode recovery = RecoveryMode.Log, LegState second = LegState.Okay,
        bool barrier = false, bool suspect = false, bool isJoined = true, bool isUnusableHere = false)
    {
        var volume = new VolumeConfiguration(
            1, "s/v", 8 << 20, 1 << 20, recovery, writers, ReadPolicy.RoundRobin,
            [
                new LegConfiguration("l0", LegState.Okay, [new ExtentConfiguration("d0", 0, 0, 8 << 20)]),
                new LegConfiguration("l1", second, [new ExtentConfiguration("d1", 0, 0, 8 << 20)]),
            ],
            owner, _resync, false, barrier ? [new BarrierConfiguration(77, BarrierKind.LegLoss, true)] : [])
        {
            WaitsFor = isUnusableHere ? "disk 'd1' cannot be used here" : null,
            IsDiskUnusableHere = isUnusableHere,
        };
        MemberConfiguration[] members =
        [
            new("a", 0, 1, MemberPhase.Up, isJoined, false),
            new("b", 1, 1, suspect ? MemberPhase.Suspect : MemberPhase.Up, true, suspect),
        ];
        _core.ConfigurationChanged(_now, new VolumeView(++_index, "a", members, volume));
    }

    private void Done(MirrorEffect effect) => _core.IoCompleted(_now, effect.Id, effect.Leg, DeviceStatus.Ok, effect.Name!);

    private MirrorEffect[] Take()
    {
        var effects = _core.Effects.ToArray();
        _core.Effects.Clear();
        return effects;
    }

    private MirrorEffect Single() => Assert.Single(Take());

    private MirrorEffect Single(EffectKind kind) => Assert.Single(Take(), effect => effect.Kind == kind);
}
