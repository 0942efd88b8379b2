using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>
/// Watches the whole cluster from outside and remembers across restarts. What is durable it knows from the flushes of the
/// simulated disks, who votes from the configurations in the logs, not from the cores. Each check names the invariant of
/// docs/testing.md that it is. All are incremental: a step costs what it changed.
/// </summary>
internal sealed partial class ClusterChecker(IReadOnlyDictionary<NodeId, SimNode> nodes, Configuration initial, RaftCoreOptions options)
{
    private readonly Dictionary<ulong, NodeId> _leaders = [];
    private readonly Dictionary<EntryId, (ulong PreviousTerm, uint Crc)> _entries = [];
    private readonly Dictionary<(NodeId, ulong), NodeId> _votes = [];
    private readonly List<(EntryId Id, uint Crc, ulong InTerm)> _committed = [];
    private readonly Dictionary<ulong, uint> _results = [];

    /// <summary>Highest index that any client was told is committed.</summary>
    public ulong AcknowledgedIndex { get; private set; }

    public int CommittedCount => _committed.Count;

    public static void Require(bool condition, string invariant)
    {
        if (!condition) throw new SimulationException(invariant);
    }

    /// <summary>After every step of a node.</summary>
    public void Stepped(SimNode node)
    {
        var core = node.Core!;
        Require(core.Term >= node.SeenTerm, "8 monotonic: a term fell");
        Require(core.Commit >= node.SeenCommit, "8 monotonic: a commit index fell");
        if (!(core.Log.Base.Index <= (core.Snapshot?.Last.Index ?? 0) && core.AppliedIndex <= core.Commit && core.Commit <= core.Log.LastIndex
            && core.DurableIndex <= core.Log.LastIndex && (core.Snapshot?.Last.Index ?? 0) <= core.Commit))
        {
            throw new SimulationException(
                $"9 order: node {node.Id} has log from {core.Log.Base.Index}, snapshot {core.Snapshot?.Last.Index}, applied {core.AppliedIndex}, "
                + $"commit {core.Commit}, last {core.Log.LastIndex}");
        }

        CheckLeader(node, core);
        if (core.Role == RaftRole.Leader && core.Commit != node.SeenCommit && core.Log.TermAt(core.Commit) != core.Term)
            throw new SimulationException($"paper 5.4.2: leader {node.Id} of term {core.Term} committed {core.Commit} of an older term by counting");
        for (var index = node.SeenCommit + 1; index <= core.Commit; index++) CheckCommitted(node, core, index);
        CheckMembers(node, core);
        CheckDurable(node, core);
        CheckBounds(node, core);
        if (core.Role != RaftRole.Leader && node.Reads.Count > 0)
            throw new SimulationException($"14 reads answered: node {node.Id} does not lead and owes {node.Reads.Count} answers");
        node.SeenTerm = core.Term;
        node.SeenCommit = core.Commit;
        node.SeenConfiguration = core.Configuration;
    }

    /// <summary>A node hands entries to its log.</summary>
    public void Writing(SimNode node, WriteBatch batch, Configuration? installed)
    {
        var previous = batch.Previous;
        var before = node.Members.Newest.Configuration;
        node.Members.Written(batch, installed);
        foreach (var entry in batch.Entries)
        {
            if (entry.Index != previous.Index + 1) throw new SimulationException($"log of node {node.Id} has a hole at {entry.Index}");
            var fact = (previous.Term, CrcOf(entry));
            if (_entries.TryGetValue(entry.Id, out var known))
            {
                if (known != fact) throw new SimulationException($"3 log matching: entry {entry.Id} on node {node.Id} differs");
            }
            else
            {
                _entries.Add(entry.Id, fact);
                if (entry.Type == EntryType.Configuration) before = CheckProposed(node, entry, before);
            }

            previous = entry.Id;
        }
    }

