using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Resync.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Resync by the volume's owner: copies owed ranges under the range lock, and under a window where other nodes may write.
internal sealed partial class MirrorCore
{
    private const int MaxRepairRequests = 1024;

    private readonly List<Operation> _copies = [];
    private readonly List<(string Node, PeerMessage Message)> _repairs = [];
    private readonly List<ByteRange> _trackedRuns = [];
    private readonly ResyncCore _resync = new();
    private ulong _resyncGeneration;
    private ulong _resyncIndex; // Of the configuration that began the generation.
    private long _copyRetryNs = long.MinValue;
    private long _positionNs = long.MinValue;
    private bool _isResyncFlushUnderWay;
    private ResyncFinishedReport? _finished;
    private long _finishedSentNs;

    /// <summary>The work left, as this node knows it.</summary>
    public ResyncCore Resync => _resync;

    private ByteRangeSet _owed => _resync.Owed;

    /// <summary>A copy ended.</summary>
    public void CopyCompleted(long now, ulong operationId, CopyResult result)
    {
        _now = now;
        var operation = EndOfAllLegs(operationId);
        if (result.Status == DeviceStatus.Fenced && !result.IsLeaseLost) FenceSelf(Refusal(result.Disk));
        if (result is { Status: DeviceStatus.NoSpace, IsLeaseLost: false } && operation.Legs[result.Leg]!.State == LegState.Okay && !operation.MustDrop && HasLease)
        {
            // Between readable legs no direction is the right one, so another may be one that fits.
            SubmitEvening(operation);
            Finish();
            return;
        }

        if (result.Status is DeviceStatus.IoError or DeviceStatus.Unreachable or DeviceStatus.NoSpace && !result.IsLeaseLost)
        {
            LegFailed(operation.Legs[result.Leg]!, result.Disk!, result.Status, result.WasWrite, result.Errno, result.Place);
        }

        EndCopyAttempt(operation, result);
        Finish();
    }

    /// <summary>A call that was one for all legs, a copy or an evening out, has come back.</summary>
    private Operation EndOfAllLegs(ulong operationId)
    {
        Invariant.Require(_operations.TryGetValue(operationId, out var operation), "An operation outlives its leg I/O.");
        for (var i = 0; i < operation.LegCount; i++)
        {
            operation.Legs[i]!.InFlight -= operation.Pending[i];
            operation.PendingTotal -= operation.Pending[i];
            operation.Pending[i] = 0;
        }

        return operation;
    }

    private void EndCopyAttempt(Operation operation, CopyResult result)
    {
        var isOk = result.Status == DeviceStatus.Ok && !result.IsLeaseLost && !operation.MustDrop && HasLease;
        // A leg that came into use meanwhile did not get these bytes.
        if (isOk && MissesWritableLeg(operation)) isOk = false;
        var isCurrent = operation.Generation == _resyncGeneration;
        if (isOk && isCurrent) _resync.Done(operation.Range, result.CopiedBytes, result.ComparedBytes);
        else if (isCurrent) _copyRetryNs = _now + _options.CopyRetryNs;
        EndCopy(operation, giveBack: isCurrent && !isOk);
    }

    private void ApplyResync(VolumeView? old)
    {
        var resync = Volume.Resync;
        var isNew = old is null || IsOwedSetNew(old, resync);
        if (isNew)
        {
            _resyncGeneration++;
            _resyncIndex = _view!.Index;
            _finished = null;
            _repairs.Clear();
            _resync.Load(resync, Volume.SizeBytes, Volume.RegionBytes);
        }

        if (!isNew && !HasRoleChanged(old!)) return;
        foreach (var run in _trackedRuns) Tracker?.RemoveOwed(run.Start, run.Length);
        _trackedRuns.Clear();
        if (Tracker is null || resync is null || resync.IsEverythingOwed) return;
        if (_role is not (OwnerRole.Installing or OwnerRole.Serving)) return;
        // The committed state holds the debts already; the own marks make them survive in this node's slot as well.
        foreach (var run in resync.OwedRegions)
        {
            Tracker.AddOwed(run.Start, run.Length);
            _trackedRuns.Add(run);
        }
    }

