using System.Collections.Immutable;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>The life of a disk: lost, returned, complained of.</content>
public sealed partial class Decider
{
    private const int MaxDetail = 1024;

    private ResultData Lose(LoseDisk c)
    {
        var set = SetOf(c.Set);
        var disk = DiskOf(set, c.Disk);
        CheckUsage(c.Reason != DiskLossReason.None, "badReason", "Say why the disk is lost.");
        CheckDetail(c.Detail);
        JoinedMember(set, c.Node, c.Incarnation);
        CheckEvidence(set, c.Evidence, isComplete: true);
        var slow = c.Slow.IsDefault ? [] : c.Slow;
        // Lost already: what had no other source then may have one now.
        if (disk.Status == DiskStatus.Lost) LeaveDisk(c.Set, c.Disk, slow);
        else LoseNow(c.Set, c.Disk, c.Reason, c.Detail, c.Node, slow);
        return new ResultData(Generation: _state.Sets[c.Set].Generation, Status: nameof(DiskStatus.Lost));
    }

    /// <summary>Commits a loss: also part of commands that find more than one disk gone.</summary>
    private void LoseNow(
        string setName, string disk, DiskLossReason reason, string detail, string node, ImmutableArray<string> slow = default, NodeIncarnation? fenced = null)
    {
        var users = Joined(_state.Sets[setName]).Concat(Dead(_state.Sets[setName])).Concat(fenced is { } just ? [just] : []).Distinct()
            .Where(user => !HasRebootedSince(user))
            .Select(user => new DiskUser(user.Node, user.Incarnation, BootIdOf(user)));
        Emit(new DiskLost(setName, disk, reason, detail, node, [.. users]));
        LeaveDisk(setName, disk, slow.IsDefault ? [] : slow);
    }

    /// <summary>Disks to which an incarnation has calls of which it said that they hang there.</summary>
    private List<(string Set, DiskComplaint Complaint)> HangingOn(string node, ulong incarnation) =>
    [
        .. from set in _state.Sets.Values
           let member = set.Members.GetValueOrDefault(node)
           where member is not null && member.JoinedIncarnation == incarnation
           from complaint in set.Disks.Keys.Select(disk => member.ComplaintOf(disk, incarnation))
           where complaint?.Reason == DiskLossReason.TimedOut && !StateMutants.HangingDisksStay
           select (set.Name, complaint),
    ];

    /// <summary>Design §14.5: a call that hangs in the kernel of a node outlives the node and its lease, so the disk cannot be fenced. It is lost before
    /// anybody writes under the receipt, and does not come back before the call has ended. Where no other submirror has the data, its I/O waits.</summary>
    private void LoseWhatIsUnfenced(string set, DiskComplaint complaint, NodeIncarnation fenced)
    {
        if (_state.Sets[set].Disks[complaint.Disk].Status == DiskStatus.Lost) return; // Its users count the dead.
        var detail = $"'{fenced.Node}' was fenced while its calls hung, and they may still land; {complaint.Detail}";
        LoseNow(set, complaint.Disk, DiskLossReason.TimedOut, detail.Length <= MaxDetail ? detail : detail[..MaxDetail], fenced.Node, fenced: fenced);
    }

    private void LeaveDisk(string setName, string disk, ImmutableArray<string> slow)
    {
        // One generation for all that are lost together: the survivors' labels are written once.
        var generation = _state.Sets[setName].Generation + 1;
        foreach (var volume in _state.Sets[setName].Volumes.Keys) TakeOffline(setName, volume, disk, generation, slow);
        foreach (var volume in _state.Sets[setName].Volumes.Keys) CompleteBarriers(setName, volume);
    }

