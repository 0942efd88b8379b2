using RaftMirror.DataPlane.Configuration;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>The oldest held request of a volume.</summary>
/// <param name="Reason">What it waits for.</param>
/// <param name="On">Node or disk that this depends on, if one is known.</param>
/// <param name="AgeNs">Since it came.</param>
/// <param name="Requests">Requests that are held, for whatever reason.</param>
internal readonly record struct HeldRequest(HoldReason Reason, string? On, long AgeNs, int Requests);

// Nothing waits without a cause that names what it waits for (design §14.20).
internal sealed partial class MirrorCore
{
    /// <summary>The oldest client request that is held, without leg I/O of its own under way; null if there is none. For status.</summary>
    public HeldRequest? OldestHeld(long now)
    {
        Operation? oldest = null;
        var count = 0;
        foreach (var operation in _operations.Values)
        {
            // The one with the lowest number: no order matters.
            if (operation.HasPhysicalIo || operation.IsDetached || operation.Kind is RequestKind.Copy or RequestKind.InternalFlush) continue;
            count++;
            if (oldest is null || operation.Id < oldest.Id) oldest = operation;
        }

        if (oldest is null) return null;
        var (reason, on) = HoldOf(oldest);
        return new HeldRequest(reason, on, now - oldest.CameNs, count);
    }

    private (HoldReason Reason, string? On) HoldOf(Operation operation)
    {
        if (_view is null || !IsJoined) return (HoldReason.Join, null);
        if (!HasLease) return (HoldReason.Lease, null);
        if (operation.State == OperationState.AwaitingLeg) return (HoldReason.LegLoss, FailedLegOf(operation));
        if (Volume.WaitsFor is { } disk) return (HoldReason.Disk, disk);
        if (operation.State == OperationState.Marking) return (HoldReason.Marks, null);
        return operation.Kind == RequestKind.Read ? HoldOfRead(operation) : HoldOfWrite(operation);
    }

    private (HoldReason Reason, string? On) HoldOfRead(Operation operation)
    {
        if (!IsLogged || !IsMergePending) return (HoldReason.Repair, Volume.Owner.Node);
        foreach (var member in _view!.Members)
        {
            if (member.IsMergeOwed || (member.State == MemberPhase.Suspect && member.IsJoined)) return (HoldReason.Merge, member.Node);
        }

        return (HoldReason.Merge, null);
    }

    private (HoldReason Reason, string? On) HoldOfWrite(Operation operation)
    {
        if (IsOrdered(operation) && !operation.IsInOrder && operation.OrderHold is { } hold)
            return (hold.IsSilent ? HoldReason.Answer : HoldReason.OlderWrite, hold.Node ?? _self);
        if (IsLogged && !_hasLog) return (HoldReason.Log, null);
        if (Volume.Writers == WriterMode.One && !MayOwnerAdmit) return (HoldReason.Owner, Volume.Owner.Node);
        if (!IsSessionDrained(operation.Session)) return (HoldReason.FormerConnection, UndrainedOf(operation.Session));
        if (!HasWindows || IsUnderRemoteWindow(operation.Range)) return (HoldReason.Copy, Volume.Owner.Node);
        return (HoldReason.Overlap, _self);
    }

    private static string? FailedLegOf(Operation operation)
    {
        for (var i = 0; i < operation.LegCount; i++)
        {
            if (operation.Status[i] != Devices.DeviceStatus.Ok) return operation.Legs[i]!.Name;
        }

        return null;
    }

    /// <summary>A node that has not said that what came on former connections has ended; null if it is this one.</summary>
    private string? UndrainedOf(uint number)
    {
        foreach (var session in _sessions)
        {
            if (session.Number != number) continue;
            foreach (var member in _view!.Members)
            {
                if (IsLivePeer(member) && !session.Has(member)) return member.Node;
            }
        }

        return _self;
    }
}
