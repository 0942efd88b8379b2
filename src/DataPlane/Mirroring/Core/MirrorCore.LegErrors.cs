using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Resync.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Legs, leg errors, barriers. A leg-error never fails a write by itself: the write waits for the committed state.
internal sealed partial class MirrorCore
{
    private readonly List<Leg> _legs = [];
    private readonly List<Leg> _formerLegs = [];
    private readonly List<(ByteRange Range, Leg Leg)> _taints = [];
    private readonly List<(ulong Id, long SentNs)> _confirmedBarriers = [];
    private ulong _legsIndex;
    private long _legReportNs = long.MinValue;

    private bool HasReadableLeg
    {
        get
        {
            foreach (var leg in _legs)
            {
                if (leg.IsReadable) return true;
            }

            return false;
        }
    }

    private bool HasLegLossBarrier
    {
        get
        {
            foreach (var barrier in Volume.Barriers)
            {
                if (barrier.Kind == BarrierKind.LegLoss) return true;
            }

            return false;
        }
    }

    /// <summary>A leg call ended.</summary>
    /// <param name="now">Time.</param>
    /// <param name="operationId">From the effect.</param>
    /// <param name="legIndex">From the effect.</param>
    /// <param name="status">How it ended.</param>
    /// <param name="disk">Disk, for the report.</param>
    /// <param name="isLeaseLost">The call was not made, because the lease had run out.</param>
    /// <param name="errno">The system's error number; 0 if it gave none.</param>
    /// <param name="space">Where the disk's space comes from; 0 if that is not known.</param>
    /// <param name="place">Bytes of the disk that the call was about; empty for a flush.</param>
    public void IoCompleted(
        long now, ulong operationId, int legIndex, DeviceStatus status, string disk, bool isLeaseLost = false, int errno = 0,
        ulong space = 0, ByteRange place = default)
    {
        _now = now;
        Invariant.Require(_operations.TryGetValue(operationId, out var operation), "An operation outlives its leg I/O.");
        Invariant.Require(operation.Pending[legIndex] > 0, "Leg I/O ends once.");
        operation.Pending[legIndex]--;
        operation.PendingTotal--;
        operation.Space[legIndex] = space;
        var leg = operation.Legs[legIndex]!;
        leg.InFlight--;
        if (isLeaseLost)
        {
            if (operation.IsClientWrite) operation.WasLeaseLost = true;
            else operation.MustDrop = true;
        }
        else if (status == DeviceStatus.Fenced) FenceSelf(Refusal(disk));
        if (status != DeviceStatus.Ok)
        {
            operation.Status[legIndex] = FullLegs.Worse(operation.Status[legIndex], status);
            var isFull = status == DeviceStatus.NoSpace && operation.IsClientWrite && !Has(MirrorFaults.LoseFullLegs);
            if (isFull) (operation.FullDisk, operation.FullErrno) = (disk, errno); // Judged when every leg has ended.
            else if (!isLeaseLost && status != DeviceStatus.Fenced) LegFailed(leg, disk, status, operation.Kind != RequestKind.Read, errno, place);
        }

        if (leg.InFlight == 0) _reconsider = true;
        // Being fenced has ended it already if this was its last leg.
        if (operation.PendingTotal == 0 && operation.State != OperationState.Ended) IoEnded(operation);
        Finish(isRequest: true);
    }

    private void IoEnded(Operation operation)
    {
        switch (operation.Kind)
        {
            case RequestKind.Read:
                ReadEnded(operation);
                break;
            case RequestKind.InternalFlush:
                InternalFlushEnded(operation);
                break;
            case RequestKind.Flush:
                operation.State = OperationState.AwaitingLeg;
                Resolve(operation);
                break;
            default:
                WriteEnded(operation);
                break;
        }
    }