    private void TakeOffline(string setName, string volumeName, string disk, ulong generation, ImmutableArray<string> slow)
    {
        foreach (var name in _state.Volume(setName, volumeName)!.Submirrors.Select(static leg => leg.Name).ToArray())
        {
            var volume = _state.Volume(setName, volumeName)!;
            var leg = volume.Submirrors.First(candidate => candidate.Name == name);
            if (!leg.IsWritable || !leg.IsOn(disk)) continue;
            // The last one that has the data is not taken out: its I/O waits, and a later return goes on where it stood.
            if (leg.IsReadable && !volume.Submirrors.Any(other => other.Name != name && other.IsReadable && !IsDoubtful(setName, other, slow))) continue;
            var (isEverything, runs) = KeptMarks.AtLoss(volume, leg);
            Emit(new SubmirrorStateChanged(setName, volumeName, name, leg.Status, LegState.Offline, $"disk '{disk}' is lost"));
            Keep(setName, volumeName, isEverything, runs, only: name);
            Emit(new BarrierStarted(setName, volumeName, _state.NextBarrierId, name, generation, Joined(_state.Sets[setName])));
            EndLegReturn(setName, volumeName, name);
            EndResyncOfOne(setName, volumeName, name);
        }
    }

    private bool IsDoubtful(string setName, SubmirrorState leg, ImmutableArray<string> slow) => leg.Extents.Any(
        extent => slow.Contains(extent.Disk) || _state.Sets[setName].Disks[extent.Disk].Status == DiskStatus.Lost);

    /// <summary>A submirror that is lost anew before all told their marks waits for them no more: they keep them.</summary>
    private void EndLegReturn(string set, string volume, string submirror)
    {
        foreach (var barrier in _state.Volume(set, volume)!.Barriers)
        {
            if (barrier.Kind == BarrierKind.LegReturn && barrier.Submirror == submirror)
                Emit(new BarrierCompleted(set, volume, barrier.Id));
        }
    }

    private void EndResyncOfOne(string set, string name, string lost)
    {
        var volume = _state.Volume(set, name)!;
        if (volume.Resync is not { } resync || volume.Submirrors.Count(static s => s.IsWritable) >= 2) return;
        Emit(new ResyncCancelled(set, name, resync.Kind, $"'{lost}' was lost, and one submirror is left"));
        EndResyncOwnership(set, name);
    }

    /// <summary>Adds to what the offline submirrors of a volume (or one of them) will be owed.</summary>
    private void Keep(string set, string volume, bool isEverything, ImmutableArray<RegionRun> runs, string? only = null)
    {
        foreach (var leg in _state.Volume(set, volume)!.Submirrors)
        {
            if (leg.Status != LegState.Offline || (only is not null && leg.Name != only)) continue;
            var more = KeptMarks.Add(leg, isEverything, runs);
            if (!ReferenceEquals(more, leg)) Emit(new MarksKept(set, volume, leg.Name, more.IsEverythingKept, more.KeptRuns));
        }
    }

    private ResultData Return(ReturnDisk c)
    {
        var set = SetOf(c.Set);
        var disk = DiskOf(set, c.Disk);
        CheckDetail(c.Why);
        JoinedMember(set, c.Node, c.Incarnation);
        if (disk.Status != DiskStatus.Lost) return new ResultData(Status: disk.Status.ToString());
        CheckEvidence(set, c.Evidence, isComplete: true);
        CheckNobodyUses(disk);
        CheckAllSee(set, disk, c.IsEverythingOwed);
        foreach (var volume in set.Volumes.Values) CheckLossIsOver(set, volume, disk);

        Check(!c.IsEverythingOwed || !DiskLossRules.HoldsOnlySource(set, c.Disk), "lastSource",
            $"'{c.Disk}' is not as it was when it was lost, and no other disk has what a volume on it needs: put the disk back that was there.");
        Emit(new DiskReturned(c.Set, c.Disk, c.IsEverythingOwed, c.Why, c.Node));
        foreach (var volume in set.Volumes.Keys) BringBack(c.Set, volume, c.Disk, c.IsEverythingOwed);
        AssignOrphans(c.Node);
        return new ResultData(Status: nameof(DiskStatus.Okay));
    }

