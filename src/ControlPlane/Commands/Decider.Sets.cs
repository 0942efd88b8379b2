using System.Collections.Immutable;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Commands;

/// <content>Disk sets: members, disks, slots.</content>
public sealed partial class Decider
{
    private ResultData Create(CreateSet c)
    {
        CheckName("disk set", c.Set);
        CheckUsage(c.SetId != Guid.Empty, "badId", "A disk set's id must not be zero.");
        CheckUsage(c.MaxNodes is >= 1 and <= 128, "badMaxNodes", $"A disk set has 1 to 128 slots, not {c.MaxNodes}.");
        CheckUsage(c.MetadataBytes is >= 4L << 20 and <= 256L << 20 && c.MetadataBytes % PlacementRules.AlignmentBytes == 0,
            "badMetadataSize", $"The metadata area has 4 MiB to 256 MiB in whole MiB, not {c.MetadataBytes} bytes.");
        CheckUsage(PlacementRules.SlotBytes(c.MetadataBytes, c.MaxNodes) >= PlacementRules.MinSlotBytes, "badMetadataSize",
            $"A metadata area of {c.MetadataBytes >> 20} MiB has no room for {c.MaxNodes} dirty-log slots of at least {PlacementRules.MinSlotBytes >> 10} KiB: use a larger one or fewer slots.");
        CheckUsage(c.DeviceTimeoutMs is >= 100 and <= 300_000, "badDeviceTimeout",
            $"A device time-out is 100 ms to 5 min, not {c.DeviceTimeoutMs} ms.");
        CheckUsage(!c.Nodes.IsDefaultOrEmpty, "noNodes", "Name at least one node.");
        CheckUsage(c.Nodes.Distinct(StringComparer.Ordinal).Count() == c.Nodes.Length, "duplicateNode", "A node is named twice.");
        CheckUsage(c.Nodes.Length <= c.MaxNodes, "tooManyNodes", $"{c.Nodes.Length} nodes do not fit {c.MaxNodes} slots; raise --max-nodes.");
        Check(_state.Set(c.Set) is null, "setExists", $"There already is a disk set '{c.Set}'; choose another name.");
        Check(_state.Sets.Values.All(s => s.Id != c.SetId), "duplicateId", $"Another disk set has the id {c.SetId}.");
        var nodes = c.Nodes.Select(NodeOf).OrderBy(static n => n.Id).Select(static n => n.Name);
        Emit(new SetCreated(c.Set, c.SetId, [.. nodes], c.MaxNodes, c.MetadataBytes, c.Fencing)
        {
            DeviceTimeoutMs = c.DeviceTimeoutMs,
        });
        return new ResultData(Id: c.SetId);
    }

    private ResultData? Join(JoinSet c)
    {
        var set = SetOf(c.Set);
        var member = MemberOf(set, c.Node);
        NodeOf(c.Node, c.Incarnation);
        if (member.JoinedIncarnation == c.Incarnation) return null;
        CheckMayJoin(set, c.Node, c.Incarnation, c.IsByOperator);
        if (c.IsByOperator && Stamps.NeedsActivation(set))
        {
            // Whoever serves first stamps the disks before: the node does that by itself once it may come back.
            if (member.HasLeft) Emit(new NodeReturned(c.Set, c.Node));
            return null;
        }

        ActivationRules.CheckJoin(_state, set);
        Enter(c.Set, c.Node, c.Incarnation, c.IsByOperator ? null : c.Disks);
        return null;
    }

    private void CheckMayJoin(SetState set, string name, ulong incarnation, bool isByOperator)
    {
        var member = MemberOf(set, name);
        var node = NodeOf(name, incarnation);
        Check(node.Status == NodeStatus.Up, "notUp", $"Node '{name}' is {node.Status}, not up; it may join once it is.", true);
        Check(member.JoinedIncarnation == 0, "busy", $"An older incarnation of '{name}' is not fenced yet.", true);
        Check(!member.HasLeft || isByOperator, "leftByOperator",
            $"Node '{name}' was made to leave '{set.Name}'; use 'set join' to bring it back.");
    }

    /// <param name="set">Set.</param>
    /// <param name="node">Who joins.</param>
    /// <param name="incarnation">Its incarnation.</param>
    /// <param name="complaints">The disks that it cannot use; null if it did not say.</param>
    private void Enter(string set, string node, ulong incarnation, ImmutableArray<DiskComplaint>? complaints)
    {
        Emit(new NodeJoinedSet(set, node, incarnation));
        if (complaints is { } told)
            Complain(_state.Sets[set], _state.Sets[set].Members[node], incarnation, told.IsDefault ? [] : told);
        ChangeMaster(set);
        AssignOrphans(null);
    }

    private ResultData? Leave(LeaveSet c)
    {
        var set = SetOf(c.Set);
        var member = MemberOf(set, c.Node);
        NodeOf(c.Node, c.Incarnation);
        if (member.JoinedIncarnation != c.Incarnation && member.HasLeft) return null;
        JoinedMember(set, c.Node, c.Incarnation);
        ActivationRules.CheckClosed(set, c.Node, c.Incarnation, c.IsClosed);
        Withdraw(c.Set, c.Node, c.Incarnation, isClean: true, c.IsByOperator, "left the set");
        AssignOrphans(null);
        return null;
    }

