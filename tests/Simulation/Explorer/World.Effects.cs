using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Explorer;

/// <summary>Inputs of one node and what comes of them.</summary>
internal sealed partial class World
{
    private ExploredMessage? _arriving;
    private List<NodeEvent> _events = [];

    private void Spend(ActionKind kind)
    {
        switch (kind)
        {
            case ActionKind.Heartbeat: _used.Heartbeats++; break;
            case ActionKind.StepDown: _used.StepDowns++; break;
            case ActionKind.Transfer: _used.Transfers++; break;
            case ActionKind.Crash: _used.Crashes++; break;
            case ActionKind.Propose: _used.Proposals++; break;
            case ActionKind.Change: _used.Changes++; break;
            case ActionKind.Snapshot: _used.Snapshots++; break;
            case ActionKind.Read: _used.Reads++; break;
        }
    }

    /// <summary>The step of the node alone, which the real core has to take once only where nothing but the node and its input decide.</summary>
    private NodeStep StepOf(ExplorerAction action, int index)
    {
        var isLocal = action.Kind switch
        {
            ActionKind.Deliver or ActionKind.Duplicate => _arriving!.Message.Kind != MessageKind.InstallSnapshot, // Looks for the snapshot.
            ActionKind.Write or ActionKind.Crash or ActionKind.Heartbeat or ActionKind.StepDown or ActionKind.Transfer or ActionKind.Install => true,
            ActionKind.Timeout => _scenario.PreVotesTravel, // Else others grant pre-votes at once.
            _ => false,
        };
        if (!isLocal) return Run(index, action.Kind == ActionKind.Crash, node => Do(action, index, node));
        var kind = action.Kind == ActionKind.Duplicate ? ActionKind.Deliver : action.Kind;
        var key = new StepKey(_nodes[index], kind == ActionKind.Deliver ? _arriving : null, kind, action.Argument);
        if (_interned.Steps.TryGetValue(key, out var known)) return known;
        var step = Run(index, action.Kind == ActionKind.Crash, node => Do(action, index, node));
        _interned.Steps.Add(key, step);
        return step;
    }

    /// <summary>Steps a copy of the node, carries its effects out as far as they are its own, and checks what concerns it alone.</summary>
    private NodeStep Run(int index, bool isRestart, Func<ExploredNode, bool> input)
    {
        var before = _nodes[index];
        var node = before.Copy();
        _events = [];
        try
        {
            if (!input(node)) return NodeStep.Nothing;
            Pump(node);
            CheckNode(node, isRestart ? null : before.Core);
        }
        catch (ViolationException error)
        {
            return NodeStep.Nothing with { Violation = error };
        }
        catch (Exception error) when (error is InvariantException or IndexOutOfRangeException or ArgumentException or InvalidOperationException or NullReferenceException)
        {
            if (!_scenario.LooksFor(Rule.CoreInvariant)) return NodeStep.Nothing; // The node is dead: nothing more comes from it.
            return NodeStep.Nothing with { Violation = new ViolationException(Rule.CoreInvariant, error.Message, error) };
        }

        node.Core.ForgetTime(NowMs);
        node.Seal(_namings);
        return new NodeStep(_interned.Share(index, node), [.. _events], !IsSameLog(before.Core.Log, node.Core.Log), null);
    }

    /// <summary>Brings what a node did to the others, and checks what concerns them all.</summary>
    private void Carry(NodeStep step, int index, bool isRestart)
    {
        var before = _nodes[index].Core;
        var after = step.After!.Core;
        _nodes[index] = step.After;
        if (isRestart) ForgetReadsOf(after.Self);
        foreach (var happened in step.Events)
        {
            if (happened.Sent is { } message) Send(message);
            else if (happened.Read is { } read) CheckRead(read, after.Self);
            else CheckCommitted(happened.Committed!.Value, after, before);
        }

        Check(index, before, step.IsLogChanged);
    }