    /// <summary>Design §14.20: what an earlier incarnation submitted may still land, over what the disk gets from now on.</summary>
    private static void CheckNobodyUses(DiskState disk)
    {
        Check(disk.Users.IsEmpty, "ioOutstanding",
            $"I/O to '{disk.Name}' may still be under way in the kernel of {string.Join(", ", disk.Users.Select(static user => $"'{user.Node}' (incarnation {user.Incarnation})"))}: it ends, or that machine is rebooted, first.",
            isRetryable: true);
    }

    /// <summary>Who serves the set can use the disk, or says of it that it can be filled anew, which is then done.</summary>
    private void CheckAllSee(SetState set, DiskState disk, bool isRefill)
    {
        foreach (var member in set.Members.Values)
        {
            var node = _state.Nodes[member.Node];
            if (!Duties.IsJoined(node, member) || member.ComplaintOf(disk.Name, node.Incarnation) is not { } complaint) continue;
            if (isRefill && complaint.MayBeRefilled) continue;
            Reject("diskNotSeen", RejectionKind.Precondition,
                $"Node '{member.Node}' cannot use '{disk.Name}': {complaint.Detail}.", isRetryable: true);
        }
    }

    /// <summary>Every node must have stopped the I/O of the loss before that of the return begins (design §14.2).</summary>
    private static void CheckLossIsOver(SetState set, VolumeState volume, DiskState disk)
    {
        foreach (var barrier in volume.Barriers)
        {
            var isOurs = barrier.Kind == BarrierKind.LegLoss
                && volume.Submirrors.Any(leg => leg.Name == barrier.Submirror && leg.IsOn(disk.Name));
            Check(!isOurs, "busy",
                $"The loss of submirror '{barrier.Submirror}' of '{set.Name}/{volume.Name}' is not over on every node yet.", isRetryable: true);
        }
    }

    private void BringBack(string setName, string volumeName, string disk, bool isEverythingOwed)
    {
        foreach (var name in _state.Volume(setName, volumeName)!.Submirrors.Select(static leg => leg.Name).ToArray())
        {
            var volume = _state.Volume(setName, volumeName)!;
            var leg = volume.Submirrors.First(candidate => candidate.Name == name);
            if (leg.Status != LegState.Offline || !leg.IsOn(disk)) continue;
            if (isEverythingOwed) Keep(setName, volumeName, isEverything: true, [], only: name);
            leg = _state.Volume(setName, volumeName)!.Submirrors.First(candidate => candidate.Name == name);
            if (!leg.Extents.All(extent => _state.Sets[setName].Disks[extent.Disk].Status != DiskStatus.Lost)) continue;
            var (isEverything, runs) = (leg.IsEverythingKept, leg.KeptRuns);
            Emit(new SubmirrorStateChanged(setName, volumeName, name, leg.Status, LegState.Resyncing, $"disk '{disk}' is back"));
            Emit(new LegReturning(setName, volumeName, _state.NextBarrierId, name, WithMarks(_state.Sets[setName], volume)));
            Owe(setName, volumeName, isEverything, runs, isEverything ? ResyncKind.Submirror : ResyncKind.Optimized, isForced: true);
            CompleteBarriers(setName, volumeName);
        }
    }

    /// <summary>Who serves the set and may have marked what a returning submirror misses. A node without a slot writes no logged volume: what
    /// it marked before is merged, and what it will mark goes to the submirror too.</summary>
    private static ImmutableArray<NodeIncarnation> WithMarks(SetState set, VolumeState volume) =>
    [
        .. Joined(set).Where(joined => volume.Recovery == RecoveryMode.App || set.Members[joined.Node].Slot is not null || StateMutants.LegReturnsWaitForMergedLogs),
    ];

    private ResultData? Report(ReportDisks c)
    {
        var set = SetOf(c.Set);
        var member = MemberOf(set, c.Node);
        NodeOf(c.Node, c.Incarnation);
        Complain(set, member, c.Incarnation, c.Disks.IsDefault ? [] : c.Disks);
        AssignOrphans(null);
        return null;
    }

