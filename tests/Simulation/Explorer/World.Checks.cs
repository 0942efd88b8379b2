using System.Runtime.CompilerServices;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>What must hold in each state (reference 4.2), judged from disks and history rather than from what cores believe.</summary>
internal sealed partial class World
{
    // History. Arrays are replaced, never written to.
    private byte[] _leaders;
    private byte[] _votes;
    private LogEntry[] _committed;
    private ulong[] _committedIn;

    // By token: what was committed when the read began, and the node that owes an answer, 0 once it came.
    private ulong[] _readFloors = [];
    private byte[] _readers = [];

    private void Require(bool condition, Rule rule, [InterpolatedStringHandlerArgument(nameof(condition))] BrokenRule broken)
    {
        if (!condition && _scenario.LooksFor(rule)) throw new ViolationException(rule, broken.ToString());
    }

    private static bool IsSame(in LogEntry one, in LogEntry other) =>
        one.Id == other.Id && one.Type == other.Type && one.Payload.Span.SequenceEqual(other.Payload.Span);

    private static bool IsSameLog(RaftLog one, RaftLog other)
    {
        if (one.Base != other.Base || one.LastIndex != other.LastIndex) return false;
        for (var index = one.FirstIndex; index <= one.LastIndex; index++)
        {
            if (!IsSame(one[index], other[index])) return false;
        }

        return true;
    }

    /// <summary>State machine safety, and what is committed stays so (Raft paper 5.4.3).</summary>
    private void CheckCommitted(in LogEntry entry, RaftCore core, RaftCore before)
    {
        var position = (int)entry.Index - 1;
        Require(position <= _committed.Length, Rule.CommittedByLeader, $"entry {entry.Index} is handed out before its predecessor");
        if (position > _committed.Length) return;
        Require(
            position < _committed.Length || core.Role == RaftRole.Leader || before.Role == RaftRole.Leader, Rule.CommittedByLeader,
            $"node {core.Self} hands entry {entry.Id.Term}.{entry.Index} out, which no leader has committed");
        if (position == _committed.Length)
        {
            _committed = [.. _committed, entry];
            _committedIn = [.. _committedIn, core.Term];
        }

        Require(IsSame(_committed[position], entry), Rule.StateMachineSafety, $"two different entries are committed at {entry.Index}");
    }

    /// <summary>Linearizability: a read does not miss what was committed before it began.</summary>
    private void CheckRead(ReadState read, NodeId node)
    {
        var place = read.Token - 1;
        Require(_readers[place] == node.Value, Rule.ReadsAreAnswered, $"read {read.Token} is answered twice");
        Require(read.Refusal != ProposalRefusal.None || read.Index >= _readFloors[place], Rule.ReadsAreCurrent, $"read {read.Token} misses entry {read.Index + 1}");
        _readers = [.. _readers];
        _readers[place] = 0;
    }

    /// <summary>A node that dies owes no answers.</summary>
    private void ForgetReadsOf(NodeId node)
    {
        if (Array.IndexOf(_readers, (byte)node.Value) >= 0) _readers = [.. _readers.Select(reader => reader == node.Value ? (byte)0 : reader)];
    }

    /// <summary>What a message says is on the sender's disk, and nobody votes twice.</summary>
    private void CheckReleased(ExploredNode node, HeldMessage held)
    {
        var message = held.Message.Message;
        var disk = node.Disk;
        if (message.Kind is MessageKind.PreVote or MessageKind.PreVoteReply) return;
        Require(disk.HardState.Term >= message.Term, Rule.TermIsDurable, $"{message} leaves before its term is durable");
        Require(disk.Holds(held.Claim), Rule.AckIsDurable, $"{message} leaves before entry {held.Claim} is durable");
        if (CandidateOf(message) is { } candidate)
            Require(disk.HardState.Term > message.Term || disk.HardState.Vote == candidate, Rule.VoteIsDurable, $"{message} leaves before the vote is durable");
    }

    /// <summary>Nobody votes twice in a term, not even in two lives.</summary>
    private void CheckVotes(in Message message)
    {
        if (CandidateOf(message) is not { } candidate) return;
        var place = ((message.From.Value - 1) * _leaders.Length) + (int)message.Term;
        Require(_votes[place] == 0 || _votes[place] == candidate.Value, Rule.OneVote, $"node {message.From} votes twice in term {message.Term}");
        if (_votes[place] != 0) return;
        _votes = [.. _votes];
        _votes[place] = (byte)candidate.Value;
    }