    /// <summary>A message leaves a node.</summary>
    public void Sending(SimNode node, in Message message)
    {
        var durable = node.Shadow.HardState;
        switch (message)
        {
            case { Kind: MessageKind.VoteReply, Reject: false }:
                CheckVote(node, message.Term, message.To, durable);
                break;
            case { Kind: MessageKind.Vote }:
                CheckVote(node, message.Term, node.Id, durable);
                break;
            case { Kind: MessageKind.AppendReply, Reject: false } when node.Core!.Term == message.Term:
                CheckAcknowledged(node, node.Core, message.Log.Index);
                break;
            case { Kind: MessageKind.ClaimReply, Reject: false, IsTransfer: false }:
                CheckRemembered(node, message);
                break;
            case { Kind: MessageKind.Append }:
                CheckSent(node, message);
                break;
            case { Kind: MessageKind.TimeoutNow } when node.Core!.Term == message.Term && node.Core.TransferTarget == message.To:
                CheckHandedOver(node.Core, message.To);
                break;
        }

        var tellsTerm = message.Kind is MessageKind.AppendReply or MessageKind.HeartbeatReply or MessageKind.VoteReply
            || message is { Kind: MessageKind.PreVoteReply, Reject: true };
        if (tellsTerm && durable.Term < message.Term)
            throw new SimulationException($"11 term durable: node {node.Id} sent {message}; on disk is {durable}");
    }

    public void Applied(SimNode node, LogEntry entry, ReadOnlyMemory<byte> result)
    {
        if (node.IsCorrupt) return;
        var crc = Crc32C.Compute(result.Span);
        if (_results.TryAdd(entry.Index, crc) || _results[entry.Index] == crc) return;
        throw new SimulationException($"5 state machine safety: result at {entry.Index} on node {node.Id} differs");
    }

    public void Acknowledged(LogEntry entry)
    {
        Require(
            entry.Index <= (ulong)_committed.Count && _committed[(int)entry.Index - 1].Id == entry.Id, "an acknowledged proposal is not committed");
        AcknowledgedIndex = Math.Max(AcknowledgedIndex, entry.Index);
    }

    public static void ReadConfirmed(SimNode node, ulong floor, ulong index)
    {
        if (index < floor)
            throw new SimulationException($"14 linearizable reads: node {node.Id} confirmed {index}, {floor} was acknowledged before the read began");
    }

    /// <summary>A node is back: its log must be one that its disk may have after what was written and flushed.</summary>
    public static void Recovered(SimNode node, RecoveredLog found)
    {
        if (node.Shadow.WhyImpossible(found) is { } why) throw new SimulationException($"10, 11 durability: on node {node.Id} {why}");
        node.Shadow.Reset(found.HardState, found.Base, found.Entries);
    }

    /// <summary>A node was seeded anew: the votes that it forgot are for candidates who cannot win any more, since they lack what it was seeded
    /// with, which a majority without it has. It may vote again in their terms.</summary>
    public void Seeded(NodeId node)
    {
        foreach (var vote in _votes.Keys.Where(vote => vote.Item1 == node).ToArray()) _votes.Remove(vote);
    }

    private static uint CrcOf(in LogEntry entry) =>
        Crc32C.Append((uint)entry.Type ^ ((uint)entry.Proposal.Sequence << 8) ^ ((uint)entry.Proposal.Node << 2), entry.Payload.Span);

    private void CheckLeader(SimNode node, RaftCore core)
    {
        if (core.Role != RaftRole.Leader)
        {
            node.LedTerm = 0;
            return;
        }

        if (node.LedTerm != core.Term)
        {
            node.HeardMs.Clear();
            node.SeenMatch.Clear();
            if (!_leaders.TryAdd(core.Term, node.Id) && _leaders[core.Term] != node.Id)
                throw new SimulationException($"1 election safety: nodes {_leaders[core.Term]} and {node.Id} lead in term {core.Term}");

            // A candidate of an older term may still be elected by late votes; it can commit nothing any more. Of all the others the newest
            // entry tells: prefixes of equal entries are equal, which is checked with every write.
            var last = _committed.FindLastIndex(entry => entry.InTerm <= core.Term);
            for (var i = last; i >= 0 && i > last - 20 && _committed[i].Id.Index > core.Log.Base.Index; i--)
            {
                if (!core.Log.Contains(_committed[i].Id))
                    throw new SimulationException($"4 leader completeness: node {node.Id}, leader in term {core.Term}, lacks committed {_committed[i].Id}");
            }

            node.LedTerm = core.Term;
        }
        else if (!core.Log.Contains(node.LedLast) && node.LedLast.Index > core.Log.Base.Index)
        {
            throw new SimulationException($"2 leader append-only: node {node.Id} lost {node.LedLast} in term {core.Term}");
        }

        node.LedLast = core.Log.LastId;
    }

