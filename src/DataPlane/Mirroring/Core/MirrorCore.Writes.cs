using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Writes, trims, write-zeroes: admission, range lock, marks, legs, acknowledgement.
internal sealed partial class MirrorCore
{
    private readonly Dictionary<ulong, ulong> _batchOfToken = [];
    private bool _hasLog;
    private bool _isLogLost;
    private ulong _markToken;
    private ulong _rebaseToken;
    private ulong _rebaseBatch;

    /// <summary>True if no write to a leg of this logged volume, a client's or a copy, is under way. After <see cref="LogLost"/> it stays
    /// so until another log is open: then this node may say that it has ended its I/O.</summary>
    public bool IsWriteQuiet
    {
        get
        {
            if (Tracker is null) return true;
            foreach (var operation in _operations.Values)
            {
                var isWrite = operation.IsClientWrite || operation.Kind == RequestKind.Copy;
                if (isWrite && operation.HasPhysicalIo) return false; // Any one; no order matters.
            }

            return true;
        }
    }

    /// <summary>A dirty log is open and empty: every mark that this node holds is written to it first.</summary>
    public void LogOpened(long now)
    {
        _now = now;
        _batchOfToken.Clear();
        if (Tracker is null)
        {
            (_hasLog, _isLogLost) = (true, false);
        }
        else
        {
            _rebaseBatch = Tracker.TakeUpdates([]);
            var marked = Tracker.MarkedRegions();
            var updates = new RegionUpdate[marked.Count];
            for (var i = 0; i < updates.Length; i++) updates[i] = new RegionUpdate(Number, marked[i], IsDirty: true);
            _rebaseToken = ++_markToken;
            Emit(new MirrorEffect(EffectKind.AppendMarks, _rebaseToken, Payload: updates));
        }

        _reconsider = true;
        Finish();
    }

    /// <summary>The dirty log failed for good: no logged write and no copy is submitted until another is open.</summary>
    public void LogLost(long now)
    {
        _now = now;
        (_hasLog, _isLogLost) = (false, true);
        _rebaseToken = 0;
        _batchOfToken.Clear();
        // Their marks will never be durable. They wait for another log from the start, holding nothing, and not for ever.
        foreach (var operation in SortedOperations())
        {
            if (operation.IsClientWrite && operation.State == OperationState.Marking) Withdraw(operation);
        }

        _reconsider = true;
        Finish();
    }

    /// <summary>Updates are durable; answers come in the order of the effects.</summary>
    public void MarksAppended(long now, ulong token, bool isDurable)
    {
        _now = now;
        var isCurrent = (token == _rebaseToken && token != 0) || _batchOfToken.ContainsKey(token);
        if (!isCurrent) return; // Of a log that was replaced meanwhile.
        if (!isDurable)
        {
            LogLost(now);
            return;
        }

        if (token == _rebaseToken)
        {
            _rebaseToken = 0;
            (_hasLog, _isLogLost) = (true, false);
            Tracker!.UpdatesDurable(_rebaseBatch);
        }
        else
        {
            Tracker!.UpdatesDurable(_batchOfToken[token]); // It checks the order.
            _batchOfToken.Remove(token);
        }

        foreach (var operation in _locks.ToArray())
        {
            if (operation.State == OperationState.Marking && Tracker!.MaySubmit(operation.Range)) AfterMark(operation);
        }

        _reconsider = true;
        Finish();
    }

    private void TakeMarks()
    {
        if (Tracker is null || !_hasLog || !Tracker.HasUpdates) return;
        var updates = new List<RegionUpdate>();
        var batch = Tracker.TakeUpdates(updates);
        var token = ++_markToken;
        _batchOfToken[token] = batch;
        Emit(new MirrorEffect(EffectKind.AppendMarks, token, Payload: updates.ToArray()));
    }

    private void StepWrite(Operation operation)
    {
        if (!MayAdmitWrite(operation)) return;
        if (IsLockedFor(operation))
        {
            operation.WantsLock = true;
            Park(operation);
            return;
        }

        operation.HoldsLock = true;
        _locks.Add(operation);
        operation.Epoch = Volume.Owner.Epoch;
        if (IsLogged)
        {
            operation.IsCounted = true;
            if (!Tracker!.BeginWrite(operation.Range) && !Has(MirrorFaults.SubmitBeforeMark))
            {
                operation.State = OperationState.Marking;
                return;
            }
        }

        SubmitToLegs(operation);
    }

    /// <summary>Everything a write needs but the range lock and its marks; asked again after each wait. A write that must wait
    /// here holds nothing (design §14.8).</summary>
    private bool MayAdmitWrite(Operation operation)
    {
        if (!MayServe(operation) || !IsInOrder(operation)) return false;
        if (IsLogged && !_hasLog) return ParkAndRefuse(operation);
        if (Volume.Writers == WriterMode.One && !MayOwnerAdmit)
        {
            WantOwnership();
            return ParkAndRefuse(operation);
        }

        if (!IsSessionDrained(operation.Session)) return ParkAndRefuse(operation);
        if (!Has(MirrorFaults.IgnoreWindows) && (!AreWindowsKnown() || IsUnderRemoteWindow(operation.Range)))
        {
            return ParkAndRefuse(operation);
        }

        if (HasReadableLeg) return true;
        ReleaseHolds(operation);
        End(operation, IoStatus.IoError);
        return false;
    }

    private bool ParkAndRefuse(Operation operation)
    {
        Park(operation);
        return false;
    }