    private bool HasRoleChanged(VolumeView old) =>
        old.Volume.Owner.Node != Volume.Owner.Node || old.Volume.Owner.Epoch != Volume.Owner.Epoch;

    /// <summary>True if what was repaired so far may be owed again: everything but a position that moved.</summary>
    private bool IsOwedSetNew(VolumeView old, ResyncConfiguration? resync)
    {
        var before = old.Volume.Resync;
        if (before is null || resync is null) return before is not null || resync is not null;
        if (before.ChangedAtIndex != resync.ChangedAtIndex) return true;
        if (before.IsEverythingOwed != resync.IsEverythingOwed || !HasSameRuns(before.OwedRegions, resync.OwedRegions)) return true;
        var (was, owner) = (old.Volume.Owner, Volume.Owner);
        var isOtherOwner = was.Node != owner.Node || was.Incarnation != owner.Incarnation;
        if (isOtherOwner && !IsReleasing) return true;
        foreach (var member in _view!.Members)
        {
            foreach (var former in old.Members)
            {
                if (former.Node != member.Node) continue;
                // A slot was merged, or a life ended: its writes may lie in regions that were repaired before.
                if (former.Incarnation != member.Incarnation || former.IsMergeOwed != member.IsMergeOwed) return true;
            }
        }

        foreach (var leg in Volume.Legs)
        {
            var wasWritable = false;
            foreach (var former in old.Volume.Legs)
            {
                wasWritable |= former.Name == leg.Name && former.IsWritable && HasSameExtents(former.Extents, leg.Extents);
            }

            if (leg.IsWritable && !wasWritable) return true;
        }

        return false;
    }

    private static bool HasSameRuns(IReadOnlyList<ByteRange> a, IReadOnlyList<ByteRange> b)
    {
        if (ReferenceEquals(a, b)) return true;
        if (a.Count != b.Count) return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (a[i] != b[i]) return false;
        }

