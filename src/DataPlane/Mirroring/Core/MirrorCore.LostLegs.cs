using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Calls that do not come back. Nothing waits for a leg that is committed as lost; for one in use everything does, within its bound.
internal sealed partial class MirrorCore
{
    /// <summary>Whatever waits for a leg that is not in use any more waits no longer: range locks, drains, barriers, windows, transfers,
    /// shutdown (design §14.20). The last readable leg is never such a one: it stays in use.</summary>
    private void GiveUpLostLegs()
    {
        foreach (var operation in SortedOperations())
        {
            for (var i = 0; i < operation.LegCount && operation.HasPhysicalIo; i++)
            {
                if (operation.Pending[i] == 0 || operation.IsGivenUp[i] || !IsLost(operation.Legs[i]!)) continue;
                operation.IsGivenUp[i] = true;
                Emit(new MirrorEffect(EffectKind.GiveUp, operation.Id, i));
            }
        }
    }

    private bool IsLost(Leg leg) => !Has(MirrorFaults.WaitForLostLeg) && leg.IsPresent && !leg.IsWritable;

    /// <summary>A client whose request hangs on a leg in use, or whose write waits for the loss of a leg to be over everywhere, is let go after the
    /// bound: it may try another node, where its request waits for this one's end (drain barrier). Here the range stays locked until then.
    /// A write that only waits for its marks has reached no leg, so it ends whole.</summary>
    private void DetachOverdue()
    {
        foreach (var operation in SortedOperations())
        {
            if (operation.Kind is RequestKind.Copy or RequestKind.InternalFlush || operation.IsDetached) continue;
            if (_now < operation.DeadlineNs || operation.State == OperationState.Ended) continue;
            if (operation.State == OperationState.Marking && !Has(MirrorFaults.HoldOverdueMarks))
            {
                DropUnmarked(operation);
                continue;
            }

            if (!operation.HasPhysicalIo && operation.State != OperationState.AwaitingLeg) continue;
            operation.IsDetached = true;
            operation.MustDrop |= operation.HasPhysicalIo;
            RequestCount--;
            Emit(new MirrorEffect(EffectKind.Reply, operation.RequestId, Status: IoStatus.Drop));
        }
    }

    private void DropUnmarked(Operation operation)
    {
        FenceIfTainted(operation);
        if (operation.State == OperationState.Ended) return;
        ReleaseHolds(operation);
        End(operation, IoStatus.Drop);
    }

    /// <summary>The oldest leg I/O that somebody waits for; null if there is none. For status.</summary>
    public LegWait? OldestWait(long now)
    {
        Operation? oldest = null;
        foreach (var operation in _operations.Values)
        {
            // The oldest, and of equals the first: no order matters.
            if (!operation.HasPhysicalIo) continue;
            if (oldest is null || (operation.SubmittedNs, operation.Id).CompareTo((oldest.SubmittedNs, oldest.Id)) < 0) oldest = operation;
        }

        if (oldest is null) return null;
        for (var i = 0; i < oldest.LegCount; i++)
        {
            if (oldest.Pending[i] > 0) return new LegWait(oldest.Legs[i]!.Name, oldest.Legs[i]!.Extents[0].Disk, now - oldest.SubmittedNs);
        }

        return null;
    }
}

/// <summary>What a volume waits for.</summary>
/// <param name="Leg">Leg.</param>
/// <param name="Disk">Its (first) disk.</param>
/// <param name="AgeNs">Since it was submitted.</param>
internal readonly record struct LegWait(string Leg, string Disk, long AgeNs);