    private void AfterMark(Operation operation)
    {
        // Time passed: a transfer, a window, or the end of the lease may have come meanwhile.
        ReleaseHoldsKeepingOrder(operation);
        if (operation.State == OperationState.Ended || !MayAdmitWrite(operation)) return;
        if (IsLockedFor(operation))
        {
            operation.WantsLock = true;
            Park(operation);
            return;
        }

        operation.HoldsLock = true;
        _locks.Add(operation);
        operation.Epoch = Volume.Owner.Epoch;
        operation.IsCounted = true;
        if (Tracker!.BeginWrite(operation.Range)) SubmitToLegs(operation);
        else operation.State = OperationState.Marking;
    }

    private void ReleaseHoldsKeepingOrder(Operation operation)
    {
        ReleaseHolds(operation);
        operation.State = OperationState.Waiting;
    }

    /// <summary>FIFO: held ranges exclude, and so do older waiters, so that nobody starves.</summary>
    private bool IsLockedFor(Operation operation)
    {
        foreach (var holder in _locks)
        {
            if (holder.Range.Overlaps(operation.Range)
                && !(Has(MirrorFaults.CopyWithoutRangeLock) && holder.Kind != operation.Kind)) return true;
        }

        foreach (var waiter in _waiting)
        {
            if (waiter.WantsLock && waiter.Id < operation.Id && waiter.State == OperationState.Waiting
                && waiter.Range.Overlaps(operation.Range)) return true;
        }

        return false;
    }

    private void ReleaseHolds(Operation operation)
    {
        if (operation.IsCounted)
        {
            operation.IsCounted = false;
            // A debt of a failed leg is kept in _taints until it is settled, not in the tracker.
            Tracker!.EndWrite(operation.Range);
        }

        if (!operation.HoldsLock) return;
        operation.HoldsLock = false;
        _locks.Remove(operation);
        _reconsider = true;
    }

    /// <summary>Gives up what it holds and starts again from admission: nothing was acknowledged, the buffer is still held.</summary>
    private void Withdraw(Operation operation)
    {
        Invariant.Require(!operation.HasPhysicalIo, "Leg I/O cannot be recalled.");
        var stands = operation.State == OperationState.AwaitingLeg;
        if (stands) Taint(operation);
        ReleaseHolds(operation);
        if (operation.IsDetached)
        {
            End(operation, IoStatus.Drop); // Nobody waits for it, and its data is the client's to send again.
            return;
        }

        operation.WasUnderWindow = false;
        operation.WasLeaseLost = false;
        operation.MustDrop = false;
        // What stands on some legs must still come to stand on all. What has reached none waits no longer for having tried.
        if (stands || Has(MirrorFaults.HoldOverdueMarks)) operation.DeadlineNs = Math.Max(operation.DeadlineNs, _now + _options.ParkNs);
        Park(operation);
        _reconsider = true;
    }

    private void SubmitToLegs(Operation operation)
    {
        operation.State = OperationState.Submitted;
        (operation.FullDisk, operation.IsFullReported, operation.IsEvened) = (null, false, false);
        operation.LegCount = 0;
        foreach (var leg in _legs)
        {
            if (leg.IsWritable) AddLeg(operation, leg);
        }

        var kind = operation.Kind switch
        {
            // A trim that one leg's device honours and another's ignores would make the legs differ: zeros are the same on all.
            RequestKind.Trim or RequestKind.WriteZeroes => EffectKind.LegZero,
            _ => EffectKind.LegWrite,
        };
        operation.MayUnmap |= operation.Kind == RequestKind.Trim;
        for (var i = 0; i < operation.LegCount; i++) EmitRange(operation, i, kind);
    }

    private static int AddLeg(Operation operation, Leg leg)
    {
        Invariant.Require(operation.LegCount < Operation.MaxLegs, "A mirror has at most four legs.");
        var index = operation.LegCount++;
        operation.Legs[index] = leg;
        operation.IsGivenUp[index] = false;
        operation.Pending[index] = 0;
        operation.Status[index] = DeviceStatus.Ok;
        return index;
    }

    private void EmitRange(Operation operation, int index, EffectKind kind)
    {
        var leg = operation.Legs[index]!;
        var offset = operation.Range.Start;
        while (offset < operation.Range.End)
        {
            var extent = leg.ExtentAt(offset);
            var inside = offset - extent.VolumeOffsetBytes;
            var length = Math.Min(extent.LengthBytes - inside, operation.Range.End - offset);
            Count(operation, index);
            Emit(new MirrorEffect(
                kind, operation.Id, index, extent.Disk, new ByteRange(extent.DiskOffsetBytes + inside, length),
                offset - operation.Range.Start, operation.MayUnmap, Request: operation.RequestId));
            offset += length;
        }
    }

    private void Count(Operation operation, int index)
    {
        operation.SubmittedNs = _now;
        operation.Pending[index]++;
        operation.PendingTotal++;
        operation.Legs[index]!.InFlight++;
    }

    private void WriteEnded(Operation operation)
    {
        if (operation.State == OperationState.Submitted && operation.IsForced && !HasFailedLeg(operation))
        {
            operation.State = OperationState.Flushing;
            SubmitFlush(operation);
            if (operation.HasPhysicalIo) return;
        }

        operation.State = OperationState.AwaitingLeg;
        Resolve(operation);
    }

    private void Acknowledge(Operation operation)
    {
        ReleaseHolds(operation);
        // Every leg in use has these bytes now, whatever an earlier try left behind.
        if (_taints.Count > 0 && operation.IsClientWrite && !HasFailedLeg(operation))
        {
            _taints.RemoveAll(taint => operation.Range.Contains(taint.Range));
        }

        var isLost = operation.MustDrop || !HasLease
            || (operation.IsClientWrite && Volume.Writers == WriterMode.One && operation.Epoch != Volume.Owner.Epoch
                && !Has(MirrorFaults.KeepServingAfterTransfer) && !IsReleasing);
        End(operation, isLost ? IoStatus.Drop : IoStatus.Ok);
    }
}
