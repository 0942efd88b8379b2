using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>A submirror that is offline is kept all that becomes owed while it is away, and is owed all of that when it returns; it is no
/// source before every node told its marks (§14.5). No disk returns while I/O to it may be under way (§14.20).</summary>
internal sealed class KeptMarksChecker
{
    private readonly HashSet<(string Set, string Disk)> _unstamped = []; // Returned, and no stamp completed on them since.

    public int Losses { get; private set; }

    /// <summary>Returns of disks that a node had called old.</summary>
    public int Refills { get; private set; }

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
                    _unstamped.Add((e.Set, e.Disk));
                    CheckContent(machine, e, index);
                    break;
                case BeatCompleted e:
                    foreach (var disk in e.Disks) _unstamped.Remove((e.Set, disk));
                    break;
                case ActivationCompleted e:
                    foreach (var disk in e.Disks) _unstamped.Remove((e.Set, disk));
                    break;
                case NodeFenced e:
                    CheckFence(machine, e, index);
                    break;
                case DirtyLogMerged when body is MergeDirtyLog merge:
                    CheckMerge(merge, machine.State, index);
                    break;
            }
        }

        foreach (var (setName, set) in machine.State.Sets)
        {
            foreach (var (name, volume) in set.Volumes)
            {
                CheckVolume(machine.Before.Volume(setName, name), volume, $"{setName}/{name} at {index}");
                CheckSources(setName, machine.Before.Volume(setName, name), volume, index);
            }
        }
    }

    /// <summary>§14.5: a disk that hangs in the kernel of a node cannot be fenced against it, so it is lost with the receipt.</summary>
    private static void CheckFence(RecordingMachine machine, NodeFenced fenced, ulong index)
    {
        foreach (var (name, set) in machine.Before.Sets)
        {
            if (set.Members.GetValueOrDefault(fenced.Node) is not { } member || member.JoinedIncarnation != fenced.Incarnation) continue;
            if (member.DisksBy != fenced.Incarnation) continue;
            foreach (var told in member.Disks)
            {
                if (told.Reason != DiskLossReason.TimedOut || !set.Disks.ContainsKey(told.Disk)) continue;
                ClusterChecker.Require(
                    machine.State.Sets[name].Disks[told.Disk].Status == DiskStatus.Lost,
                    $"§14.5: {name}/{told.Disk} is in use after {index}, where {fenced.Node} was fenced with calls to it that hang");
            }
        }
    }

    /// <summary>§14.19: of a disk that a node calls old nothing counts.</summary>
    private void CheckContent(RecordingMachine machine, DiskReturned e, ulong index)
    {
        var isOld = machine.Before.Sets[e.Set].Members.Values.Any(member => machine.Before.Node(member.Node) is { } node
            && Duties.IsJoined(node, member) && member.ComplaintOf(e.Disk, node.Incarnation) is not null);
        if (isOld) Refills++;
        ClusterChecker.Require(!isOld || e.IsEverythingOwed, $"§14.19: {e.Set}/{e.Disk} is old and returned at {index} with its kept marks only");
        if (!e.IsEverythingOwed) return;
        foreach (var volume in machine.State.Sets[e.Set].Volumes.Values)
        {
            foreach (var leg in volume.Submirrors.Where(leg => leg.IsOn(e.Disk) && leg.Status == LegState.Resyncing))
            {
                ClusterChecker.Require(
                    volume.Resync is { IsEverythingOwed: true, PositionBytes: 0 }, $"§14.19: {leg.Name} is on {e.Disk}, which is old, and is not owed everything at {index}");
            }
        }
    }

    /// <summary>§14.19: no leg is a source before its disks carry a stamp from after their return.</summary>
    private void CheckSources(string set, VolumeState? before, VolumeState volume, ulong index)
    {
        if (before?.Number != volume.Number) return;
        foreach (var leg in volume.Submirrors)
        {
            if (!leg.IsReadable || !before.Submirrors.First(former => former.Name == leg.Name).IsTarget) continue;
            ClusterChecker.Require(
                !leg.Extents.Any(extent => _unstamped.Contains((set, extent.Disk))), $"§14.19: {leg.Name} is a source at {index}, and its disk carries the label it came back with");
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
                if (leg is not { Status: LegState.Offline, IsEverythingKept: false }) continue;
                ClusterChecker.Require(
                    !merge.IsEverything && IsSubset(marks, leg.KeptRuns), $"§14.5: what {merge.Node} marked is not kept for {leg.Name} of {merge.Set}/{name} at {index}");
            }
        }
    }

    private static void CheckVolume(VolumeState? before, VolumeState volume, string where)
    {
        foreach (var leg in volume.Submirrors)
        {
            if (leg is { Status: LegState.Offline, IsEverythingKept: false } && volume.Resync is { } owed)
                ClusterChecker.Require(IsSubset(owed.OwedRuns, leg.KeptRuns), $"§14.5: {leg.Name} is not kept what is owed: {where}");
            if (before?.Number != volume.Number) continue;
            var old = before.Submirrors.First(former => former.Name == leg.Name);
            if (old.Status == LegState.Offline && leg.Status != LegState.Offline) CheckReturn(old, volume, where);
            if (leg.Status != LegState.Okay || !old.IsTarget) continue;
            ClusterChecker.Require(
                !before.Barriers.Any(barrier => barrier.Kind == BarrierKind.LegReturn), $"§14.5: {leg.Name} is a source before all told their marks: {where}");
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
