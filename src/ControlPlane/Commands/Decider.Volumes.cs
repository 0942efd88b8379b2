using System.Collections.Immutable;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>Mirrors: creation, deletion, lost submirrors, barriers.</content>
public sealed partial class Decider
{
    private ResultData Create(CreateMirror c)
    {
        var set = SetOf(c.Set);
        CheckName("volume", c.Volume);
        CheckUsage(c.SizeBytes > 0, "badSize", $"A volume cannot have {c.SizeBytes} bytes.");
        CheckUsage(c.SizeBytes % PlacementRules.AlignmentBytes == 0, "badSize",
            $"A volume's size is a multiple of 1 MiB; {c.SizeBytes} bytes is not: ask for {(c.SizeBytes / PlacementRules.AlignmentBytes) + 1}M.");
        CheckUsage(c.RegionBytes is >= 1 << 16 and <= 1 << 26 && (c.RegionBytes & (c.RegionBytes - 1)) == 0, "badRegion",
            $"A region is a power of two from 64K to 64M, not {c.RegionBytes} bytes.");
        CheckUsage(!c.Disks.IsDefaultOrEmpty && c.Disks.Length <= 4, "badDisks", "A mirror has one to four submirrors: name as many disks.");
        CheckUsage(c.Disks.Distinct(StringComparer.Ordinal).Count() == c.Disks.Length, "duplicateDisk",
            "Two submirrors on one disk would be lost together: name each disk once.");
        CheckUsage(c.Pass is >= 0 and <= 9, "badPass", $"A pass number is 0 to 9, not {c.Pass}.");
        CheckUsage(c.Recovery == RecoveryMode.Log || c.Writers == WriterMode.All, "badWriters",
            "With --recovery app every node writes: use --writers all.");
        Check(!set.Volumes.ContainsKey(c.Volume), "volumeExists", $"There already is a volume '{c.Set}/{c.Volume}'.");
        if (c.Evidence is { } evidence) CheckEvidence(set, evidence, isComplete: true);
        if (c.Recovery == RecoveryMode.Log) CheckRegions(set, c);

        var submirrors = ImmutableArray.CreateBuilder<SubmirrorState>();
        foreach (var name in c.Disks)
        {
            if (set.Disks.GetValueOrDefault(name) is not { } disk)
            {
                Reject("noSuchDisk", RejectionKind.NotFound,
                    $"There is no disk '{name}' in '{c.Set}'; known are: {string.Join(", ", set.Disks.Keys)}.");
                return null;
            }

            Check(disk.Status == DiskStatus.Okay, "diskNotOkay", $"Disk '{name}' {(disk.Status == DiskStatus.Lost ? $"is lost: {disk.LossDetail}" : "has failed")}.");
            Check(!disk.AwaitsStamp, "busy", $"Disk '{name}' is just coming back; try again in a moment.", isRetryable: true);
            var extents = PlacementRules.Allocate(set, disk, c.SizeBytes, out var free);
            Check(extents is not null, "noSpace", $"{c.SizeBytes} bytes do not fit on disk '{name}': {free} bytes are free.");
            submirrors.Add(new SubmirrorState(
                $"{c.Volume}-{submirrors.Count}",
                submirrors.Count == 0 ? LegState.Okay : LegState.Attached,
                extents.Value));
        }

        Emit(new MirrorCreated(c.Set, c.Volume, set.NextVolumeNumber, c.SizeBytes, c.RegionBytes, c.Recovery, c.Writers,
            c.Read, c.Write, c.Pass, submirrors.ToImmutable()));
        if (submirrors.Count > 1) Emit(new ResyncStarted(c.Set, c.Volume, ResyncKind.Submirror, true, []));
        AssignOrphans(c.Node);
        return new ResultData(Number: set.NextVolumeNumber, Epoch: _state.Volume(c.Set, c.Volume)!.Owner.Epoch);
    }

    private static void CheckRegions(SetState set, CreateMirror c)
    {
        // Page by page: many small volumes fill a snapshot with far fewer regions than one large volume.
        var pages = PlacementRules.SnapshotPagesOf(((c.SizeBytes - 1) / c.RegionBytes) + 1);
        foreach (var volume in set.Volumes.Values)
        {
            if (volume.Recovery == RecoveryMode.Log) pages += PlacementRules.SnapshotPagesOf(volume.Regions);
        }

        var most = PlacementRules.SnapshotPages(set.MetadataBytes, set.MaxNodes);
        Check(pages <= most, "slotTooSmall",
            $"The marks of the logged volumes of '{set.Name}' would need {pages} pages ({PlacementRules.RegionsPerPage} regions of one volume each), but a slot holds {most}; choose a larger --region, or fewer volumes.");
    }

