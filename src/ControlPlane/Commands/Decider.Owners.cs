using System.Collections.Immutable;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>Ownership, merges and resyncs.</content>
public sealed partial class Decider
{
    private ResultData Move(MoveOwner c)
    {
        var volume = VolumeOf(c.Set, c.Volume);
        var set = _state.Sets[c.Set];
        CheckUsage(c.Reason is TransferReason.Planned or TransferReason.Write or TransferReason.Resync, "badReason",
            "Ownership is asked for as planned, for a write or for a resync.");
        JoinedMember(set, c.To, c.ToIncarnation);
        Check(_state.Nodes[c.To].Status == NodeStatus.Up, "notUp", $"Node '{c.To}' is {_state.Nodes[c.To].Status}, not up.", true);
        Check(Duties.CanServe(_state, set, volume, c.To), "diskNotSeen",
            $"Node '{c.To}' cannot use a disk that '{c.Set}/{c.Volume}' needs: {Complaints(set, c.To)}.", true);
        Check(!volume.IsDeleting, "deleting", $"'{c.Set}/{c.Volume}' is being deleted.");
        Check(volume.Writers == WriterMode.One || volume.Resync is not null, "notOwned",
            $"Every node writes '{c.Set}/{c.Volume}': it has an owner only while a resync runs.");
        if (volume.Transfer is { } running)
        {
            if (running.To == c.To && running.ToIncarnation == c.ToIncarnation) return new ResultData(Epoch: running.Epoch);
            Reject("busy", RejectionKind.Precondition,
                $"Ownership of '{c.Set}/{c.Volume}' is already moving {(running.To is null ? "to nobody" : $"to '{running.To}'")}; wait.", true);
        }

        if (volume.Owner.Node == c.To && volume.Owner.Incarnation == c.ToIncarnation) return new ResultData(Epoch: volume.Owner.Epoch);
        Check(volume.Recovery == RecoveryMode.App || !set.IsMergeOwed, "busy",
            $"A lost node's dirty log in '{c.Set}' is not merged yet; ownership moves after that.", true);
        if (volume.Owner.Node is { } owner)
        {
            Check(_state.Nodes[owner].IsLive && _state.Nodes[owner].Incarnation == volume.Owner.Incarnation, "busy",
                $"The owner '{owner}' is suspect; wait until it is back, or fenced and merged.", true);
            Emit(new OwnershipTransferStarted(c.Set, c.Volume, owner, c.To, c.ToIncarnation, volume.Owner.Epoch + 1, c.Reason));
        }
        else
        {
            Emit(new OwnerChanged(c.Set, c.Volume, null, c.To, c.ToIncarnation, volume.Owner.Epoch + 1, c.Reason));
        }

        return new ResultData(Epoch: volume.Owner.Epoch + 1);
    }

    private ResultData Release(ReleaseOwner c)
    {
        var volume = VolumeOf(c.Set, c.Volume);
        NodeOf(c.Node, c.Incarnation);
        var epoch = volume.Transfer?.Epoch ?? volume.Owner.Epoch;
        Check(volume.Owner.Node == c.Node && volume.Owner.Incarnation == c.Incarnation, "notOwner",
            $"'{c.Node}' (incarnation {c.Incarnation}) does not own '{c.Set}/{c.Volume}'.");
        Check(c.Epoch == epoch, "staleEpoch",
            $"A release of '{c.Set}/{c.Volume}' must now name epoch {epoch}, not {c.Epoch}: the transfer changed.", true);
        CheckRuns(volume, c.Owed.IsDefault ? [] : c.Owed);
        if (!c.Owed.IsDefaultOrEmpty) Owe(c.Set, c.Volume, false, c.Owed);

        var next = volume.Transfer is null ? volume.Owner.Epoch + 1 : epoch;
        if (volume.Transfer is { To: { } to } transfer)
        {
            if (MayOwn(c.Set, volume, to, transfer.ToIncarnation))
            {
                Emit(new OwnerChanged(c.Set, c.Volume, c.Node, to, transfer.ToIncarnation, epoch, transfer.Reason));
                return new ResultData(Epoch: epoch);
            }

            next = epoch + 1;
            Emit(new TransferCancelled(c.Set, c.Volume, to, next, $"'{to}' cannot own it now"));
        }

        Emit(new OwnerChanged(c.Set, c.Volume, c.Node, null, 0, next, TransferReason.Released));
        AssignOrphans(null);
        return new ResultData(Epoch: _state.Volume(c.Set, c.Volume)!.Owner.Epoch);
    }

