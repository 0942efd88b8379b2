using RaftMirror.DataPlane.Configuration;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// The invariants of design §16 that concern mirrors.
internal sealed partial class MirrorWorld
{
    private const long Slack = 600 * Ms; // A reader may be late by half a second, a tick by the rest.

    private void CheckFence(string node, ulong incarnation)
    {
        var member = _control.Member(node);
        var isGone = member.Incarnation > incarnation
            || (member.Incarnation == incarnation && member.State is MemberPhase.Fenced or MemberPhase.Down);
        if (isGone) Fail($"I-FENCE {node} acts after the receipt");
    }

    /// <summary>I-GO: who is told that it has the volume is told so by a node that serves it.</summary>
    private void CheckAdmission(SimNode node, uint session)
    {
        var member = _control.Member(node.Name);
        if (Now >= node.Core.LeaseExpiresNs) Fail($"I-GO {node.Name}/{session} is admitted without a lease");
        // What is committed may be ahead of the node by less than its lease.
        if (member.Incarnation != node.Incarnation) Fail($"I-GO {node.Name}/{session} is admitted before its node's former life is merged");
    }

    /// <summary>I-GO: a node that had its lease all the time answers.</summary>
    private void CheckDrop(SimNode node, OpenRequest request)
    {
        var hasLease = request.HadLease && Now < node.Core.LeaseExpiresNs && node.LapsedNs < request.Start; // A grant may come late that covers a gap.
        if (!hasLease || request.IsAbandoned || request.Connection.IsLeft || Now - request.Start >= ParkNs) return;
        Fail($"I-GO {node.Name} drops #{request.Id} of {node.Name}/{request.Session} {(Now - request.Start) / Ms} ms after it came, under a lease");
    }

    private bool IsOfDeadLife(SimIo io) => !Node(io.Node).IsAlive || Node(io.Node).Incarnation != io.Incarnation;

    // A dead node's, on a disk that is lost.
    private bool IsHungAndGone(SimIo io) => io.Disk.IsHanging && !IsUnresolved(io);

    private void CheckWrite(SimNode node, SimIo io)
    {
        var volume = _control.Volume;
        var member = _control.Member(node.Name);
        if (member.Incarnation != node.Incarnation || !member.IsJoined) Fail($"I-MERGE {node.Name} writes before its former life is merged");
        if (volume.Writers == WriterMode.One)
        {
            if (volume.Owner.Node != node.Name || volume.Owner.Incarnation != node.Incarnation)
            {
                Fail($"I-OWN {node.Name} writes, {volume.Owner.Node} owns (epoch {volume.Owner.Epoch})");
            }

            var other = _ios.Find(entry => entry is { IsWrite: true, IsGivenUp: false } && entry.Node != node.Name && !IsHungAndGone(entry) && !IsOnLostLeg(entry, IsOfDeadLife(entry)));
            if (other is not null) Fail($"I-OWN {node.Name} writes while {other.Node} has writes under way");
        }

        if (volume.Recovery == RecoveryMode.Log)
        {
            for (var block = io.Blocks.Start; block < io.Blocks.End; block++)
            {
                if (!node.Slots[node.Incarnation].Contains(block / RegionBlocks)) Fail($"I-LOG {node.Name} writes block {block} unmarked");
            }
        }

        var copy = _ios.Find(entry => entry.IsCopy && entry.Blocks.Overlaps(io.Blocks));
        if (copy is not null) Fail($"I-WIN {node.Name} writes {io.Blocks} into {copy.Node}'s copy of {copy.Blocks}");
    }

    private void CheckCopy(SimNode node, ByteRange blocks)
    {
        var volume = _control.Volume;
        if (volume.Owner.Node != node.Name || volume.Owner.Incarnation != node.Incarnation) Fail($"I-OWN {node.Name} resyncs, {volume.Owner.Node} owns");
        var write = _ios.Find(entry => entry is { IsWrite: true, IsCopy: false, IsGivenUp: false } && entry.Blocks.Overlaps(blocks) && IsUnresolved(entry));
        if (write is not null) Fail($"I-WIN {node.Name} copies {blocks} while {write.Node} writes {write.Blocks}");
    }

    // A dead node's late writes need no window: its regions are owed once more after the merge.
    private bool IsUnresolved(SimIo io)
    {
        var member = _control.Member(io.Node);
        return member.Incarnation == io.Incarnation && member.State is MemberPhase.Up or MemberPhase.Suspect;
    }

    private void CheckRead(SimNode node, SimDisk disk)
    {
        foreach (var leg in _control.Volume.Legs)
        {
            if (leg.Extents[0].Disk != disk.Name) continue;
            // The node may be late in hearing that a leg was lost or became good; it may never read a target.
            if (leg.State is LegState.Resyncing or LegState.Attached) Fail($"I-SRC {node.Name} reads the target {leg.Name}");
        }
    }