    /// <summary>For whom the message is a vote; a candidate's question is one for itself.</summary>
    private static NodeId? CandidateOf(in Message message) => message switch
    {
        { Kind: MessageKind.VoteReply, Reject: false } => message.To,
        { Kind: MessageKind.Vote } => message.From,
        _ => null,
    };

    /// <summary>What concerns one node alone.</summary>
    /// <param name="node">After the step.</param>
    /// <param name="before">Before; null if it was restarted.</param>
    private void CheckNode(ExploredNode node, RaftCore? before)
    {
        var core = node.Core;
        CheckConfiguration(core);
        Require(
            IsOrdered(core.Log.Base.Index, core.Snapshot?.Last.Index ?? 0, core.AppliedIndex, core.Commit, core.Log.LastIndex), Rule.Ordered,
            $"node {core.Self}: compacted {core.Log.Base.Index}, applied {core.AppliedIndex}, commit {core.Commit}, last {core.Log.LastIndex}");
        Require(before is null || GoesForward(before, core), Rule.Monotonic, $"node {core.Self} goes back from {before!.Term}.{before.Vote}.{before.Commit}");
        Require(before is null || AppendsOnly(before, core), Rule.LeaderAppendsOnly, $"the leader of term {core.Term} had {before!.Log.LastIndex} entries");
        Require(node.Disk.IsHintDurable, Rule.HintIsDurable, $"the commit hint on disk leads");
        var durable = core.DurableIndex;
        if (durable > core.Log.Base.Index)
            Require(node.Disk.Holds(new EntryId(core.Log.TermAt(durable), durable)), Rule.DurableIsOnDisk, $"node {core.Self} believes that entry {durable} is durable");
    }

    private void Check(int index, RaftCore before, bool isLogChanged)
    {
        var core = _nodes[index].Core;
        if (core.Role == RaftRole.Leader) CheckLeader(_nodes[index], before);
        Require(
            core.Role == RaftRole.Leader || Array.IndexOf(_readers, (byte)core.Self.Value) < 0, Rule.ReadsAreAnswered,
            $"node {core.Self} does not lead and owes the answer to a read");
        for (var other = 0; isLogChanged && other < _nodes.Length; other++)
        {
            if (other != index) CheckLogsMatch(core.Log, _nodes[other].Core.Log);
        }
    }

    /// <summary>Nothing falls while a node runs.</summary>
    public static bool GoesForward(RaftCore before, RaftCore after) =>
        after.Term >= before.Term && after.Commit >= before.Commit && after.AppliedIndex >= before.AppliedIndex
        && (after.Snapshot?.Last.Index ?? 0) >= (before.Snapshot?.Last.Index ?? 0) && after.Log.Base.Index >= before.Log.Base.Index
        && (after.Term > before.Term || before.Vote.Value == 0 || after.Vote == before.Vote);

    /// <summary>While it leads, a node cuts nothing off and replaces nothing.</summary>
    public static bool AppendsOnly(RaftCore before, RaftCore after) =>
        before.Role != RaftRole.Leader || after.Role != RaftRole.Leader || after.Term != before.Term
        || (after.Log.LastIndex >= before.Log.LastIndex && after.Log.TermAt(before.Log.LastIndex) == before.Log.LastId.Term);

    /// <summary>Order of the indices within a node.</summary>
    public static bool IsOrdered(ulong compacted, ulong snapshot, ulong applied, ulong commit, ulong last) =>
        compacted <= snapshot && snapshot <= applied && applied <= commit && commit <= last;

    private void CheckLeader(ExploredNode node, RaftCore before)
    {
        var core = node.Core;
        if (before.Role != RaftRole.Leader || before.Term != core.Term)
        {
            Require(_leaders[core.Term] == 0 || _leaders[core.Term] == core.Self.Value, Rule.ElectionSafety, $"two leaders in term {core.Term}");
            _leaders = [.. _leaders];
            _leaders[core.Term] = (byte)core.Self.Value;
            for (var i = 0; i < _committed.Length; i++)
            {
                // A leader of an older term may be elected late, when a newer one has committed already.
                var entry = _committed[i];
                if (entry.Index > core.Log.Base.Index && _committedIn[i] < core.Term)
                    Require(core.Log.Contains(entry.Id), Rule.LeaderCompleteness, $"the leader of term {core.Term} lacks committed entry {entry.Id.Term}.{entry.Index}");
            }
        }

        var configurationIndex = core.ConfigurationIndex;
        var isProposed = before.Role == RaftRole.Leader && configurationIndex > before.Log.LastIndex;
        if (core.Commit > before.Commit)
        {
            // The step that committed one configuration may have appended the next, and committed it, too.
            if (isProposed) CheckQuorum(Math.Min(core.Commit, configurationIndex - 1), core, core.ConfigurationAt(configurationIndex - 1));
            if (!isProposed || core.Commit >= configurationIndex) CheckQuorum(core.Commit, core, core.Configuration);
        }

        if (isProposed) CheckChange(core, configurationIndex);
    }