    private ResultData Cancel(CancelTransfer c)
    {
        var volume = VolumeOf(c.Set, c.Volume);
        Check(volume.Transfer is { To: not null } transfer && transfer.Epoch == c.Epoch, "staleEpoch",
            $"No transfer of '{c.Set}/{c.Volume}' with epoch {c.Epoch} runs.");
        Emit(new TransferCancelled(c.Set, c.Volume, volume.Transfer.To, c.Epoch + 1, c.Reason));
        return new ResultData(Epoch: c.Epoch + 1);
    }

    private ResultData Merge(MergeDirtyLog c)
    {
        var set = SetOf(c.Set);
        var member = MemberOf(set, c.Node);
        var by = NodeOf(c.By, c.ByIncarnation);
        MemberOf(set, c.By);
        Check(by.IsLive || by.Status == NodeStatus.Starting, "notUp", $"Node '{c.By}' is {by.Status}: it may not merge.");
        Check(member.IsMergeOwed && member.Slot!.Incarnation == c.SlotIncarnation, "notOwed",
            $"No merge of the slot of '{c.Node}' (incarnation {c.SlotIncarnation}) in '{c.Set}' is owed.");
        // Whoever read before the seal may have missed marks that were written in between.
        Check(c.ReadAtIndex >= member.SealedAtIndex && c.ReadAtIndex < _index, "readTooEarly",
            $"The slot of '{c.Node}' was sealed at {member.SealedAtIndex}, but read at {c.ReadAtIndex}: read it again.", true);
        var marks = c.Marks.IsDefault ? [] : c.Marks;
        CheckUsage(marks.Select(static m => m.Volume).Distinct().Count() == marks.Length, "duplicateMarks", "A volume is named twice.");
        foreach (var volume in set.Volumes.Values)
        {
            if (marks.FirstOrDefault(m => m.Volume == volume.Number) is { } own) CheckRuns(volume, own.Runs);
        }

        long regions = 0;
        foreach (var (name, volume) in set.Volumes)
        {
            if (volume.Recovery != RecoveryMode.Log) continue;
            var runs = marks.FirstOrDefault(m => m.Volume == volume.Number)?.Runs ?? [];
            if (!c.IsEverything && runs.IsEmpty) continue;
            regions += c.IsEverything ? volume.Regions : RegionRuns.Count(RegionRuns.Union(runs, []));
            Owe(c.Set, name, c.IsEverything, runs);
        }

        Emit(new DirtyLogMerged(c.Set, c.Node, c.SlotIncarnation, c.By, regions, c.IsEverything, c.Doubt));
        ConfirmLegReturns(c.Set, new NodeIncarnation(c.Node, c.SlotIncarnation));
        Settle(c.Node);
        AssignOrphans(c.By);
        return new ResultData(Regions: regions);
    }

    /// <summary>All that the slot told is owed now, and without a log the node makes no mark: it has nothing left to tell of submirrors that
    /// came back. It may be up and never open a log again, if it can use no disk.</summary>
    private void ConfirmLegReturns(string setName, NodeIncarnation node)
    {
        foreach (var (name, volume) in _state.Sets[setName].Volumes)
        {
            if (volume.Recovery != RecoveryMode.Log || StateMutants.LegReturnsWaitForMergedLogs) continue;
            foreach (var barrier in volume.Barriers)
            {
                if (barrier.Kind == BarrierKind.LegReturn && barrier.Waiting.Contains(node))
                    Emit(new BarrierConfirmed(setName, name, barrier.Id, node.Node, node.Incarnation));
            }

            CompleteBarriers(setName, name);
        }
    }

    private ResultData Report(ReportResync c)
    {
        var (volume, resync) = OwnedResync(c.Set, c.Volume, c.OwnerEpoch, c.Node, c.Incarnation, c.ConfigurationIndex);
        CheckUsage(c.PositionBytes >= 0 && c.PositionBytes <= volume.SizeBytes, "badPosition",
            $"Position {c.PositionBytes} lies outside '{c.Set}/{c.Volume}'.");
        var position = Math.Max(resync.PositionBytes, c.PositionBytes);
        var runs = RegionRuns.From(resync.OwedRuns, c.PositionBytes == volume.SizeBytes ? volume.Regions : c.PositionBytes / volume.RegionBytes);
        if (AwaitsStamp(c.Set, volume) is not null) return new ResultData(Epoch: c.OwnerEpoch); // Told again later.
        if (position != resync.PositionBytes || runs.Length != resync.OwedRuns.Length || RegionRuns.Count(runs) != RegionRuns.Count(resync.OwedRuns))
            Emit(new ResyncProgressed(c.Set, c.Volume, position, runs));
        return new ResultData(Epoch: c.OwnerEpoch);
    }