    /// <summary>Gives the node its input.</summary>
    /// <returns>False if it changes nothing, or if this branch is another's.</returns>
    private bool Do(ExplorerAction action, int index, ExploredNode node)
    {
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
                return _scenario.PreVotesTravel || GrantPreVotes(core);
            case ActionKind.Heartbeat:
                core.Tick(NowMs + _scenario.Options.HeartbeatMs);
                return true;
            case ActionKind.StepDown:
                core.Tick(NowMs + LongMs);
                return core.Role != RaftRole.Leader;
            case ActionKind.Transfer:
                return core.TransferLeadership(new NodeId(action.Argument)) is null;
            case ActionKind.Write:
                FinishWrite(node);
                return true;
            case ActionKind.Crash:
                Crash(node, index, action.Argument);
                return true;
            case ActionKind.Propose:
                return core.Propose([(default, new[] { (byte)_used.Proposals })], null, out _) == ProposalRefusal.None;
            case ActionKind.Change:
                return core.ChangeMembers(_scenario.Changes[_used.Changes - 1], out _) is null;
            case ActionKind.Snapshot:
                TakeSnapshot(node);
                return true;
            case ActionKind.Install:
                var offer = node.Offer!;
                node.Offer = null;
                if (node.Disk.Snapshot is null || node.Disk.Snapshot.Last.Index < offer.Last.Index) node.Disk = node.Disk with { Snapshot = offer };
                if (core.InstallSnapshot(offer)) core.Applied(offer.Last.Index);
                return true;
            case ActionKind.Read:
                _readFloors = [.. _readFloors, (ulong)_committed.Length];
                _readers = [.. _readers, (byte)core.Self.Value];
                core.Read((ulong)_readFloors.Length);
                return true;
            default:
                throw new ArgumentOutOfRangeException(nameof(action));
        }
    }

    /// <summary>All nodes that would grant a pre-vote now, if they had not heard of a leader for a while, do so.</summary>
    private bool GrantPreVotes(RaftCore core)
    {
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
        var snapshot = Array.Find(_snapshots, known => known.Last == last);
        if (snapshot is null) _snapshots = [.. _snapshots, snapshot = new SnapshotMeta(last, core.ConfigurationAt(last.Index), 1, 1)];
        node.Disk = node.Disk with { Snapshot = snapshot };
        core.SnapshotTaken(snapshot);
    }

    private void FinishWrite(ExploredNode node)
    {
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
    private void Pump(ExploredNode node)
    {
        while (true)
        {
            var ready = node.Core.TakeReady();
            if (ready.Write is { } write) node.Writes = [.. node.Writes, write];
            foreach (var outbound in ready.Messages) Hold(node, outbound);
            if (ready.CompactTo > 0) node.Disk = node.Disk.CompactTo(ready.CompactTo);
            if (ready.Offer is { } offer) node.Offer = Array.Find(_snapshots, known => known.Last == offer.Last);
            foreach (var entry in ready.Committed) _events.Add(new NodeEvent { Committed = entry });
            if (ready.Committed.Count > 0) node.Core.Applied(ready.Committed[^1].Index);
            foreach (var read in ready.Reads) _events.Add(new NodeEvent { Read = read });
            if (node.Writes.Length <= _scenario.MaxWrites) return;
            FinishWrite(node);
        }
    }

    private void Hold(ExploredNode node, OutboundMessage outbound)
    {
        var message = outbound.Message;
        var claim = message is { Kind: MessageKind.AppendReply, Reject: false } && message.Log.Index > 0
            ? new EntryId(node.Core.Log.TermAt(message.Log.Index), message.Log.Index)
            : default;
        var held = new HeldMessage(_interned.Share(new ExploredMessage(message, _namings)), outbound.ReleaseAfter, claim);
        if (outbound.ReleaseAfter <= node.DoneSequence) Release(node, held);
        else node.Held = [.. node.Held, held];
    }

    private void Release(ExploredNode node, HeldMessage held)
    {
        CheckReleased(node, held);
        _events.Add(new NodeEvent { Sent = held.Message });
    }

    private void Send(ExploredMessage message)
    {
        CheckVotes(message.Message);
        var kind = message.Message.Kind;
        var tellsCommit = kind == MessageKind.Heartbeat && message.Message.Round == 0;
        if (_scenario.Lost.Contains(kind) && !tellsCommit) return;
        if (!_scenario.PreVotesTravel && kind is MessageKind.PreVote or MessageKind.PreVoteReply) return;
        if (Array.IndexOf(_network, message) < 0) _network = [.. _network, message]; // A set: twice the same is a bounded duplicate.
    }
}