    private void CheckClean(SimNode node, ulong life, long region)
    {
        if (_control.Member(node.Name).Incarnation != life) return;
        var resync = _control.Volume.Resync;
        foreach (var run in resync?.OwedRegions ?? [])
        {
            var isOwner = _control.Volume.Owner.Node == node.Name;
            if (isOwner && node.Core.Role == DataPlane.Mirroring.Core.OwnerRole.Serving && region >= run.Start && region < run.End
                && node.Core.Tracker!.IsOwed(region)
                // Owed since the clear was handed out: its new mark stands behind it in the log, and the committed state says so.
                && node.Core.Tracker.StateOf(region) != DataPlane.DirtyRegions.Core.RegionState.Marking) Fail($"I-CLEAN {node.Name} cleans region {region}, which is owed");
        }

        for (var block = (int)region * RegionBlocks; block < (region + 1) * RegionBlocks; block++)
        {
            foreach (var leg in _control.Volume.Legs)
            {
                var disk = Array.Find(_disks, d => d.Name == leg.Extents[0].Disk)!;
                if (!leg.IsReadable || disk.FailsWrites || disk.LastWriter[block] != node.Name) continue;
                // Writes that came after the flush mark anew behind this clear; they may be in the cache already.
                if (disk.Cached[block] != disk.Durable[block] && !IsBeingWritten(block)) Fail($"I-CLEAN {node.Name} cleans region {region} before block {block} is flushed");
            }
        }
    }

    /// <summary>I-SAME: a write that is acknowledged stands on each leg that can be read.</summary>
    private void CheckSame(SimNode node, OpenRequest request)
    {
        foreach (var leg in _control.Volume.Legs)
        {
            if (leg.State != LegState.Okay) continue;
            var disk = Array.Find(_disks, d => d.Name == leg.Extents[0].Disk)!;
            for (var i = 0; i < request.Values.Length; i++)
            {
                var block = (int)request.Range.Start + i;
                if (disk.Cached[block] != request.Values[i])
                    Fail($"I-SAME {node.Name} acknowledged #{request.Id}, and block {block} of {leg.Name} has {disk.Cached[block]}, not {request.Values[i]}");
            }
        }
    }

    /// <summary>I-LIVE before healing: no request waits past its bound, and who waits for longer than a request may at first finds a cause in
    /// status. The bound is a request's time from its arrival, and for one whose leg I/O failed twice that from the failure: its loss may be
    /// waited for that long, and then the write starts over.</summary>
    private void CheckWaits()
    {
        foreach (var request in _open)
        {
            var node = Node(request.Node);
            if (!node.IsAlive || node.Incarnation != request.Incarnation || !node.Mailbox.ContainsKey(request.Id) || request.ArrivedNs == 0) continue;
            if (node.PausedUntilNs > Now - (100 * Ms)) continue; // Its process stands still: nobody could answer.
            var since = Math.Max(request.ArrivedNs, node.PausedUntilNs);
            if (Now - since < ParkNs + Slack) continue;
            if (Now - Slack > Math.Max(since + ParkNs, request.FailedNs == 0 ? 0 : request.FailedNs + (2 * ParkNs)))
                Fail($"I-LIVE #{request.Id} on {node.Name} waits past its bound, for {(Now - since) / Ms} ms{DescribeNodes()}");
            if (!HasCause(node)) Fail($"I-LIVE #{request.Id} on {node.Name} waits for {(Now - since) / Ms} ms, and nothing in status says for what{DescribeNodes()}");
            if (!request.HasWaitedLong) _longWaits++;
            request.HasWaitedLong = true;
        }
    }

    /// <summary>What status tells of a volume on a node: calls under way, and what holds a request that has none.</summary>
    private bool HasCause(SimNode node) => node.Core.OldestWait(Now) is not null || node.Core.OldestHeld(Now) is not null;

    private bool IsBeingWritten(int block)
    {
        foreach (var open in _open)
        {
            if (open.Entries.Count > 0 && open.Range.Contains(new ByteRange(block, 1))) return true;
        }

        return _ios.Exists(io => io.IsWrite && io.Blocks.Contains(new ByteRange(block, 1)));
    }

    private void CheckReleased(string node)
    {
        if (_control.Volume.Owner.Node != node || _control.Volume.Writers != WriterMode.One) return;
        if (_ios.Exists(io => io is { IsWrite: true, IsGivenUp: false } && io.Node == node && !IsHungAndGone(io))) Fail($"I-OWN {node} released ownership with writes under way");
    }

    private string DescribeNodes() => string.Concat(_nodes.Select(static node => $"\n{node.Name}: {node.Core.Describe()}"));

    private void CheckEnd()
    {
        if (!_control.IsQuiet)
        {
            Fail($"I-LIVE not healed: {_control.Volume.Resync} {_control.Volume.Owner} "
                + string.Join(' ', _control.Volume.Legs.Select(static leg => leg.State))
                + string.Join(' ', _control.Members) + DescribeNodes());
        }

        if (!IsIdle) Fail($"I-LIVE requests did not end: {string.Join(' ', _open.Select(static open => $"#{open.Id} {open.Kind} on {open.Node}"))} {DescribeNodes()}");
        for (var block = 0; block < Blocks; block++)
        {
            foreach (var disk in _disks)
            {
                if (_history.ChecksRepeat && disk.Cached[block] != _disks[0].Cached[block])
                {
                    Fail($"I-SAME block {block}: {_disks[0].Cached[block]} on {_disks[0].Name}, {disk.Cached[block]} on {disk.Name}");
                }

                if (_control.Volume.Recovery == RecoveryMode.App && disk != _disks[0]) continue;
                var wrong = _history.Check(block, disk.Cached[block], Now, Now);
                if (wrong is not null) Fail($"{wrong} (on {disk.Name} at the end)");
            }
        }
    }
}
