using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Reads: which leg, and what they wait for.
internal sealed partial class MirrorCore
{
    private int _nextLeg;

    private void StepRead(Operation operation)
    {
        if (!MayServe(operation)) return;
        if (IsLogged && IsMergePending && !Has(MirrorFaults.IgnoreMergeOwed))
        {
            Park(operation); // A dead writer's last writes may stand on some legs only (design §14.6).
            return;
        }

        if (IsOwedForRead(operation.Range) && !Has(MirrorFaults.ReadOwedUnrepaired))
        {
            AskForRepair(operation);
            Park(operation);
            return;
        }

        SubmitRead(operation);
    }

    private void SubmitRead(Operation operation)
    {
        var leg = ChooseLeg(operation);
        if (leg is null)
        {
            End(operation, IoStatus.IoError);
            return;
        }

        operation.State = OperationState.Submitted;
        operation.PendingTotal = 0;
        EmitRange(operation, AddLeg(operation, leg), EffectKind.LegRead);
    }

    /// <summary>A readable leg that this read has not tried, by policy; null if there is none. A LastErred leg only if nothing
    /// else is left.</summary>
    private Leg? ChooseLeg(Operation operation)
    {
        var count = 0;
        Span<int> candidates = stackalloc int[Operation.MaxLegs];
        for (var pass = 0; pass < 2 && count == 0; pass++)
        {
            for (var i = 0; i < _legs.Count; i++)
            {
                var isWanted = Has(MirrorFaults.ReadTargets) ? _legs[i].IsWritable : _legs[i].IsReadable;
                if (!isWanted || WasTried(operation, _legs[i])) continue;
                if (pass == 0 && _legs[i].State == LegState.LastErred) continue;
                if (pass == 0 && _legs[i].Failure is not null) continue;
                candidates[count++] = i;
            }
        }

        if (count == 0) return null;
        if (count == 1 || Volume.IsReadPinned || Volume.Read == ReadPolicy.First) return _legs[candidates[0]];
        var choice = Volume.Read == ReadPolicy.Geometric
            ? (int)(operation.Range.Start / Volume.RegionBytes % count)
            : _nextLeg++ % count;
        if (_nextLeg < 0) _nextLeg = 0;
        return _legs[candidates[choice]];
    }

    private static bool WasTried(Operation operation, Leg leg)
    {
        for (var i = 0; i < operation.LegCount; i++)
        {
            if (operation.Legs[i] == leg) return true;
        }

        return false;
    }

    private void ReadEnded(Operation operation)
    {
        if (operation.MustDrop || !HasLease)
        {
            End(operation, IoStatus.Drop);
            return;
        }

        if (!HasFailedLeg(operation))
        {
            End(operation, IoStatus.Ok);
            return;
        }

        if (operation.LegCount == Operation.MaxLegs) End(operation, IoStatus.IoError);
        else SubmitRead(operation);
    }

    /// <summary>True while a node that may hold unmerged marks of this volume is suspect, or gone and not merged.</summary>
    private bool IsMergePending
    {
        get
        {
            var owner = Volume.Owner;
            foreach (var member in _view!.Members)
            {
                var isUncertain = (member.State == MemberPhase.Suspect && member.IsJoined) || member.IsMergeOwed;
                if (!isUncertain || (member.Node == _self && member.Incarnation == _incarnation)) continue;
                // One writer: only the owner has marks that count. With no owner it may be any of them.
                if (Volume.Writers == WriterMode.One && owner.Node is not null && owner.Node != member.Node) continue;
                return true;
            }

            return false;
        }
    }

    private bool IsOwedForRead(ByteRange range)
    {
        if (!IsLogged || Volume.Resync is null || !_owed.Overlaps(range)) return false;
        var readable = 0;
        foreach (var leg in _legs)
        {
            if (leg.IsReadable) readable++;
        }

        return readable > 1; // With one readable leg no two reads can differ.
    }
}
