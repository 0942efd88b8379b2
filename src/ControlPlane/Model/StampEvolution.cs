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

    private static SetState Stamped(SetState set, IEnumerable<string> names, StampState stamp, StampState next, long atMs)
    {
        var disks = set.Disks;
        foreach (var name in names) disks = disks.SetItem(name, disks[name] with { Stamp = stamp });
        return set with { Disks = disks, NextStamp = next, StampedAtMs = atMs };
    }
}
