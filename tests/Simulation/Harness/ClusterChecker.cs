using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>
/// Watches the whole cluster from outside and remembers across restarts. What is durable it knows from the flushes of the
/// simulated disks, not from the cores. Each check names the invariant of reference/raft.md 4.2 that it is.
/// </summary>
internal sealed class ClusterChecker(Configuration configuration)
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
    public void Stepped(SimNode node, IReadOnlyDictionary<NodeId, SimNode> nodes)
    {
        var core = node.Core!;
        Require(core.Term >= node.SeenTerm, $"8 monotonic: term of node {node.Id} fell");
        Require(core.Commit >= node.SeenCommit, $"8 monotonic: commit of node {node.Id} fell");
        Require(
            core.AppliedIndex <= core.Commit && core.Commit <= core.Log.LastIndex && core.DurableIndex <= core.Log.LastIndex,
            $"9 order of applied, commit and last on node {node.Id}");
        CheckLeader(node, core);
        Require(
            core.Role != RaftRole.Leader || core.Commit == node.SeenCommit || core.Log.TermAt(core.Commit) == core.Term,
            $"paper 5.4.2: leader {node.Id} of term {core.Term} committed {core.Commit}, of term {core.Log.TermAt(core.Commit)}, by counting");
        for (var index = node.SeenCommit + 1; index <= core.Commit; index++) CheckCommitted(node, core, index, nodes);
        node.SeenTerm = core.Term;
        node.SeenCommit = core.Commit;
    }

    /// <summary>A node hands entries to its log.</summary>
    public void Writing(SimNode node, WriteBatch batch)
    {
        var previous = batch.Previous;
        foreach (var entry in batch.Entries)
        {
            var fact = (previous.Term, CrcOf(entry));
            Require(entry.Index == previous.Index + 1, $"log of node {node.Id} has a hole at {entry.Index}");
            if (_entries.TryGetValue(entry.Id, out var known))
                Require(known == fact, $"3 log matching: entry {entry.Term}.{entry.Index} on node {node.Id} differs");
            else _entries.Add(entry.Id, fact);
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
                Require(
                    node.Shadow.Entries.Count >= (int)message.Log.Index,
                    $"11 ack implies durable: node {node.Id} acknowledged {message.Log.Index}, on disk are {node.Shadow.Entries.Count}");
                break;
        }
    }

    public void Applied(SimNode node, LogEntry entry, ReadOnlyMemory<byte> result)
    {
        var crc = Crc32C.Compute(result.Span);
        if (_results.TryGetValue(entry.Index, out var known))
            Require(known == crc, $"5 state machine safety: result at {entry.Index} on node {node.Id} differs");
        else _results.Add(entry.Index, crc);
    }

    public void Acknowledged(LogEntry entry)
    {
        Require(
            entry.Index <= (ulong)_committed.Count && _committed[(int)entry.Index - 1].Id == entry.Id,
            $"an acknowledged proposal at {entry.Index} is not committed");
        AcknowledgedIndex = Math.Max(AcknowledgedIndex, entry.Index);
    }

    public static void ReadConfirmed(SimNode node, ulong floor, ulong index) =>
        Require(index >= floor, $"14 linearizable reads: node {node.Id} confirmed {index}, {floor} was acknowledged before the read began");

    /// <summary>A node is back: its log must be one that its disk may have after what was written and flushed.</summary>
    public static void Recovered(SimNode node, HardState hardState, IReadOnlyList<LogEntry> entries)
    {
        var shadow = node.Shadow;
        Require(
            shadow.IsPossible(hardState, entries),
            $"10, 11 durability: node {node.Id} recovered {entries.Count} entries, term {hardState.Term}, vote {hardState.Vote}; "
            + $"durable were {shadow.Entries.Count}, term {shadow.HardState.Term}, vote {shadow.HardState.Vote}");
        shadow.Reset(hardState, entries);
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
            Require(
                _leaders.TryAdd(core.Term, node.Id) || _leaders[core.Term] == node.Id,
                $"1 election safety: nodes {_leaders[core.Term]} and {node.Id} lead in term {core.Term}");
            for (var i = 0; i < _committed.Count; i++)
            {
                // A candidate of an older term may still be elected by late votes; it can commit nothing any more.
                Require(
                    _committed[i].InTerm > core.Term || core.Log.Contains(_committed[i].Id),
                    $"4 leader completeness: node {node.Id}, leader in term {core.Term}, lacks committed {_committed[i].Id}");
            }

            node.LedTerm = core.Term;
        }
        else
        {
            Require(core.Log.Contains(node.LedLast), $"2 leader append-only: node {node.Id} lost {node.LedLast} in term {core.Term}");
        }

        node.LedLast = core.Log.LastId;
    }

    private void CheckCommitted(SimNode node, RaftCore core, ulong index, IReadOnlyDictionary<NodeId, SimNode> nodes)
    {
        var entry = core.Log[index];
        if (index <= (ulong)_committed.Count)
        {
            Require(
                _committed[(int)index - 1].Id == entry.Id && _committed[(int)index - 1].Crc == CrcOf(entry),
                $"7 committed immutable: {index} was {_committed[(int)index - 1].Id}, on node {node.Id} it is {entry.Id}");
            return;
        }

        Span<ulong> have = stackalloc ulong[configuration.Members.Length];
        for (var slot = 0; slot < have.Length; slot++)
        {
            var shadow = nodes[configuration.Members[slot]].Shadow.Entries;
            have[slot] = (ulong)shadow.Count >= index && shadow[(int)index - 1].Id == entry.Id ? 1UL : 0UL;
        }

        var count = 0;
        foreach (var one in have) count += (int)one;
        Require(
            count > configuration.Voters.Length / 2,
            $"6 commit on a durable majority: {entry.Id}, committed by node {node.Id}, is on {count} of {configuration.Voters.Length} disks");
        _committed.Add((entry.Id, CrcOf(entry), core.Term));
    }

    private void CheckVote(SimNode node, ulong term, NodeId candidate, HardState durable)
    {
        Require(
            _votes.TryAdd((node.Id, term), candidate) || _votes[(node.Id, term)] == candidate,
            $"10 one vote per term: node {node.Id} voted for {candidate} and for {_votes[(node.Id, term)]} in term {term}");
        Require(
            durable.Term > term || (durable.Term == term && durable.Vote == candidate),
            $"11 vote durable: node {node.Id} spoke of its vote for {candidate} in term {term}; on disk is {durable}");
    }
}