        return true;
    }

    private bool MayResync =>
        _view is not null && Volume.Resync is not null && _role == OwnerRole.Serving && HasLease && IsJoined
        && !_isShutDown && !_isDeleted && !_isGone && !_lease.IsFenced && Volume.WaitsFor is null
        && !(IsLogged && _isLogLost); // The slot is being given up, and with it the ownership, which must find no copy under way.

    private void StepResync()
    {
        for (var i = _copies.Count - 1; i >= 0; i--)
        {
            if (_copies[i].State == OperationState.Announcing) StepCopy(_copies[i]);
        }

        if (!MayResync) return;
        if (_finished is not null)
        {
            if (_now - _finishedSentNs >= _options.RepeatNs) SendFinished();
            return;
        }

        var (writable, isSettled, hasSource) = CountLegs();
        if (!isSettled || !hasSource || HasLegLossBarrier || _now < _copyRetryNs) return;
        if (writable < 2) _resync.NothingToCompare(); // One leg cannot differ from itself.
        if (Has(MirrorFaults.FinishResyncWithoutCopy)) _resync.NothingToCompare();
        while (_copies.Count < _options.CopiesInFlight && _resync.TryTake(_options.CopyBytes, out var range))
        {
            var copy = NewOperation(RequestKind.Copy, range);
            copy.Generation = _resyncGeneration;
            _copies.Add(copy);
            StepCopy(copy);
        }

        if (!_owed.IsEmpty || _copies.Count > 0 || _isResyncFlushUnderWay) return;
        _isResyncFlushUnderWay = true;
        StartInternalFlush(FlushPurpose.ResyncEnd);
    }

    /// <summary>Legs in use; whether none failed without the committed state saying so; whether one can be read. A leg that is away waits
    /// for nothing: its debts are kept for it.</summary>
    private (int Writable, bool IsSettled, bool HasSource) CountLegs()
    {
        var (writable, isSettled, hasSource) = (0, true, false);
        foreach (var leg in _legs)
        {
            if (leg.IsWritable) writable++;
            if (leg.IsReadable) hasSource = true;
            if (leg.Failure is not null) isSettled = false;
        }

        return (writable, isSettled, hasSource);
    }

    private void StepCopy(Operation copy)
    {
        if (!MayResync || copy.Generation != _resyncGeneration || copy.MustDrop)
        {
            AbandonCopy(copy);
            return;
        }

        if (!copy.HoldsLock)
        {
            if (IsLockedFor(copy))
            {
                copy.WantsLock = true;
                Park(copy);
                return;
            }

            copy.HoldsLock = true;
            _locks.Add(copy);
        }

        if (NeedsWindows)
        {
            if (copy.Windows is null)
            {
                copy.Windows = _windows!;
                copy.WindowSequence = _windows!.Open(copy.Range);
                Announce(_windows);
            }

            copy.State = OperationState.Announcing;
            if (!IsWindowInstalled(copy.Windows, copy.WindowSequence)) return;
        }

        SubmitCopy(copy);
    }

    private void SubmitCopy(Operation copy)
    {
        Leg? source = null;
        foreach (var leg in _legs)
        {
            if (!leg.IsReadable || (source is not null && (source.State == LegState.Okay || leg.State != LegState.Okay))) continue;
            source = leg;
        }

        if (source is null)
        {
            AbandonCopy(copy);
            return;
        }

        copy.State = OperationState.Submitted;
        copy.LegCount = 0;
        AddLeg(copy, source);
        foreach (var leg in _legs)
        {
            if (leg.IsWritable && leg != source) AddLeg(copy, leg);
        }

        var plan = new List<IReadOnlyList<LegPart>>(copy.LegCount);
        for (var i = 0; i < copy.LegCount; i++)
        {
            Count(copy, i);
            plan.Add(PartsOf(copy.Legs[i]!, copy.Range));
        }

        Emit(new MirrorEffect(EffectKind.Copy, copy.Id, Range: copy.Range, Payload: new CopyPlan(copy.Range, plan)));
    }

    private static List<LegPart> PartsOf(Leg leg, ByteRange range)
    {
        var parts = new List<LegPart>(1);
        for (var offset = range.Start; offset < range.End;)
        {
            var extent = leg.ExtentAt(offset);
            var inside = offset - extent.VolumeOffsetBytes;
            var length = Math.Min(extent.LengthBytes - inside, range.End - offset);
            parts.Add(new LegPart(extent.Disk, extent.DiskOffsetBytes + inside, offset - range.Start, length));
            offset += length;
        }

        return parts;
    }

    private void AbandonCopy(Operation copy) => EndCopy(copy, giveBack: copy.Generation == _resyncGeneration);

    private void EndCopy(Operation copy, bool giveBack)
    {
        if (copy.Windows is not null)
        {
            copy.Windows.Close(copy.WindowSequence);
            Announce(copy.Windows);
            copy.Windows = null;
        }

        ReleaseHolds(copy);
        _copies.Remove(copy);
        if (giveBack) _resync.GiveBack(copy.Range);
        End(copy, IoStatus.Ok);
    }

    private void ResyncEndFlushed(bool isOk, ulong generation)
    {
        _isResyncFlushUnderWay = false;
        if (!isOk || generation != _resyncGeneration || !MayResync || !_owed.IsEmpty) return;
        _finished = new ResyncFinishedReport(
            _roleEpoch, _view!.Index, Volume.Resync!.IsEverythingOwed, _resync.CopiedBytes, _resync.ComparedBytes,
            Volume.SizeBytes - _resync.TotalBytes);
        SendFinished();
    }

    private void SendFinished()
    {
        _finishedSentNs = _now;
        // Nothing became owed since: each configuration up to the newest one is done.
        _finished = _finished! with { Index = _view!.Index, Epoch = _roleEpoch };
        Emit(new MirrorEffect(EffectKind.ResyncFinished, Payload: _finished));
    }

    private void StepResyncPosition()
    {
        if (!MayResync || _finished is not null || _isResyncFlushUnderWay) return;
        if (_positionNs == long.MinValue) _positionNs = _now;
        if (_now - _positionNs < _options.ProgressNs) return;
        _positionNs = _now;
        if (Volume.Resync!.IsEverythingOwed)
        {
            _isResyncFlushUnderWay = true;
            StartInternalFlush(FlushPurpose.ResyncPosition);
        }
        else
        {
            SendProgress(0);
        }
    }

    private void PositionFlushed(bool isOk, ulong generation, long mark)
    {
        _isResyncFlushUnderWay = false;
        // Only what was done before the flush began counts (design §14.12).
        if (isOk && generation == _resyncGeneration && MayResync) SendProgress(AlignDown(mark));
    }

    private void SendProgress(long position) =>
        Emit(new MirrorEffect(EffectKind.ResyncProgressed, Payload: new ResyncProgressReport(
            _roleEpoch, _view!.Index, position, _resync.DoneBytes, _resync.TotalBytes)));

    /// <summary>Only the resync owner writes back an owed region (design §14.6): this node does, or asks the one who may.</summary>
    private void AskForRepair(Operation read)
    {
        if (_role is OwnerRole.Serving or OwnerRole.Installing)
        {
            if (read.Generation == _resyncGeneration) return;
            read.Generation = _resyncGeneration;
            _resync.Prioritize(read.Range);
            _reconsider = true;
            return;
        }

        var owner = Volume.Owner;
        if (owner.Node is null)
        {
            WantOwnership();
            return;
        }

        if (owner.Node == _self) return;
        var isDue = read.Generation != _resyncGeneration || read.RepairAskedNs == long.MinValue
            || _now - read.RepairAskedNs >= _options.RepeatNs;
        if (!isDue) return;
        read.Generation = _resyncGeneration;
        read.RepairAskedNs = _now;
        Emit(new MirrorEffect(EffectKind.Send, Name: owner.Node, Payload: new PeerMessage(
            PeerMessageKind.RepairRequest, Number, _incarnation, owner.Incarnation, owner.Epoch, read.Id, _view!.Index, read.Range)));
    }

    private void RepairRequested(string from, PeerMessage message)
    {
        if (_view is null || message.Range.Length <= 0 || message.Range.Start < 0 || message.Range.End > Volume.SizeBytes) return;
        foreach (var (node, known) in _repairs)
        {
            if (node == from && known.Sequence == message.Sequence && known.FromIncarnation == message.FromIncarnation
                && known.Index >= message.Index) return;
        }

        if (_repairs.Count >= MaxRepairRequests) return; // It asks again.
        _repairs.Add((from, message));
        _resync.Prioritize(message.Range);
    }

    private void StepRepairs()
    {
        if (_role != OwnerRole.Serving || !HasLease) return;
        for (var i = _repairs.Count - 1; i >= 0; i--)
        {
            var (node, message) = _repairs[i];
            // The asker may know of a merge that has not been enacted here.
            if (_view!.Index < message.Index || (Volume.Resync is not null && _owed.Overlaps(message.Range))) continue;
            _repairs.RemoveAt(i);
            Emit(new MirrorEffect(EffectKind.Send, Name: node, Payload: new PeerMessage(
                PeerMessageKind.RepairDone, Number, _incarnation, message.FromIncarnation, message.Epoch, message.Sequence,
                message.Index, message.Range)));
        }
    }

    private void RepairDone(string from, PeerMessage message)
    {
        if (_view is null || from != Volume.Owner.Node || message.FromIncarnation != Volume.Owner.Incarnation) return;
        if (!_operations.TryGetValue(message.Sequence, out var read) || read.Kind != RequestKind.Read) return;
        // An answer to what was asked before something became owed; it may come late, after the same read asked again.
        if (message.Index < _resyncIndex || read.Generation != _resyncGeneration || read.Range != message.Range) return;
        _resync.KnownDone(read.Range);
    }
}