    private void Complain(SetState set, MemberState member, ulong incarnation, ImmutableArray<DiskComplaint> complaints)
    {
        CheckUsage(complaints.Select(static complaint => complaint.Disk).Distinct(StringComparer.Ordinal).Count() == complaints.Length,
            "duplicateDisk", "A disk is named twice.");
        foreach (var complaint in complaints)
        {
            CheckUsage(complaint.Reason != DiskLossReason.None, "badReason", $"Say what is wrong with '{complaint.Disk}'.");
            CheckDetail(complaint.Detail);
        }

        // A disk that was removed meanwhile is nobody's trouble; that one was old, which is being filled anew, was seen before its return.
        ImmutableArray<DiskComplaint> known =
        [
            .. complaints.Where(complaint => set.Disks.GetValueOrDefault(complaint.Disk) is { } disk && !(disk.AwaitsStamp && complaint.MayBeRefilled && disk.Status == DiskStatus.Okay))
                .OrderBy(static complaint => complaint.Disk, StringComparer.Ordinal),
        ];
        if (member.DisksBy == incarnation && member.Disks.SequenceEqual(known)) return;
        Emit(new DisksReported(set.Name, member.Node, incarnation, known));
    }

    private static string Complaints(SetState set, string node) =>
        string.Join("; ", set.Members[node].Disks.Select(static complaint => $"{complaint.Disk}: {complaint.Detail}"));

    /// <summary>Each live node for which the path changes must have found the disk there: a path is where to look, what is there its label
    /// tells, and nobody is sent to another disk.</summary>
    private ResultData? SetPath(SetDiskPath c)
    {
        var set = SetOf(c.Set);
        var disk = DiskOf(set, c.Disk);
        CheckUsage(c.Path is not null || !c.Paths.IsEmpty, "badPath", "Give a path.");
        foreach (var name in c.Paths.Keys) MemberOf(set, name);
        var (path, paths) = c.Of(disk);
        foreach (var named in paths.Values.Append(path))
            CheckUsage(named.Length is > 0 and <= 4096 && named[0] == '/' && !named.Any(char.IsControl), "badPath", $"'{named}' is no absolute path.");
        CheckEvidence(set, c.Evidence, isComplete: false);
        foreach (var node in c.Concerned(set, disk))
        {
            Check(c.Evidence.ContainsKey(node) || (!_state.Nodes[node].IsLive && !c.Paths.ContainsKey(node)), "evidenceMissing",
                $"Node '{node}' has not looked for '{c.Disk}' there: it must be up.", isRetryable: true);
        }

        if (path == disk.Path && paths.SequenceEqual(disk.Paths)) return null;
        Emit(new DiskPathChanged(c.Set, c.Disk, path, paths));
        return null;
    }

    private ResultData? EndIo(ReportDiskIoEnded c)
    {
        var set = SetOf(c.Set);
        var disk = DiskOf(set, c.Disk);
        NodeOf(c.Node, c.Incarnation);
        Check(c.User <= c.Incarnation, "badUser", $"Incarnation {c.Incarnation} of '{c.Node}' cannot speak for {c.User}, which is later.");
        Check(disk.Status == DiskStatus.Lost && disk.LostAtIndex == c.LostAtIndex, "staleReport",
            $"'{c.Disk}' is not lost since {c.LostAtIndex}; the report is about another loss.");
        if (disk.Users.Any(user => user.Node == c.Node && user.Incarnation == c.User))
            Emit(new DiskIoEnded(c.Set, c.Disk, c.Node, c.User, "reported"));
        return null;
    }

    private ResultData? Leave(LeaveLogDisk c)
    {
        var member = JoinedMember(SetOf(c.Set), c.Node, c.Incarnation);
        Check(member is { IsMergeOwed: false, Slot: { } slot } && slot.Generation == c.SlotGeneration, "staleSlot",
            $"The slot of '{c.Node}' in '{c.Set}' is of generation {member.SlotGeneration}, not an open one of {c.SlotGeneration}.");
        if (member.Slot.Disks.Length > 1 && member.Slot.Disks.Contains(c.Disk)) Emit(new LogDiskLeft(c.Set, c.Node, c.Disk, c.SlotGeneration));
        return null;
    }

