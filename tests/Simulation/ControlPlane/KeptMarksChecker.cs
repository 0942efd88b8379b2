using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>A submirror that is offline is kept all that becomes owed while it is away, and is owed all of that when it returns; it is no
/// source before every node told its marks (§14.5). No disk returns while I/O to it may be under way (§14.20).</summary>
internal sealed class KeptMarksChecker
{
    public int Losses { get; private set; }

    public int Returns { get; private set; }

    public void Applied(RecordingMachine machine, CommandBody body, ulong index)
    {
        foreach (var record in machine.Events)
        {
            switch (record.Event)
            {
                case DiskLost:
                    Losses++;
                    break;
                case DiskReturned e:
                    Returns++;
                    ClusterChecker.Require(
                        machine.Before.Sets[e.Set].Disks[e.Disk].Users.IsEmpty, $"§14.20: {e.Set}/{e.Disk} returned at {index} with I/O under way");
                    break;
                case DirtyLogMerged when body is MergeDirtyLog merge:
                    CheckMerge(merge, machine.State, index);
                    break;
            }
        }

        foreach (var (setName, set) in machine.State.Sets)
        {
            foreach (var (name, volume) in set.Volumes) CheckVolume(machine.Before.Volume(setName, name), volume, $"{setName}/{name} at {index}");
        }
    }

    private static void CheckMerge(MergeDirtyLog merge, ClusterState state, ulong index)
    {
        foreach (var (name, volume) in state.Sets[merge.Set].Volumes)
        {
            if (volume.Recovery != RecoveryMode.Log) continue;
            var marks = merge.Marks.FirstOrDefault(entry => entry.Volume == volume.Number)?.Runs ?? [];
            foreach (var leg in volume.Submirrors)
            {
                if (leg is not { Status: SubmirrorStatus.Offline, IsEverythingKept: false }) continue;
                ClusterChecker.Require(
                    !merge.IsEverything && IsSubset(marks, leg.KeptRuns), $"§14.5: what {merge.Node} marked is not kept for {leg.Name} of {merge.Set}/{name} at {index}");
            }
        }
    }

    private static void CheckVolume(VolumeState? before, VolumeState volume, string where)
    {
        foreach (var leg in volume.Submirrors)
        {
            if (leg is { Status: SubmirrorStatus.Offline, IsEverythingKept: false } && volume.Resync is { } owed)
                ClusterChecker.Require(IsSubset(owed.OwedRuns, leg.KeptRuns), $"§14.5: {leg.Name} is not kept what is owed: {where}");
            if (before?.Number != volume.Number) continue;
            var old = before.Submirrors.First(former => former.Name == leg.Name);
            if (old.Status == SubmirrorStatus.Offline && leg.Status != SubmirrorStatus.Offline) CheckReturn(old, volume, where);
            if (leg.Status != SubmirrorStatus.Okay || !old.IsTarget) continue;
            ClusterChecker.Require(
                !before.Barriers.Any(barrier => barrier.Kind == BarrierType.LegReturn), $"§14.5: {leg.Name} is a source before all told their marks: {where}");
        }
    }

    private static void CheckReturn(SubmirrorState old, VolumeState volume, string where)
    {
        var isOwed = volume.Resync is { } resync
            && (resync.IsEverythingOwed ? resync.PositionBytes == 0 || !old.IsEverythingKept : !old.IsEverythingKept)
            && (resync.IsEverythingOwed || IsSubset(old.KeptRuns, resync.OwedRuns));
        ClusterChecker.Require(isOwed, $"§14.5: {old.Name} returned and is not owed what was kept for it: {where}");
    }

    private static bool IsSubset(IEnumerable<RegionRun> runs, IReadOnlyList<RegionRun> of) =>
        runs.All(run => of.Any(known => known.Start <= run.Start && known.End >= run.End));
}