    private static bool HasFailedLeg(Operation operation)
    {
        // Of a read only the newest try counts.
        for (var i = operation.Kind == RequestKind.Read ? operation.LegCount - 1 : 0; i < operation.LegCount; i++)
        {
            if (operation.Status[i] != DeviceStatus.Ok) return true;
        }

        return false;
    }

    private void LegFailed(
        Leg leg, string disk, DeviceStatus status, bool lacksData, int errno = 0, ByteRange place = default, string? heldBy = null)
    {
        // A LastErred leg is committed as failed already; it stays in use because nothing else has the data.
        if (!leg.IsPresent || !leg.IsWritable || leg.State == LegState.LastErred) return;
        if (leg.Failure is not null && (leg.Failure.LacksData || !lacksData)) return;
        var reason = status == DeviceStatus.Unreachable ? LegFailureReason.Unreachable
            : status == DeviceStatus.NoSpace ? LegFailureReason.NoSpace
            : lacksData ? LegFailureReason.WriteError : LegFailureReason.ReadError;
        leg.Failure = new LegFailureReport(leg.Name, disk, reason, lacksData, _view!.Index, errno, heldBy) { Place = place };
        Emit(new MirrorEffect(EffectKind.LegFailed, Payload: leg.Failure));
        _legReportNs = _now;
        EndIfTornByOwnPath();
    }

    /// <summary>A leg lacks bytes that others have, and is not lost for it: the disk is fine on other nodes, and only this one cannot use it. It
    /// can neither complete the write nor say later where the legs differ; its marks say it, once this incarnation has ended.</summary>
    private void EndIfTornByOwnPath()
    {
        if (!Volume.IsDiskUnusableHere) return;
        foreach (var leg in _legs)
        {
            if (leg.Failure is not { LacksData: true } failure) continue;
            FenceSelf($"disk '{failure.Disk}' cannot be used on this node, and a write stands on other submirrors only");
            return;
        }
    }

    /// <summary>The disk can be used here again: what reads met says nothing any more.</summary>
    private void ForgetReadFailures(VolumeView? old)
    {
        if (old is null || !old.Volume.IsDiskUnusableHere || Volume.IsDiskUnusableHere) return;
        foreach (var leg in _legs)
        {
            if (leg.Failure is { LacksData: false }) leg.Failure = null;
        }
    }

    /// <summary>Decides about an operation whose leg I/O has ended, on the committed state as it is now (design §14.2).</summary>
    private void Resolve(Operation operation)
    {
        var isTorn = operation.IsClientWrite && HasFailedLeg(operation);
        if (_lease.IsFenced || _isGone || _isDeleted || ((operation.MustDrop || !HasLease) && !isTorn))
        {
            Taint(operation);
            ReleaseHolds(operation);
            End(operation, IoStatus.Drop);
            return;
        }

        if (!HasLease && !Has(MirrorFaults.AcknowledgePastFailedLeg))
        {
            // Some legs have it, some do not, and no lease to mend that: wait for one as long as the client waits. Then this
            // incarnation must end, so that its marks are merged and the region is resynced.
            if (_now >= operation.DeadlineNs) FenceSelf("a write without a lease stands on some legs only");
            return;
        }

        if (operation.WasLeaseLost || (operation.MustDrop && isTorn))
        {
            Withdraw(operation);
            return;
        }

        if (Has(MirrorFaults.AcknowledgePastFailedLeg))
        {
            Acknowledge(operation);
            return;
        }

        LoseFullLegs(operation);
        if (HasLegLossBarrier) return; // Other nodes may still read the lost leg.
        var (mustRetry, isSettled) = (false, false);
        for (var i = 0; i < operation.LegCount; i++)
        {
            if (operation.Status[i] == DeviceStatus.Ok || !operation.Legs[i]!.IsWritable) continue;
            if (IsAloneFull(operation, i)) continue;
            if (operation.Legs[i]!.State != LegState.LastErred)
            {
                if (operation.Legs[i]!.Failure is not null) return; // Not committed yet; the report is repeated.
                // Lost and in use again, by committed changes that came while this node had no lease: nothing more will come.
                isSettled = true;
                continue;
            }

            if (operation.RetriedLastErred)
            {
                ReleaseHolds(operation);
                End(operation, IoStatus.IoError);
                return;
            }

            mustRetry = true;
        }

        if (mustRetry) operation.RetriedLastErred = true;
        if (mustRetry || isSettled || operation.WasUnderWindow || MissesWritableLeg(operation) || (IsReleasing && operation.IsClientWrite && HasFailedLeg(operation)))
        {
            Withdraw(operation);
            return;
        }

        if (operation.FullDisk is not null && JudgeFull(operation) == FullVerdict.NoSpace) RefuseForSpace(operation);
        else Acknowledge(operation);
    }

