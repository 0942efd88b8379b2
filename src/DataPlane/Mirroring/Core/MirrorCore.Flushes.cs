using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Flushes for clients and for the core itself; cleaning; shutdown.
// A client's flush reaches every leg's disks, whoever wrote through them: an acknowledged write has reached the devices of all
// readable legs, so a flush on any node and connection covers it (which is why exports may say multi-conn).
internal sealed partial class MirrorCore
{
    private long _cleanedNs = long.MinValue;
    private bool _isCleaning;
    private bool _isShutdownFlushUnderWay;
    private bool _isDrained;

    /// <summary>True once a shutdown has drained and nothing is left to anybody: legs flushed under the lease, no write that stands on some
    /// legs only, and no mark but those of regions that the committed state owes anyway.</summary>
    public bool EndedClean { get; private set; }

    private void StepFlush(Operation operation)
    {
        if (!MayServe(operation)) return;
        operation.LegCount = 0;
        operation.State = OperationState.Submitted;
        foreach (var leg in _legs)
        {
            if (leg.IsWritable) AddLeg(operation, leg);
        }

        SubmitFlush(operation);
        if (operation.HasPhysicalIo) return;
        End(operation, IoStatus.IoError); // No leg is left.
    }

    /// <summary>Flushes each disk of the operation's legs once per leg.</summary>
    private void SubmitFlush(Operation operation)
    {
        for (var i = 0; i < operation.LegCount; i++)
        {
            var extents = operation.Legs[i]!.Extents;
            for (var e = 0; e < extents.Count; e++)
            {
                var isRepeated = false;
                for (var earlier = 0; earlier < e && !isRepeated; earlier++) isRepeated = extents[earlier].Disk == extents[e].Disk;
                if (isRepeated) continue;
                Count(operation, i);
                Emit(new MirrorEffect(EffectKind.LegFlush, operation.Id, i, extents[e].Disk));
            }
        }
    }

    private void StartInternalFlush(FlushPurpose purpose)
    {
        var operation = NewOperation(RequestKind.InternalFlush, default);
        operation.Purpose = purpose;
        operation.Generation = _resyncGeneration;
        operation.Mark = _owed.IsEmpty ? Volume.SizeBytes : _owed.First;
        operation.State = OperationState.Submitted;
        foreach (var leg in _legs)
        {
            if (leg.IsWritable) AddLeg(operation, leg);
        }

        if (Has(MirrorFaults.CleanOwedOrUnflushed) && purpose == FlushPurpose.Cleaning) operation.LegCount = 0;
        SubmitFlush(operation);
        if (!operation.HasPhysicalIo) InternalFlushEnded(operation);
    }

    private void InternalFlushEnded(Operation operation)
    {
        var isOk = !HasFailedLeg(operation) && !operation.MustDrop && !_lease.IsFenced;
        var (purpose, generation, mark) = (operation.Purpose, operation.Generation, operation.Mark);
        End(operation, IoStatus.Ok);
        if (_isCleaning && purpose is FlushPurpose.Cleaning or FlushPurpose.Release or FlushPurpose.Shutdown) EndCleaning(isOk, purpose);
        switch (purpose)
        {
            case FlushPurpose.Release:
                ReleaseFlushed(isOk);
                break;
            case FlushPurpose.ResyncPosition:
                PositionFlushed(isOk, generation, mark);
                break;
            case FlushPurpose.ResyncEnd:
                ResyncEndFlushed(isOk, generation);
                break;
            case FlushPurpose.Shutdown:
                _isDrained = true;
                EndedClean = isOk && HasLease && IsNothingLeft;
                Emit(new MirrorEffect(EffectKind.Drained));
                break;
        }
    }

    private void EndCleaning(bool isOk, FlushPurpose purpose)
    {
        if (_cleaningPurpose != purpose) return;
        _isCleaning = false;
        if (isOk) Tracker!.LegsFlushed();
        else Tracker!.LegsNotFlushed();
    }

    private FlushPurpose _cleaningPurpose;

    private void StepCleaning()
    {
        if (Tracker is null || _isCleaning || _isShutDown) return;
        if (_cleanedNs != long.MinValue && _now - _cleanedNs < _options.CleanNs) return;
        _cleanedNs = _now;
        StartCleaning(CleaningKind.Lazy, FlushPurpose.Cleaning);
    }

    private void StartCleaning(CleaningKind kind, FlushPurpose purpose)
    {
        if (!Tracker!.BeginCleaning(kind, IsCleaningAllowed)) return;
        _isCleaning = true;
        _cleaningPurpose = purpose;
        if (purpose == FlushPurpose.Cleaning) StartInternalFlush(purpose);
    }

    /// <summary>No mark may go while a leg is away with its debts, or failed without the committed state saying so.</summary>
    private bool IsCleaningAllowed
    {
        get
        {
            if (!HasLease || !_hasLog || _taints.Count > 0 || Volume.WaitsFor is not null) return false;
            if (_returns.IsAwaited && !Has(MirrorFaults.CleanWhileOffline)) return false;
            foreach (var leg in _legs)
            {
                if (leg.Failure is not null || leg.State == LegState.LastErred) return false;
                if (leg.State == LegState.Offline && !Has(MirrorFaults.CleanWhileOffline)) return false;
            }

            foreach (var operation in _operations.Values)
            {
                if (operation.State == OperationState.AwaitingLeg) return false; // No order matters here.
            }

            return true;
        }
    }

    private bool IsNothingLeft
    {
        get
        {
            foreach (var leg in _legs)
            {
                if (leg.Failure is not null) return false;
            }

            return _taints.Count == 0 && (Tracker is null || Tracker.MarkedCount == Tracker.OwedCount);
        }
    }

    private void StepShutdown()
    {
        if (!_isShutDown || _isDrained || _isShutdownFlushUnderWay) return;
        foreach (var operation in SortedOperations())
        {
            if (operation.HasPhysicalIo) return;
            if (operation.Kind == RequestKind.Copy)
            {
                AbandonCopy(operation);
                continue;
            }

            if (operation.State == OperationState.AwaitingLeg) Taint(operation);
            ReleaseHolds(operation);
            if (operation.Kind != RequestKind.InternalFlush) End(operation, IoStatus.Drop);
        }

        if (_operations.Count > 0) return;
        _isShutdownFlushUnderWay = true;
        if (_view is null || _isGone || _lease.IsFenced || !HasLease)
        {
            // Not allowed to touch the legs any more: the marks stay for whoever merges them.
            _isDrained = true;
            EndedClean = _view is null; // It never did any I/O.
            Emit(new MirrorEffect(EffectKind.Drained));
            return;
        }

        if (Tracker is not null && !_isCleaning) StartCleaning(CleaningKind.Final, FlushPurpose.Shutdown);
        StartInternalFlush(FlushPurpose.Shutdown);
    }
}
