using RaftMirror.ControlPlane.Events;

namespace RaftMirror.ControlPlane.Model;

/// <summary>Folds stamps and activations into a set. Pure.</summary>
internal static class StampEvolution
{
    public static SetState After(SetState set, ActivationStarted e) => set with
    {
        Activation = e.Activation,
        Activating = new ActivationState(e.Activation, e.Node, e.Incarnation),
        NextStamp = e.Stamp,
    };

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
        return set with { Disks = disks, NextStamp = next, StampedAtMs = atMs };
    }
}