    /// <summary>A leg that is full, and is not lost for that, has nothing that the committed state could settle.</summary>
    private bool IsAloneFull(Operation operation, int leg) =>
        operation.Status[leg] == DeviceStatus.NoSpace && !operation.IsFullReported && operation.Legs[leg]!.Failure is null
        && !Has(MirrorFaults.LoseFullLegs);

    /// <summary>True if a leg came into use after the operation was submitted.</summary>
    private bool MissesWritableLeg(Operation operation)
    {
        foreach (var leg in _legs)
        {
            if (!leg.IsWritable) continue;
            var isThere = false;
            for (var i = 0; i < operation.LegCount && !isThere; i++) isThere = operation.Legs[i] == leg;
            if (!isThere) return true;
        }

        return false;
    }

    /// <summary>Remembers which bytes a failed leg may lack until the committed state settles that leg.</summary>
    private void Taint(Operation operation)
    {
        if (!operation.IsClientWrite) return;
        for (var i = 0; i < operation.LegCount; i++)
        {
            if (operation.Status[i] != DeviceStatus.Ok && operation.Legs[i]!.IsWritable)
            {
                _taints.Add((operation.Range, operation.Legs[i]!));
            }
        }
    }

    private void ResolveAll()
    {
        foreach (var operation in SortedOperations())
        {
            if (operation.State == OperationState.AwaitingLeg && !operation.HasPhysicalIo) Resolve(operation);
        }
    }

    private void ApplyLegs(VolumeView? old)
    {
        _ = old;
        var former = _legs.ToArray();
        _legs.Clear();
        foreach (var configured in Volume.Legs)
        {
            Leg? leg = null;
            foreach (var candidate in former)
            {
                if (candidate.Name == configured.Name && HasSameExtents(candidate.Extents, configured.Extents)) leg = candidate;
            }

            leg ??= new Leg { Name = configured.Name, Extents = configured.Extents };
            if (leg.State != configured.State || leg.IsNew) _legsIndex = _view!.Index;
            leg.IsNew = false;
            // A change of state settles what was reported about the state before; but a target that a resync made okay meanwhile
            // still lacks the write that failed here.
            var isUsedAndLacking = leg.Failure is { LacksData: true }
                && configured.State is (LegState.Okay or LegState.Attached or LegState.Resyncing);
            if (leg.State != configured.State && !isUsedAndLacking) leg.Failure = null;
            leg.State = configured.State;
            _legs.Add(leg);
        }

        foreach (var leg in former)
        {
            if (_legs.Contains(leg)) continue;
            leg.IsPresent = false;
            leg.Failure = null;
            if (leg.InFlight > 0) _formerLegs.Add(leg);
        }

        _formerLegs.RemoveAll(static leg => leg.InFlight == 0);
        JudgeFullAnew();
        // A leg that is not in use any more owes nothing; when it comes back it is copied to as a whole, or by its own marks.
        _taints.RemoveAll(static taint => !taint.Leg.IsWritable);
    }

    private static bool HasSameExtents(IReadOnlyList<ExtentConfiguration> a, IReadOnlyList<ExtentConfiguration> b)
    {
        if (ReferenceEquals(a, b)) return true;
        if (a.Count != b.Count) return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (a[i] != b[i]) return false;
        }