    private ResultData Finish(FinishResync c)
    {
        var (volume, resync) = OwnedResync(c.Set, c.Volume, c.OwnerEpoch, c.Node, c.Incarnation, c.ConfigurationIndex);
        CheckMarksAreTold(c.Set, volume);
        CheckLabelsAreNew(c.Set, volume);
        foreach (var submirror in volume.Submirrors)
        {
            if (submirror.IsTarget)
                Emit(new SubmirrorStateChanged(c.Set, c.Volume, submirror.Name, submirror.Status, LegState.Okay, "resync finished"));
        }

        Emit(new ResyncFinished(c.Set, c.Volume, resync.Kind, c.CopiedBytes, c.SkippedBytes, c.ComparedBytes, c.Node));
        EndResyncOwnership(c.Set, c.Volume);
        return new ResultData(Epoch: _state.Volume(c.Set, c.Volume)!.Owner.Epoch);
    }

    private (VolumeState Volume, ResyncState Resync) OwnedResync(
        string set, string name, ulong ownerEpoch, string node, ulong incarnation, ulong configurationIndex)
    {
        var volume = VolumeOf(set, name);
        NodeOf(node, incarnation);
        Check(volume.Owner.Node == node && volume.Owner.Incarnation == incarnation && volume.Owner.Epoch == ownerEpoch, "notOwner",
            $"'{node}' does not own '{set}/{name}' in epoch {ownerEpoch}.");
        Check(volume.Resync is not null, "noResync", $"No resync of '{set}/{name}' is owed.");
        Check(volume.Resync.ChangedAtIndex <= configurationIndex && configurationIndex < _index, "moreOwed",
            $"More became owed at {volume.Resync.ChangedAtIndex}, after the configuration at {configurationIndex}: go on.", true);
        return (volume, volume.Resync);
    }

    /// <summary>Where every node writes, the owner was there for the resync alone.</summary>
    private void EndResyncOwnership(string set, string name)
    {
        var volume = _state.Volume(set, name)!;
        if (volume.Writers != WriterMode.All || volume.Owner.Node is not { } owner) return;
        var epoch = Math.Max(volume.Owner.Epoch, volume.Transfer?.Epoch ?? 0) + 1;
        if (volume.Transfer?.To is { } to) Emit(new TransferCancelled(set, name, to, epoch, "the resync ended"));
        Emit(new OwnerChanged(set, name, owner, null, 0, epoch, TransferReason.ResyncEnded));
    }

    /// <summary>A returned submirror lacks writes that were acknowledged: it is no source before every mark that may tell of one is
    /// known, those of live nodes and those in sealed slots.</summary>
    private void CheckMarksAreTold(string set, VolumeState volume)
    {
        Check(!volume.Barriers.Any(static barrier => barrier.Kind == BarrierKind.LegReturn), "moreOwed",
            $"A node has not told yet what it marked in '{set}/{volume.Name}' while a submirror was offline: go on.", true);
        Check(volume.Recovery == RecoveryMode.App || !_state.Sets[set].IsMergeOwed || !volume.Submirrors.Any(static s => s.IsTarget), "moreOwed",
            $"A lost node's dirty log in '{set}' is not merged yet, and a submirror of '{volume.Name}' may miss what it tells of: go on.", true);
    }

    /// <summary>A disk that was returned is no source while its label is the old one: after a crash of all nodes, copies of it that bear the same
    /// label would pass.</summary>
    private void CheckLabelsAreNew(string set, VolumeState volume)
    {
        var old = AwaitsStamp(set, volume);
        Check(old is null, "notStamped", $"Disk '{old}' still carries the label that it came back with; its next stamp is due.", true);
    }