    /// <summary>The machine of a node has rebooted, so that nothing is left in the kernel that it ran before.</summary>
    private void EndIoOfEarlierBoots(string node, string bootId)
    {
        if (bootId.Length == 0) return;
        foreach (var (setName, set) in _state.Sets)
        {
            foreach (var (diskName, disk) in set.Disks)
            {
                foreach (var user in disk.Users)
                {
                    if (user.Node == node && user.BootId.Length > 0 && user.BootId != bootId)
                        Emit(new DiskIoEnded(setName, diskName, node, user.Incarnation, "its machine was rebooted"));
                }
            }
        }
    }

    /// <summary>Design §14.20: nobody but an operator can tell that a machine which does not come back runs no more.</summary>
    private ResultData? ConfirmOff(ConfirmNodeOff c)
    {
        var node = NodeOf(c.Node, c.Incarnation);
        Check(node.Predecessor is null && node.Status is NodeStatus.Fenced or NodeStatus.Down, "notGone",
            $"Node '{c.Node}' (incarnation {c.Incarnation}) is {node.Status}: its machine runs, or it is not known yet that it does not. Stop it, or wait until it is down.",
            isRetryable: true);
        var isAwaited = false;
        foreach (var (setName, set) in _state.Sets)
        {
            foreach (var (diskName, disk) in set.Disks)
            {
                foreach (var user in disk.Users.Where(user => user.Node == c.Node))
                {
                    isAwaited = true;
                    Emit(new DiskIoEnded(setName, diskName, c.Node, user.Incarnation, "an operator confirmed that its machine is off"));
                }
            }
        }

        Check(isAwaited, "nothingAwaited", $"No lost disk waits for calls of '{c.Node}'.");
        return null;
    }

    /// <summary>An incarnation that left cleanly asserted that all its I/O has ended.</summary>
    private void EndIoOf(string setName, string node, ulong incarnation)
    {
        foreach (var (diskName, disk) in _state.Sets[setName].Disks)
        {
            if (disk.Users.Any(user => user.Node == node && user.Incarnation == incarnation))
                Emit(new DiskIoEnded(setName, diskName, node, incarnation, "it left cleanly"));
        }
    }

    /// <summary>Writers that are proven gone, but not what they had under way: only a reboot of their machines, or a later incarnation of the
    /// same boot that knows it, says that it has ended.</summary>
    private static IEnumerable<NodeIncarnation> Dead(SetState set) => set.Members.Values
        .Where(static member => member is { IsMergeOwed: true, Slot: not null } && member.Slot.Incarnation != member.JoinedIncarnation)
        .Select(static member => new NodeIncarnation(member.Node, member.Slot!.Incarnation));

    private string BootIdOf(NodeIncarnation joined)
    {
        var node = _state.Nodes[joined.Node];
        if (node.Incarnation == joined.Incarnation) return node.BootId;
        return node.Predecessor is { } former && former.Incarnation == joined.Incarnation && !StateMutants.FormerBootsAreForgotten ? former.BootId : "";
    }

    /// <summary>Its machine runs another boot by now, which said so when it registered: it will not say so again.</summary>
    private bool HasRebootedSince(NodeIncarnation former)
    {
        var (then, now) = (BootIdOf(former), _state.Nodes[former.Node].BootId);
        return then.Length > 0 && now.Length > 0 && then != now;
    }

    private static DiskState DiskOf(SetState set, string name)
    {
        if (set.Disks.GetValueOrDefault(name) is { } disk) return disk;
        Reject("noSuchDisk", RejectionKind.NotFound,
            $"There is no disk '{name}' in '{set.Name}'; known are: {string.Join(", ", set.Disks.Keys)}.");
        return null;
    }

    private static void CheckDetail(string detail) => CheckUsage(
        detail.Length is > 0 and <= MaxDetail && !detail.Any(char.IsControl), "badDetail",
        $"A detail is one line of 1 to {MaxDetail} characters.");
}