    /// <summary>Committed is what majorities of each voter set have on their disks.</summary>
    private void CheckQuorum(ulong index, RaftCore core, Configuration configuration)
    {
        var id = new EntryId(core.Log.TermAt(index), index);
        NodeId[][] sets = configuration.IsJoint ? [configuration.Voters, configuration.OutgoingVoters] : [configuration.Voters];
        foreach (var voters in sets)
        {
            var holders = voters.Count(voter => _nodes[voter.Value - 1].Disk.Holds(id));
            Require(holders > voters.Length / 2, Rule.QuorumOnDisks, $"entry {id.Term}.{id.Index} is committed on {holders} of {voters.Length} disks");
        }
    }

    /// <summary>Raft rule 7: one change at a time, voters change by a joint configuration only, and not before an own commit.</summary>
    private void CheckChange(RaftCore core, ulong index)
    {
        var previous = core.ConfigurationAt(index - 1);
        Require(core.Commit >= core.FirstOwnIndex, Rule.OneChange, $"a configuration is proposed before a commit in the own term");
        for (var i = core.Commit + 1; i < index; i++)
            Require(core.Log[i].Type != EntryType.Configuration, Rule.OneChange, $"a configuration is proposed before the last one is committed");
        var next = core.Configuration;
        var isStep = previous.IsJoint ? next.Voters.SequenceEqual(previous.Voters) && !next.IsJoint
            : next.IsJoint ? next.OutgoingVoters.SequenceEqual(previous.Voters)
            : next.Voters.SequenceEqual(previous.Voters);
        Require(isStep, Rule.JointSteps, $"from {previous} to {next} at once");
    }

    /// <summary>In force is the newest configuration in the log.</summary>
    private void CheckConfiguration(RaftCore core)
    {
        var expected = core.Log.LastIndex;
        while (expected > core.Log.Base.Index && core.Log[expected].Type != EntryType.Configuration) expected--;

        // After a restart, what a snapshot covers counts as standing where the snapshot ends.
        var covered = core.Snapshot?.Last.Index ?? 0;
        var isInLog = expected > core.Log.Base.Index && core.ConfigurationIndex == expected;
        var isCovered = expected <= Math.Max(core.Log.Base.Index, covered) && core.ConfigurationIndex <= Math.Max(core.Log.Base.Index, covered);
        Require(
            isInLog || isCovered, Rule.ConfigurationOfLog,
            $"node {core.Self} obeys the configuration of entry {core.ConfigurationIndex}, which its log does not have");
        if (core.Snapshot is not { } snapshot || expected != snapshot.Last.Index || ReferenceEquals(core.Configuration, snapshot.Configuration)) return;
        Require(
            core.Log.Base != snapshot.Last || core.Configuration.ToString() == snapshot.Configuration.ToString(),
            Rule.ConfigurationOfLog, $"node {core.Self} obeys {core.Configuration} and not its snapshot's {snapshot.Configuration}");
    }

    /// <summary>Equal ids mean equal entries and equal prefixes (Raft paper 5.3).</summary>
    private void CheckLogsMatch(RaftLog one, RaftLog other)
    {
        var isEqualAbove = false;
        var floor = Math.Max(one.Base.Index, other.Base.Index);
        for (var index = Math.Min(one.LastIndex, other.LastIndex); index > floor; index--)
        {
            var isEqual = one.TermAt(index) == other.TermAt(index);
            Require(isEqual || !isEqualAbove, Rule.LogMatching, $"logs agree above entry {index} and not at it");
            if (!isEqual) continue;
            Require(IsSame(one[index], other[index]), Rule.LogMatching, $"entry {index} differs under one id");
            isEqualAbove = true;
        }
    }

    /// <summary>Text that is made only when a rule is broken.</summary>
    [InterpolatedStringHandler]
    private ref struct BrokenRule
    {
        private DefaultInterpolatedStringHandler _text;

        public BrokenRule(int literals, int values, bool condition, out bool isNeeded)
        {
            isNeeded = !condition;
            if (isNeeded) _text = new DefaultInterpolatedStringHandler(literals, values);
        }

        public void AppendLiteral(string text) => _text.AppendLiteral(text);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

        public override string ToString() => _text.ToStringAndClear();
    }
}
