using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Resync.Core;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>This node's part in the ownership of a volume.</summary>
internal enum OwnerRole
{
    /// <summary>Another node owns it, or nobody.</summary>
    None,

    /// <summary>Committed as owner; the owed regions' marks are not durable in its own slot yet.</summary>
    Installing,

    Serving,

    /// <summary>A transfer is under way: draining and flushing.</summary>
    Releasing,

    /// <summary>Drained, flushed, reported; waits for the committed change.</summary>
    Released,
}

// Ownership: taking it on demand, installing owed regions, drained release, loss.
internal sealed partial class MirrorCore
{
    private OwnerRole _role;
    private ulong _roleEpoch;
    private bool _wantsOwnership;
    private long _ownershipAskedNs = long.MinValue;
    private ulong _ownershipAskedEpoch;
    private bool _isReleaseFlushUnderWay;
    private ReleaseReport? _release;
    private long _releaseSentNs;

    /// <summary>This node's part in ownership, for status and tests.</summary>
    public OwnerRole Role => _role;

    private bool IsReleasing => _role is OwnerRole.Releasing or OwnerRole.Released;

    private bool MayOwnerAdmit =>
        _role == OwnerRole.Serving || (Has(MirrorFaults.KeepServingAfterTransfer) && _roleEpoch > 0);

    private void ApplyOwner()
    {
        var owner = Volume.Owner;
        if (owner.Node != _self || owner.Incarnation != _incarnation)
        {
            if (_role != OwnerRole.None) LoseOwnership();
            return;
        }

        if (owner.TransferTo is not null && owner.TransferTo != _self)
        {
            if (!IsReleasing)
            {
                _role = OwnerRole.Releasing;
                _isReleaseFlushUnderWay = false;
                _release = null;
            }

            if (_roleEpoch != owner.Epoch) _release = null; // To be reported under the epoch that asks now.
            if (_role == OwnerRole.Released && _release is null) _role = OwnerRole.Releasing;
            _roleEpoch = owner.Epoch;
            return;
        }

        if (_role is OwnerRole.Installing or OwnerRole.Serving && _roleEpoch == owner.Epoch) return;
        EndWindows();
        _role = OwnerRole.Installing;
        _roleEpoch = owner.Epoch;
        _wantsOwnership = false;
        BeginWindows();
    }

    /// <summary>Somebody else owns it now, without a release from here: this node was fenced, or the transfer was cancelled.</summary>
    private void LoseOwnership()
    {
        var wasReleased = _role == OwnerRole.Released;
        _role = OwnerRole.None;
        _release = null;
        EndWindows();
        if (Volume.Writers == WriterMode.One && wasReleased) _taints.Clear(); // Handed over as owed.
        if (Volume.Writers != WriterMode.One || wasReleased) return;
        foreach (var operation in SortedOperations())
        {
            if (!operation.IsClientWrite) continue;
            if (operation.HasPhysicalIo) operation.MustDrop = true;
            else if (operation.State == OperationState.Marking) Withdraw(operation);
        }
    }

    private void StepOwnership()
    {
        if (_view is null) return;
        if (_role == OwnerRole.Installing && MayInstall())
        {
            _role = OwnerRole.Serving;
            _reconsider = true;
        }

        if (_role == OwnerRole.Releasing) StepRelease();
        if (_role == OwnerRole.Released && _release is not null && _now - _releaseSentNs >= _options.RepeatNs) SendRelease();
        if (!_wantsOwnership || _role != OwnerRole.None || !HasLease) return;
        var isRepeat = _ownershipAskedNs != long.MinValue && _now - _ownershipAskedNs < _options.RepeatNs;
        if (isRepeat && _ownershipAskedEpoch == Volume.Owner.Epoch) return;
        _ownershipAskedNs = _now;
        _ownershipAskedEpoch = Volume.Owner.Epoch;
        _wantsOwnership = false; // Whoever still waits asks again when it is looked at.
        Emit(new MirrorEffect(EffectKind.RequestOwnership, _ownershipAskedEpoch));
    }

    private void WantOwnership()
    {
        if (_wantsOwnership || _role != OwnerRole.None) return;
        _wantsOwnership = true;
        var isDue = _ownershipAskedNs == long.MinValue || _now - _ownershipAskedNs >= _options.RepeatNs
            || _ownershipAskedEpoch != Volume.Owner.Epoch;
        if (isDue) _reconsider = true;
    }

    /// <summary>Owed regions are marked durably in the own slot before anything is written (design §14.7).</summary>
    private bool MayInstall()
    {
        if (!IsLogged || _trackedRuns.Count == 0) return true;
        return _hasLog && Tracker!.AreMarksDurable && !Tracker.HasUpdates;
    }

    private void StepRelease()
    {
        if (_isReleaseFlushUnderWay || !HasLease) return;
        if (_isShutdownFlushUnderWay && !Has(MirrorFaults.ReleaseOnClosedDisks))
        {
            // Nothing was written since that flush, and the disks may be closed after it.
            if (_isDrained) ReleaseFlushed(EndedClean);
            return;
        }

        if (!Has(MirrorFaults.ReleaseUndrained))
        {
            foreach (var operation in SortedOperations())
            {
                if (operation.Kind == RequestKind.Copy)
                {
                    if (operation.HasPhysicalIo) return;
                    AbandonCopy(operation);
                    continue;
                }

                if (!operation.IsClientWrite || Volume.Writers != WriterMode.One) continue;
                if (operation.HasPhysicalIo) return;
                // Nothing on the legs yet, or parked on a leg error (quiesced): start over under a later ownership.
                if (operation.State is OperationState.Marking or OperationState.AwaitingLeg) Withdraw(operation);
            }
        }

        foreach (var leg in _legs)
        {
            // A leg that lacks data is committed as lost before the hand-over, or the next owner might trust it.
            if (leg.Failure is { LacksData: true }) return;
        }

        _isReleaseFlushUnderWay = true;
        if (Tracker is not null && !_isCleaning) StartCleaning(CleaningKind.Final, FlushPurpose.Release);
        StartInternalFlush(FlushPurpose.Release);
    }

    private void ReleaseFlushed(bool isOk)
    {
        _isReleaseFlushUnderWay = false;
        if (_role != OwnerRole.Releasing || !isOk) return; // A failed leg is reported; the next state decides.
        _role = OwnerRole.Released;
        var isEverything = Volume.Resync is { IsEverythingOwed: true };
        var position = isEverything ? (_owed.IsEmpty ? Volume.SizeBytes : AlignDown(_owed.First)) : 0;
        // A torn write may lie below the position that is committed already: it is owed by name.
        var owed = new ByteRangeSet();
        foreach (var (range, _) in _taints) owed.Add(range);
        if (!isEverything)
        {
            foreach (var range in _owed.Ranges) owed.Add(range);
        }

        _release = new ReleaseReport(
            Volume.Owner.Epoch, _incarnation, RegionRuns(owed), isEverything, position, _view!.Index);
        SendRelease();
    }

    private void SendRelease()
    {
        _releaseSentNs = _now;
        Emit(new MirrorEffect(EffectKind.Released, Payload: _release));
    }

    private long AlignDown(long offset) => offset / Volume.RegionBytes * Volume.RegionBytes;
}