    private ResultData Delete(DeleteMirror c)
    {
        var volume = VolumeOf(c.Set, c.Volume);
        if (volume.IsDeleting) return new ResultData(Number: volume.Number);
        var barrier = _state.NextBarrierId;
        Emit(new MirrorDeleting(c.Set, c.Volume, barrier, Joined(_state.Sets[c.Set])));
        CompleteBarriers(c.Set, c.Volume);
        return new ResultData(Number: volume.Number, Barrier: barrier);
    }

    private ResultData Fail(FailSubmirror c)
    {
        var volume = VolumeOf(c.Set, c.Volume);
        var set = _state.Sets[c.Set];
        JoinedMember(set, c.Node, c.Incarnation);
        if (volume.Submirrors.FirstOrDefault(s => s.Name == c.Submirror) is not { } lost)
        {
            Reject("noSuchSubmirror", RejectionKind.NotFound, $"'{c.Set}/{c.Volume}' has no submirror '{c.Submirror}'.");
            return null;
        }

        if (lost.Status is LegState.Maintenance or LegState.Offline) return new ResultData(Status: lost.Status.ToString());
        // The last readable one stays on a lost disk: that its I/O fails says nothing of its data, and it waits.
        if (lost.Extents.Any(extent => set.Disks[extent.Disk].Status == DiskStatus.Lost)) return new ResultData(Status: lost.Status.ToString());
        if (c.HeldBy is not null && !volume.Submirrors.Any(s => s.Name == c.HeldBy && s.IsReadable)) return new ResultData(Status: lost.Status.ToString());
        var hasOther = volume.Submirrors.Any(s => s.Name != lost.Name && s.IsReadable);
        if (lost.IsReadable && !hasOther)
        {
            if (lost.Status != LegState.LastErred)
                Emit(new SubmirrorStateChanged(c.Set, c.Volume, lost.Name, lost.Status, LegState.LastErred, c.Reason));
            return new ResultData(Status: nameof(LegState.LastErred));
        }

        Emit(new SubmirrorStateChanged(c.Set, c.Volume, lost.Name, lost.Status, LegState.Maintenance, c.Reason));
        var barrier = _state.NextBarrierId;
        Emit(new BarrierStarted(c.Set, c.Volume, barrier, lost.Name, set.Generation + 1, Joined(set)));
        EndLegReturn(c.Set, c.Volume, lost.Name);
        EndResyncOfOne(c.Set, c.Volume, lost.Name);
        CompleteBarriers(c.Set, c.Volume);
        return new ResultData(Barrier: barrier, Generation: set.Generation + 1, Status: nameof(LegState.Maintenance));
    }

    private ResultData? Confirm(ConfirmBarrier c)
    {
        NodeOf(c.Node, c.Incarnation);
        if (_state.Volume(c.Set, c.Volume) is not { } volume) return null; // Deleted meanwhile: nothing waits.
        if (volume.Barriers.FirstOrDefault(b => b.Id == c.Barrier) is { } barrier
            && barrier.Waiting.Contains(new NodeIncarnation(c.Node, c.Incarnation)))
        {
            if (barrier.Kind == BarrierKind.LegReturn && !c.Runs.IsDefaultOrEmpty)
            {
                CheckRuns(volume, c.Runs);
                Owe(c.Set, c.Volume, false, c.Runs);
            }

            Emit(new BarrierConfirmed(c.Set, c.Volume, c.Barrier, c.Node, c.Incarnation));
            CompleteBarriers(c.Set, c.Volume);
        }

        return new ResultData(Barrier: c.Barrier);
    }

    /// <summary>An incarnation that does no more I/O on a set is awaited by no barrier of it.</summary>
    private void AwaitNoMore(string set, string node, ulong incarnation)
    {
        foreach (var (name, volume) in _state.Sets[set].Volumes)
        {
            foreach (var barrier in volume.Barriers)
            {
                if (barrier.Waiting.Contains(new NodeIncarnation(node, incarnation)))
                    Emit(new BarrierConfirmed(set, name, barrier.Id, node, incarnation));
            }

            CompleteBarriers(set, name);
        }
    }

    private void CompleteBarriers(string setName, string volumeName)
    {
        if (_state.Volume(setName, volumeName) is not { } volume) return;
        foreach (var barrier in volume.Barriers)
        {
            if (!barrier.Waiting.IsEmpty || barrier.Generation > _state.Sets[setName].StampedGeneration) continue;
            Emit(new BarrierCompleted(setName, volumeName, barrier.Id));
            if (barrier.Kind == BarrierKind.Delete)
            {
                Emit(new MirrorDeleted(setName, volumeName, volume.Number));
                return;
            }
        }
    }
}