        return true;
    }

    private void ApplyBarriers()
    {
        _confirmedBarriers.RemoveAll(entry => !Contains(Volume.Barriers, entry.Id));
        foreach (var barrier in Volume.Barriers)
        {
            if (barrier.Kind != BarrierKind.Delete || _isDeleted) continue;
            _isDeleted = true;
            Emit(new MirrorEffect(EffectKind.DropClients, Name: "the volume is being deleted"));
            DropAll();
        }
    }

    private static bool Contains(IReadOnlyList<BarrierConfiguration> barriers, ulong id)
    {
        foreach (var barrier in barriers)
        {
            if (barrier.Id == id && barrier.AwaitsThisNode) return true;
        }

        return false;
    }

    private void StepBarriers()
    {
        if (_view is null) return;
        TellMarks();
        foreach (var barrier in Volume.Barriers)
        {
            if (barrier.Kind == BarrierKind.LegReturn || !barrier.AwaitsThisNode || !IsQuiesced(barrier.Kind)) continue;
            var known = _confirmedBarriers.FindIndex(entry => entry.Id == barrier.Id);
            if (known >= 0 && _now - _confirmedBarriers[known].SentNs < _options.RepeatNs) continue;
            if (known >= 0) _confirmedBarriers.RemoveAt(known);
            _confirmedBarriers.Add((barrier.Id, _now));
            Emit(new MirrorEffect(EffectKind.ConfirmBarrier, barrier.Id));
        }
    }

    /// <summary>Marks are told only from an open log: one that is closed may be an earlier one of this incarnation, and holds marks that this
    /// core has never seen until it is merged.</summary>
    private void TellMarks()
    {
        if (IsLogged && !_hasLog) return;
        foreach (var (barrier, runs) in _returns.Due(_now, _options.RepeatNs))
            Emit(new MirrorEffect(EffectKind.ConfirmBarrier, barrier, Payload: runs));
    }

    /// <summary>Physical leg I/O has ended where the barrier wants it to; nothing else is waited for (design §14.1).</summary>
    private bool IsQuiesced(BarrierKind kind)
    {
        foreach (var leg in _formerLegs)
        {
            if (leg.InFlight > 0) return false;
        }

        foreach (var leg in _legs)
        {
            if (leg.InFlight > 0 && (kind == BarrierKind.Delete || !leg.IsWritable)) return false;
        }

        return true;
    }

    private void RepeatReports()
    {
        if (_now - _legReportNs >= _options.RepeatNs)
        {
            _legReportNs = _now;
            foreach (var leg in _legs)
            {
                if (leg.Failure is null) continue;
                Emit(new MirrorEffect(EffectKind.LegFailed, Payload: leg.Failure));
            }
        }

        _reconsider = true;
    }

    /// <summary>Regions that hold a byte of <paramref name="bytes"/> as runs, coarsened to a bound by closing the smallest gaps.</summary>
    private List<ByteRange> RegionRuns(ByteRangeSet bytes)
    {
        var regions = new ByteRangeSet();
        foreach (var range in bytes.Ranges)
        {
            var first = range.Start / Volume.RegionBytes;
            regions.Add(new ByteRange(first, ((range.End - 1) / Volume.RegionBytes) + 1 - first));
        }

        var runs = new List<ByteRange>(regions.Ranges);
        for (var gap = 1L; runs.Count > ReleaseReport.MaxRuns; gap *= 2)
        {
            var kept = 0;
            for (var i = 1; i < runs.Count; i++)
            {
                if (runs[i].Start - runs[kept].End <= gap) runs[kept] = new ByteRange(runs[kept].Start, runs[i].End - runs[kept].Start);
                else runs[++kept] = runs[i];
            }

            runs.RemoveRange(kept + 1, runs.Count - kept - 1);
        }

        return runs;
    }
}