    /// <summary>A disk of a target that has not been stamped since its return. What is copied to it does not count yet: if it was exchanged for
    /// an older copy now, its label would not tell.</summary>
    private string? AwaitsStamp(string set, VolumeState volume) => volume.Submirrors.Where(static leg => leg.IsTarget).SelectMany(static leg => leg.Extents)
        .Select(static extent => extent.Disk).FirstOrDefault(disk => _state.Sets[set].Disks[disk].AwaitsStamp);

    /// <summary>ORs regions into what a volume owes, and what its offline submirrors will be owed. With fewer than two submirrors in use
    /// nothing can differ: one that comes back gets a full copy, or what was kept for it.</summary>
    /// <param name="set">Set.</param>
    /// <param name="name">Volume.</param>
    /// <param name="isEverything">All regions.</param>
    /// <param name="runs">These regions.</param>
    /// <param name="kind">Of the resync, if none runs.</param>
    /// <param name="isForced">Begins a resync even if nothing is owed so far: one that a returned submirror needs to become okay.</param>
    private void Owe(
        string set, string name, bool isEverything, ImmutableArray<RegionRun> runs, ResyncKind kind = ResyncKind.Optimized, bool isForced = false)
    {
        if (runs.IsEmpty && !isEverything && !isForced) return;
        Keep(set, name, isEverything, runs);
        var volume = _state.Volume(set, name)!;
        if (volume.Submirrors.Count(static s => s.IsWritable) < 2) return;
        // For everything, the runs cover the volume too: a resync under way then sees that what it has done is owed anew.
        ImmutableArray<RegionRun> added = isEverything ? [new RegionRun(0, volume.Regions)] : runs;
        if (volume.Resync is { } resync) Emit(new ResyncExtended(set, name, isEverything, RegionRuns.Union(resync.OwedRuns, added)));
        else Emit(new ResyncStarted(set, name, kind, isEverything, isEverything ? [] : RegionRuns.Union(added, [])));
    }

    private bool MayOwn(string set, VolumeState volume, string node, ulong incarnation)
    {
        var theSet = _state.Sets[set];
        return _state.Nodes[node] is { Status: NodeStatus.Up } up && up.Incarnation == incarnation
            && theSet.Members[node].JoinedIncarnation == incarnation
            && Duties.CanServe(_state, theSet, volume, node)
            && !volume.IsDeleting
            && (volume.Recovery == RecoveryMode.App || !theSet.IsMergeOwed);
    }

    /// <summary>Gives an owner to every volume that owes a resync and has none: the preferred node if it is up and joined, else the set's
    /// lowest one. One that has an owner which cannot use a disk of it moves to a node that can. So no resync waits for somebody to think
    /// of it, or for one node's path.</summary>
    private void AssignOrphans(string? preferred)
    {
        foreach (var (setName, set) in _state.Sets)
        {
            foreach (var (name, volume) in set.Volumes)
            {
                if (volume.Resync is null) continue;
                if (Duties.IsGrantable(set, volume)) Grant(setName, set, volume, preferred);
                else if (Duties.IsStuck(_state, set, volume)) HandOver(setName, set, volume);
            }
        }
    }

    private void Grant(string setName, SetState set, VolumeState volume, string? preferred)
    {
        var node = preferred is not null && _state.Node(preferred) is { Status: NodeStatus.Up } wished
            && set.Members.GetValueOrDefault(preferred) is { } member && Duties.IsJoined(wished, member)
            && Duties.CanServe(_state, set, volume, preferred)
                ? wished
                : Duties.LowestUpJoined(_state, set, volume);
        if (node is null) return;
        Emit(new OwnerChanged(setName, volume.Name, null, node.Name, node.Incarnation, volume.Owner.Epoch + 1, TransferReason.Resync));
    }

    private void HandOver(string setName, SetState set, VolumeState volume)
    {
        if (StateMutants.StuckResyncsStay || Duties.LowestUpJoined(_state, set, volume) is not { } node) return;
        Emit(new OwnershipTransferStarted(
            setName, volume.Name, volume.Owner.Node!, node.Name, node.Incarnation, volume.Owner.Epoch + 1, TransferReason.Resync));
    }

    private static void CheckRuns(VolumeState volume, ImmutableArray<RegionRun> runs)
    {
        foreach (var run in runs)
        {
            CheckUsage(run.Start >= 0 && run.Count > 0 && run.Count <= volume.Regions && run.Start <= volume.Regions - run.Count, "badRuns",
                $"Regions [{run.Start}, +{run.Count}) lie outside '{volume.Name}', which has {volume.Regions}.");
        }
    }
}