/// <summary>What a node's disk holds, kept by the checker from writes and flushes.</summary>
internal sealed class ShadowLog
{
    private readonly List<WriteBatch> _pending = [];

    public List<LogEntry> Entries { get; private set; } = [];

    public HardState HardState { get; private set; }

    public void Written(WriteBatch batch) => _pending.Add(batch);

    public void Flushed()
    {
        foreach (var batch in _pending) Apply(Entries, batch);
        if (_pending.Count > 0) HardState = _pending[^1].HardState;
        _pending.Clear();
    }

    public void Reset(HardState hardState, IReadOnlyList<LogEntry> entries)
    {
        _pending.Clear();
        HardState = hardState;
        Entries = [.. entries];
    }

    /// <summary>True if this is the durable log plus some of what was written and not flushed, in order: whole batches, and of one
    /// more its first entries, since a batch may be several frames.</summary>
    public bool IsPossible(HardState hardState, IReadOnlyList<LogEntry> entries)
    {
        var state = new List<LogEntry>(Entries);
        var vote = HardState;
        if (Matches(vote, state, hardState, entries, state.Count)) return true;
        foreach (var batch in _pending)
        {
            Apply(state, batch);
            vote = batch.HardState;
            if (Matches(vote, state, hardState, entries, (int)batch.Previous.Index + Math.Min(1, batch.Entries.Length))) return true;
        }

        return false;
    }

    private static bool Matches(HardState vote, List<LogEntry> state, HardState hardState, IReadOnlyList<LogEntry> entries, int atLeast)
    {
        if (vote.Term != hardState.Term || vote.Vote != hardState.Vote) return false;
        if (entries.Count < atLeast || entries.Count > state.Count) return false;
        for (var i = 0; i < entries.Count; i++)
        {
            if (entries[i].Id != state[i].Id || !entries[i].Payload.Span.SequenceEqual(state[i].Payload.Span)) return false;
        }

        return true;
    }

    private static void Apply(List<LogEntry> entries, WriteBatch batch)
    {
        if (batch.Entries.Length == 0) return;
        entries.RemoveRange((int)batch.Previous.Index, entries.Count - (int)batch.Previous.Index);
        entries.AddRange(batch.Entries);
    }
}
