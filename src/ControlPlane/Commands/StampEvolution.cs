using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <summary>Folds stamps and activations into a set. Pure.</summary>
internal static class StampEvolution
{
    public static SetState After(SetState set, ActivationStarted e) => Open(set, e.Stamp) with
    {
        Activation = e.Activation,
        Activating = new ActivationState(e.Activation, e.Node, e.Incarnation),
    };

    /// <summary>Its stamp stays open: it may be on disks, and the next activation takes a later one.</summary>
    public static SetState After(SetState set, ActivationGivenUp e) =>
        set.Activating?.Number == e.Activation ? set with { Activating = null } : set;

    /// <summary>Another stamp may be written from now on.</summary>
    public static SetState Open(SetState set, StampState? stamp)
    {
        if (stamp is null || stamp == set.NextStamp) return set;
        var opened = set.OpenedStamps.Length < SetState.MaxOpenedStamps ? set.OpenedStamps : set.OpenedStamps.RemoveAt(0);
        return set with { NextStamp = stamp, OpenedStamps = opened.Add(stamp) };
    }

    public static SetState After(SetState set, ActivationCompleted e, long atMs) =>
        Stamped(set, e.Disks, e.Stamp, e.Next, atMs) with { Activating = null };

    public static SetState After(SetState set, BeatCompleted e, long atMs) =>
        Stamped(set, e.Disks, e.Stamp, e.Next, atMs);

    /// <summary>The open stamp is on a disk that was added, so the next beat takes another: a copy from before it must show as older.</summary>
    public static StampState? AfterAdding(StampState? open, StampState? onDisk, Guid nonce) =>
        open is not null && onDisk is not null && onDisk.Number == open.Number ? open with { Number = open.Number + 1, Nonce = nonce } : open;

    private static SetState Stamped(SetState set, IEnumerable<string> names, StampState stamp, StampState next, long atMs)
    {
        var disks = set.Disks;
        foreach (var name in names) disks = disks.SetItem(name, disks[name] with { Stamp = stamp, AwaitsStamp = false });
        return Open(set, next) with { Disks = disks, StampedAtMs = atMs };
    }
}
