using RaftMirror.Consensus;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;

namespace RaftMirror.Simulation.Explorer;

/// <summary>An invariant is broken.</summary>
internal sealed class ViolationException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What must hold in each state (reference 4.2), judged from disks and history rather than from what cores believe.</summary>
internal sealed partial class World
{
    // History. Arrays are replaced, never written to.
    private byte[] _leaders;
    private byte[] _votes;
    private LogEntry[] _committed;
    private ulong[] _committedIn;
    private ulong[] _readFloors = [];

    private static void Require(bool condition, string broken)
    {
        if (!condition) throw new ViolationException(broken);
    }

    private static bool IsSame(in LogEntry one, in LogEntry other) =>
        one.Id == other.Id && one.Type == other.Type && one.Payload.Span.SequenceEqual(other.Payload.Span);

    /// <summary>State machine safety, and what is committed stays so (Raft paper 5.4.3).</summary>
    private void CheckCommitted(in LogEntry entry, ulong term)
    {
        var position = (int)entry.Index - 1;
        if (position == _committed.Length)
        {
            _committed = [.. _committed, entry];
            _committedIn = [.. _committedIn, term];
        }

        Require(position < _committed.Length, $"entry {entry.Index} is handed out before its predecessor");
        Require(IsSame(_committed[position], entry), $"two different entries are committed at {entry.Index}");
    }

    /// <summary>Linearizability: a read does not miss what was committed before it began.</summary>
    private void CheckRead(ReadState read) =>
        Require(read.Refusal != Refusal.None || read.Index >= _readFloors[read.Token - 1], $"read {read.Token} misses entry {read.Index + 1}");

    /// <summary>What a message says is on the sender's disk, and nobody votes twice.</summary>
    private void CheckReleased(ExploredNode node, HeldMessage held)
    {
        var message = held.Message.Message;
        var disk = node.Disk;
        if (_scenario.ConsequencesOnly || message.Kind is MessageKind.PreVote or MessageKind.PreVoteReply) return;
        Require(disk.HardState.Term >= message.Term, $"{message} leaves before its term is durable");
        Require(disk.Holds(held.Claim), $"{message} leaves before entry {held.Claim} is durable");
        var isVote = message.Kind == MessageKind.VoteReply && !message.Reject;
        if (!isVote && message.Kind != MessageKind.Vote) return;
        var candidate = isVote ? message.To : message.From;
        Require(disk.HardState.Term > message.Term || disk.HardState.Vote == candidate, $"{message} leaves before the vote is durable");
        var place = ((message.From.Value - 1) * _leaders.Length) + (int)message.Term;
        Require(_votes[place] == 0 || _votes[place] == candidate.Value, $"node {message.From} votes twice in term {message.Term}");
        if (_votes[place] != 0) return;
        _votes = [.. _votes];
        _votes[place] = (byte)candidate.Value;
    }

    private void Check(int index, RaftCore before)
    {
        var node = _nodes[index];
        var core = node.Core;
        if (core.Role == RaftRole.Leader) CheckLeader(node, before);
        CheckConfiguration(core);
        for (var other = 0; other < _nodes.Length; other++)
        {
            if (other != index) CheckLogsMatch(core.Log, _nodes[other].Core.Log);
        }

        Require(node.Disk.HardState.Commit <= node.Disk.LastIndex, "the commit hint on disk leads");
        var durable = core.DurableIndex;
        if (durable > core.Log.Base.Index && !_scenario.ConsequencesOnly)
            Require(node.Disk.Holds(new EntryId(core.Log.TermAt(durable), durable)), $"node {core.Self} believes that entry {durable} is durable");
    }

    private void CheckLeader(ExploredNode node, RaftCore before)
    {
        var core = node.Core;
        if (before.Role != RaftRole.Leader || before.Term != core.Term)
        {
            Require(_leaders[core.Term] == 0 || _leaders[core.Term] == core.Self.Value, $"two leaders in term {core.Term}");
            _leaders = [.. _leaders];
            _leaders[core.Term] = (byte)core.Self.Value;
            for (var i = 0; i < _committed.Length; i++)
            {
                // A leader of an older term may be elected late, when a newer one has committed already.
                var entry = _committed[i];
                if (entry.Index > core.Log.Base.Index && _committedIn[i] < core.Term)
                    Require(core.Log.Contains(entry.Id), $"the leader of term {core.Term} lacks committed entry {entry.Id.Term}.{entry.Index}");
            }
        }

        var configurationIndex = core.ConfigurationIndex;
        var isProposed = before.Role == RaftRole.Leader && configurationIndex > before.Log.LastIndex;
        if (core.Commit > before.Commit && !_scenario.ConsequencesOnly)
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
            Require(holders > voters.Length / 2, $"entry {id.Term}.{id.Index} is committed on {holders} of {voters.Length} disks");
        }
    }

    /// <summary>Rule 7: one change at a time, voters change by a joint configuration only, and not before an own commit.</summary>
    private void CheckChange(RaftCore core, ulong index)
    {
        if (_scenario.ConsequencesOnly) return;
        var previous = core.ConfigurationAt(index - 1);
        Require(core.Commit >= core.FirstOwnIndex, "a configuration is proposed before a commit in the own term");
        for (var i = core.Commit + 1; i < index; i++)
            Require(core.Log[i].Type != EntryType.Configuration, "a configuration is proposed before the last one is committed");
        var next = core.Configuration;
        var isStep = previous.IsJoint ? next.Voters.SequenceEqual(previous.Voters) && !next.IsJoint
            : next.IsJoint ? next.OutgoingVoters.SequenceEqual(previous.Voters)
            : next.Voters.SequenceEqual(previous.Voters);
        Require(isStep, $"from {previous} to {next} at once");
    }

    /// <summary>In force is the newest configuration in the log.</summary>
    private void CheckConfiguration(RaftCore core)
    {
        if (_scenario.ConsequencesOnly) return;
        var expected = core.Log.LastIndex;
        while (expected > core.Log.Base.Index && core.Log[expected].Type != EntryType.Configuration) expected--;
        Require(
            expected > core.Log.Base.Index ? core.ConfigurationIndex == expected : core.ConfigurationIndex <= expected,
            $"node {core.Self} obeys the configuration of entry {core.ConfigurationIndex}, which its log does not have");
        if (core.Snapshot is not { } snapshot || expected != snapshot.Last.Index || ReferenceEquals(core.Configuration, snapshot.Configuration)) return;
        Require(
            core.Log.Base != snapshot.Last || core.Configuration.ToString() == snapshot.Configuration.ToString(),
            $"node {core.Self} obeys {core.Configuration} and not its snapshot's {snapshot.Configuration}");
    }

    /// <summary>Equal ids mean equal entries and equal prefixes (Raft paper 5.3).</summary>
    private static void CheckLogsMatch(RaftLog one, RaftLog other)
    {
        var isEqualAbove = false;
        var floor = Math.Max(one.Base.Index, other.Base.Index);
        for (var index = Math.Min(one.LastIndex, other.LastIndex); index > floor; index--)
        {
            var isEqual = one.TermAt(index) == other.TermAt(index);
            Require(isEqual || !isEqualAbove, $"logs agree above entry {index} and not at it");
            if (!isEqual) continue;
            Require(IsSame(one[index], other[index]), $"entry {index} differs under one id");
            isEqualAbove = true;
        }
    }
}
