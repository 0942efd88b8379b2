using RaftMirror.ControlPlane.Model;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>I-LIVE, as far as the replicated state shows it: nothing in it waits for a part that cannot act any more. A role, a word or a
/// mark that only such a part would take back outlives its reason.</summary>
internal static class WaitChecker
{
    public static void Check(ClusterState state, ulong index)
    {
        foreach (var set in state.Sets.Values)
        {
            foreach (var disk in set.Disks.Values) CheckUsers(state, set, disk, index);
            foreach (var volume in set.Volumes.Values) CheckVolume(state, set, volume, index);
        }
    }

    /// <summary>§14.20: a reboot has ended what an earlier boot had under way, and is told once.</summary>
    private static void CheckUsers(ClusterState state, SetState set, DiskState disk, ulong index)
    {
        foreach (var user in disk.Users)
        {
            ClusterChecker.Require(
                user.BootId == state.Nodes[user.Node].BootId, // All machines tell it here.
                $"I-LIVE: {set.Name}/{disk.Name} waits at {index} for incarnation {user.Incarnation} of {user.Node}, whose machine was rebooted");
        }
    }

    private static void CheckVolume(ClusterState state, SetState set, VolumeState volume, ulong index)
    {
        var where = $"{set.Name}/{volume.Name} at {index}";
        ClusterChecker.Require(
            volume.Resync is null || !Duties.IsStuck(state, set, volume) || Duties.LowestUpJoined(state, set, volume) is null,
            $"I-LIVE: the resync stays with {volume.Owner.Node}, which cannot use a disk, and another node can: {where}");
        if (volume.Recovery != RecoveryMode.Log) return;
        foreach (var barrier in volume.Barriers.Where(static barrier => barrier.Kind == BarrierKind.LegReturn))
        {
            foreach (var waiting in barrier.Waiting)
            {
                ClusterChecker.Require(
                    set.Members[waiting.Node].Slot is not null, $"I-LIVE: the marks of {waiting.Node} are waited for, which has no log: {where}");
            }
        }
    }
}
