using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;

namespace RaftMirror.Simulation.Explorer;

/// <summary>Inputs of one node and what comes of them.</summary>
internal sealed partial class World
{
    private ExploredMessage? _arriving;

    /// <summary>Gives the node its input.</summary>
    /// <returns>False if it changes nothing, or if this branch is another's.</returns>
    private bool Do(ExplorerAction action, int index)
    {
        var node = _nodes[index];
        var core = node.Core;
        switch (action.Kind)
        {
            case ActionKind.Deliver:
            case ActionKind.Duplicate:
                var message = _arriving!.Message;

                // A vote is asked for when the leader has been silent: one that is refused for a fresh leader is as good as lost.
                if (message.Kind is MessageKind.Vote or MessageKind.PreVote) core.AdvanceClock(NowMs + LongMs);
                core.Step(message);
                return true;
            case ActionKind.Timeout:
                core.Tick(NowMs + LongMs);
                return _scenario.PreVotesTravel || GrantPreVotes(index);
            case ActionKind.Heartbeat:
                _used.Heartbeats++;
                core.Tick(NowMs + _scenario.Options.HeartbeatMs);
                return true;
            case ActionKind.Write:
                FinishWrite(index);
                return true;
            case ActionKind.Crash:
                _used.Crashes++;
                Crash(node, index, action.Argument);
                return true;
            case ActionKind.Propose:
                _used.Proposals++;
                return core.Propose([(default, new[] { (byte)_used.Proposals })], null, out _) == Refusal.None;
            case ActionKind.Change:
                return core.ChangeMembers(_scenario.Changes[_used.Changes++], out _) is null;
            case ActionKind.Snapshot:
                _used.Snapshots++;
                TakeSnapshot(node);
                return true;
            case ActionKind.Install:
                var offer = node.Offer!;
                node.Offer = null;
                if (node.Disk.Snapshot is null || node.Disk.Snapshot.Last.Index < offer.Last.Index) node.Disk = node.Disk with { Snapshot = offer };
                if (core.InstallSnapshot(offer)) core.Applied(offer.Last.Index);
                return true;
            case ActionKind.Read:
                _used.Reads++;
                _readFloors = [.. _readFloors, (ulong)_committed.Length];
                core.Read((ulong)_readFloors.Length);
                return true;
            default:
                throw new ArgumentOutOfRangeException(nameof(action));
        }
    }

    /// <summary>All nodes that would grant a pre-vote now, if they had not heard of a leader for a while, do so.</summary>
    private bool GrantPreVotes(int index)
    {
        var core = _nodes[index].Core;
        foreach (var voter in _nodes)
        {
            var other = voter.Core;
            if (core.Role != RaftRole.PreCandidate || other.Self == core.Self || other.Role == RaftRole.Leader) continue;
            if (core.Term + 1 <= other.Term || core.Log.LastId.CompareTo(other.Log.LastId) < 0) continue;
            core.Step(new Message { Kind = MessageKind.PreVoteReply, From = other.Self, To = core.Self, Term = core.Term + 1 });
        }

        return core.Role is RaftRole.Candidate or RaftRole.Leader;
    }

    private void Crash(ExploredNode node, int index, int survive)
    {
        foreach (var write in node.Writes.Take(survive)) node.Disk = node.Disk.After(write);
        node.Disk = node.Disk.Recover();
        node.Writes = [];
        node.Held = [];
        node.Offer = null;
        node.DoneSequence = 0;
        node.Core = Start(index, node.Disk);
    }

    private void TakeSnapshot(ExploredNode node)
    {
        var core = node.Core;
        var last = new EntryId(core.Log.TermAt(core.AppliedIndex), core.AppliedIndex);
        var snapshot = _snapshots.Find(known => known.Last == last);
        if (snapshot is null) _snapshots.Add(snapshot = new SnapshotMeta(last, core.ConfigurationAt(last.Index), 1, 1));
        node.Disk = node.Disk with { Snapshot = snapshot };
        core.SnapshotTaken(snapshot);
    }

    private void FinishWrite(int index)
    {
        var node = _nodes[index];
        var write = node.Writes[0];
        node.Writes = node.Writes[1..];
        node.Disk = node.Disk.After(write);
        node.DoneSequence = write.Sequence;
        node.Core.WriteDone(write.Sequence);
        var released = 0;
        while (released < node.Held.Length && node.Held[released].ReleaseAfter <= write.Sequence) Release(node, node.Held[released++]);
        if (released > 0) node.Held = node.Held[released..];
    }

    /// <summary>Carries the core's effects out, and finishes writes beyond the bound, until none are left.</summary>
    private void Pump(int index)
    {
        var node = _nodes[index];
        while (true)
        {
            var ready = node.Core.TakeReady();
            if (ready.Write is { } write) node.Writes = [.. node.Writes, write];
            foreach (var outbound in ready.Messages) Hold(node, outbound);
            if (ready.CompactTo > 0) node.Disk = node.Disk.CompactTo(ready.CompactTo);
            if (ready.Offer is { } offer) node.Offer = _snapshots.Find(known => known.Last == offer.Last);
            foreach (var entry in ready.Committed) CheckCommitted(entry, node.Core.Term);
            if (ready.Committed.Count > 0) node.Core.Applied(ready.Committed[^1].Index);
            foreach (var read in ready.Reads) CheckRead(read);
            if (node.Writes.Length <= _scenario.MaxWrites) return;
            FinishWrite(index);
        }
    }

    private void Hold(ExploredNode node, OutboundMessage outbound)
    {
        var message = outbound.Message;
        var claim = message is { Kind: MessageKind.AppendReply, Reject: false } && message.Log.Index > 0
            ? new EntryId(node.Core.Log.TermAt(message.Log.Index), message.Log.Index)
            : default;
        var held = new HeldMessage(new ExploredMessage(message, _namings), outbound.ReleaseAfter, claim);
        if (outbound.ReleaseAfter <= node.DoneSequence) Release(node, held);
        else node.Held = [.. node.Held, held];
    }

    private void Release(ExploredNode node, HeldMessage held)
    {
        CheckReleased(node, held);
        var kind = held.Message.Message.Kind;
        if (_scenario.Lost.Contains(kind) || (!_scenario.PreVotesTravel && kind is MessageKind.PreVote or MessageKind.PreVoteReply)) return;
        foreach (var message in _network)
        {
            if (message.Hashes[0] == held.Message.Hashes[0]) return; // Twice the same is a duplicate, which others explore.
        }

        if (_network.Count < _scenario.MaxInFlight) _network.Add(held.Message);
    }
}