    private void CheckCommitted(SimNode node, RaftCore core, ulong index)
    {
        if (index < core.Log.Base.Index) return;
        if (index == core.Log.Base.Index)
        {
            // The last entry that a snapshot covers.
            if (index > (ulong)_committed.Count || _committed[(int)index - 1].Id != core.Log.Base)
                throw new SimulationException($"7 committed immutable: the snapshot of node {node.Id} ends at {core.Log.Base}");
            return;
        }

        var entry = core.Log[index];
        if (index <= (ulong)_committed.Count)
        {
            if (_committed[(int)index - 1].Id != entry.Id || _committed[(int)index - 1].Crc != CrcOf(entry))
                throw new SimulationException($"7 committed immutable: {index} was {_committed[(int)index - 1].Id}, on node {node.Id} it is {entry.Id}");
            return;
        }

        // It was counted in the configuration that was in force when the step began.
        var configuration = node.SeenConfiguration ?? core.Configuration;
        if (!IsDurable(configuration.Voters, entry.Id) || !IsDurable(configuration.OutgoingVoters, entry.Id))
            throw new SimulationException($"6 commit on a durable majority: {entry.Id}, committed by node {node.Id}, is not on one of {configuration}");
        Require((ulong)_committed.Count + 1 == index, "7 committed immutable: a hole");
        _committed.Add((entry.Id, CrcOf(entry), core.Term));
        if (entry.Type == EntryType.Configuration) CommitMembers(index, MemberImage.Decode(entry));
    }

    /// <summary>A disk that was damaged since counts: what it said was true then, and the fault atlas leaves a majority.</summary>
    private bool IsDurable(NodeId[] voters, EntryId id)
    {
        var count = 0;
        foreach (var voter in voters)
        {
            if (nodes.TryGetValue(voter, out var node) && (node.Shadow.Has(id) || node.Former?.Has(id) == true)) count++;
        }

        return voters.Length == 0 || count > voters.Length / 2;
    }

    /// <summary>Whoever is told that its life is known builds on that: when its directory is put back, it is this memory that tells.</summary>
    private void CheckRemembered(SimNode node, in Message message)
    {
        if (node.Core!.Configuration.SlotOf(message.To) < 0) return; // Of those who have left nothing is kept.
        var peer = nodes[message.To];
        var back = peer.Starts.IndexOf(message.Round);
        foreach (var life in node.DurableLives)
        {
            // A later life may have come meanwhile.
            if (life.Node == message.To && (back < 0 || life.Incarnation >= peer.Incarnation - (ulong)back)) return;
        }

        throw new SimulationException($"14.24 remembered: node {node.Id} confirmed start {message.Round:x16} of node {message.To}, which is not on its disk");
    }

    private void CheckVote(SimNode node, ulong term, NodeId candidate, HardState durable)
    {
        if (!_votes.TryAdd((node.Id, term), candidate) && _votes[(node.Id, term)] != candidate)
        {
            throw new SimulationException(
                $"10 one vote per term: node {node.Id} voted for {candidate} and for {_votes[(node.Id, term)]} in term {term}");
        }

        if (durable.Term < term || (durable.Term == term && durable.Vote != candidate))
            throw new SimulationException($"11 vote durable: node {node.Id} spoke of its vote for {candidate} in term {term}; on disk is {durable}");
    }
}