    private ResultData Add(AddDisk c)
    {
        var set = SetOf(c.Set);
        CheckName("disk", c.Disk);
        CheckUsage(c.DiskId != Guid.Empty, "badId", "A disk's id must not be zero.");
        CheckUsage(c.SectorBytes is 512 or 4096, "badSector", $"Sectors have 512 or 4096 bytes, not {c.SectorBytes}.");
        Check(!set.Disks.ContainsKey(c.Disk), "diskExists", $"Disk set '{c.Set}' already has a disk '{c.Disk}'.");
        Check(_state.Sets.Values.All(s => s.Disks.Values.All(d => d.Id != c.DiskId)), "duplicateId",
            $"The disk with id {c.DiskId} is already in use.");
        Check(PlacementRules.SlotBytes(set.MetadataBytes, set.MaxNodes) >= PlacementRules.MinSlotBytes, "slotTooSmall",
            $"The metadata area of '{c.Set}' has no room for its {set.MaxNodes} dirty-log slots.");
        var need = PlacementRules.DataStart(set.MetadataBytes) + PlacementRules.AlignmentBytes;
        Check(PlacementRules.DataEnd(c.SizeBytes) >= need, "diskTooSmall",
            $"Disk '{c.Disk}' has {c.SizeBytes} bytes; the metadata area and 1 MiB of data need {need + PlacementRules.TailLabelBytes}.");
        foreach (var name in c.Paths.Keys) MemberOf(set, name);
        foreach (var name in set.Members.Keys)
        {
            var path = c.Paths.GetValueOrDefault(name, c.Path);
            CheckUsage(path.Length is > 0 and <= 4096 && !path.Any(char.IsControl), "badPath", $"The path of '{c.Disk}' on '{name}' is no path.");
            foreach (var other in set.Disks.Values)
                Check(other.PathOn(name) != path, "duplicatePath", $"On '{name}', {path} is already disk '{other.Name}'.");
        }

        JoinedLive(set, c.Node);
        CheckEvidence(set, c.Evidence, isComplete: true);
        Emit(new DiskAdded(c.Set, c.Disk, c.DiskId, c.SizeBytes, c.SectorBytes, c.IsDirectIo, c.Path, c.Paths, c.Stamp));
        if (set.Master is null) Emit(new SetMasterChanged(c.Set, null, c.Node));
        return new ResultData(Id: c.DiskId);
    }

    private ResultData Open(OpenSlot c)
    {
        var set = SetOf(c.Set);
        var member = JoinedMember(set, c.Node, c.Incarnation);
        Check(_state.Nodes[c.Node].IsLive, "notUp", $"Node '{c.Node}' is {_state.Nodes[c.Node].Status}.", true);
        Check(!member.IsMergeOwed, "busy", $"The slot of '{c.Node}' in '{c.Set}' waits to be merged.", true);
        Check(member.Slot is null, "slotOpen", $"The slot of '{c.Node}' in '{c.Set}' is already open.");
        var okay = PlacementRules.ChooseLogDisks(set, member, c.Incarnation).Length;
        Check(okay > 0, "noDisk", $"Disk set '{c.Set}' has no disk that is okay and that '{c.Node}' can use; add one first.", true);
        CheckUsage(!c.Disks.IsDefaultOrEmpty && c.Disks.Distinct(StringComparer.Ordinal).Count() == c.Disks.Length, "badDisks",
            "Name each log disk once.");
        foreach (var disk in c.Disks)
        {
            Check(set.Disks.GetValueOrDefault(disk)?.Status == DiskStatus.Okay, "diskNotOkay",
                $"'{disk}' is no disk of '{c.Set}' that is okay.", true);
            Check(member.ComplaintOf(disk, c.Incarnation) is null, "diskNotSeen", $"'{c.Node}' cannot use '{disk}'.", true);
        }

        Check(c.Disks.Length == okay, "tooFewLogDisks", $"A dirty log lies on {okay} disks here, not {c.Disks.Length}.", true);
        Emit(new SlotOpened(c.Set, c.Node, c.Incarnation, c.Disks, member.SlotGeneration + 1));
        return new ResultData(Generation: member.SlotGeneration + 1);
    }

    private ResultData? Abandon(AbandonSlot c)
    {
        var set = SetOf(c.Set);
        var member = JoinedMember(set, c.Node, c.Incarnation);
        if (member.SlotGeneration == c.SlotGeneration && (member.Slot is null || member.IsMergeOwed)) return null;
        Check(member.Slot is { } slot && slot.Incarnation == c.Incarnation && slot.Generation == c.SlotGeneration, "staleSlot",
            $"The slot of '{c.Node}' in '{c.Set}' is of generation {member.SlotGeneration}, not {c.SlotGeneration}.");
        if (c.FailedDisk is { } failed)
        {
            Check(set.Disks.ContainsKey(failed), "noSuchDisk", $"There is no disk '{failed}' in '{c.Set}'.");
            if (set.Disks[failed].Status == DiskStatus.Okay) Emit(new DiskFailed(c.Set, failed, c.Reason));
        }

        Emit(new SlotSealed(c.Set, c.Node, c.Incarnation, c.SlotGeneration, c.Reason));
        foreach (var volume in _state.Sets[c.Set].Volumes.Values)
        {
            if (volume.Recovery == RecoveryMode.Log)
                Disown(c.Set, volume, c.Node, c.Incarnation, TransferReason.Lost, "gave its dirty log up");
        }

        return null;
    }

    private void JoinedLive(SetState set, string node) =>
        Check(Duties.IsJoined(NodeOf(node), MemberOf(set, node)), "notJoined", $"Node '{node}' has not joined '{set.Name}'.", true);

    private void ChangeMaster(string setName)
    {
        var set = _state.Sets[setName];
        var master = Duties.ChooseMaster(_state, set);
        if (master != set.Master) Emit(new SetMasterChanged(setName, set.Master, master));
    }
}
