using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Membership by joint consensus (Raft paper section 6, raft rule 7). A configuration counts from the moment it is in the log, committed or
/// not, and no longer once it is truncated away. The leader leaves a joint configuration by itself, and steps down when it has
/// committed one in which it does not vote.</summary>
internal sealed partial class RaftCore
{
    /// <summary>By index, oldest first: the one that held at the newest snapshot, and those in the log since.</summary>
    private readonly List<(ulong Index, Configuration Configuration)> _configurations = [];
    private Configuration _configuration = Configuration.Empty;
    private int _selfSlot = -1;

    /// <summary>The newest configuration in the log, which is the one in force.</summary>
    public Configuration Configuration => _configuration;

    /// <summary>Where it stands; 0 for the initial one.</summary>
    public ulong ConfigurationIndex => _configurations[^1].Index;

    /// <summary>The configuration in force at a committed index not below the newest snapshot's.</summary>
    public Configuration ConfigurationAt(ulong index) => _configurations.FindLast(known => known.Index <= index).Configuration;

    /// <summary>Begins a change of membership.</summary>
    /// <param name="changes">Made together.</param>
    /// <param name="place">Where the first entry of the change stands, if null is returned.</param>
    /// <returns>Null if begun, else why not; nothing was appended then.</returns>
    public string? ChangeMembers(IReadOnlyList<MembershipChange> changes, out EntryId place)
    {
        place = default;
        if (_role != RaftRole.Leader) return "this node does not lead";
        if (_transferTarget is not null) return "leadership is being handed over";

        // Without an own commit the leader cannot know that the last change is committed (Ongaro, raft-dev 2015).
        if (!HasCommittedOwnTerm && !Mutants.ChangeBeforeOwnCommit) return "this leader has not committed an entry of its own term yet";
        if ((ConfigurationIndex > _commit || _configuration.IsJoint) && !Mutants.ChangeBeforeOwnCommit)
            return "a change of membership is under way";
        var final = MembershipRules.Change(_configuration, changes, out var error);
        if (final is null) return error;
        foreach (var change in changes)
        {
            if (change.Action == MembershipAction.Promote && LagOf(change.Member.Id) is { } lag) return lag;
        }

        place = AppendConfiguration(Mutants.JointSkipped ? final : MembershipRules.FirstStep(_configuration, final));
        return null;
    }

    private string? LagOf(NodeId learner)
    {
        var progress = _progress[_configuration.SlotOf(learner)];
        if (_now - progress.LastHeardMs > _options.ElectionTimeoutMaxMs || progress.RoundAcked == 0)
            return $"node {learner} does not answer";
        return progress.Match + _options.MaxPromotionLag < _commit
            ? $"node {learner} has not caught up: it has {progress.Match} of {_commit} entries"
            : null;
    }

    private EntryId AppendConfiguration(Configuration configuration)
    {
        var id = new EntryId(_term, _log.LastIndex + 1);
        AppendToLog(new LogEntry(id, EntryType.Configuration, default, ConfigurationCodec.Encode(configuration)));
        return id;
    }

    private void RecoverConfiguration(Configuration initial, ulong index)
    {
        _configurations.Add((index, initial));
        for (var i = Math.Max(index + 1, _log.FirstIndex); i <= _log.LastIndex; i++)
        {
            if (_log[i].Type == EntryType.Configuration && !(Mutants.ConfigurationForgotten && i > _commit)) _configurations.Add((i, Decode(_log[i])));
        }

        Enforce();
    }

    private void Adopt(in LogEntry entry)
    {
        _configurations.Add((entry.Index, Decode(entry)));
        Enforce();
    }

    private void RollConfigurationBack(ulong index)
    {
        if (ConfigurationIndex < index || Mutants.ConfigurationNotRolledBack) return;
        _configurations.RemoveAll(known => known.Index >= index);
        Enforce();
    }

    /// <summary>The log up to <paramref name="index"/> is covered by a snapshot.</summary>
    private void ForgetConfigurationsBefore(ulong index)
    {
        while (_configurations.Count > 1 && _configurations[1].Index <= index) _configurations.RemoveAt(0);
    }

    private void Enforce()
    {
        var old = _configuration;
        _configuration = _configurations[^1].Configuration;
        _selfSlot = _configuration.SlotOf(Self);
        _votes = new sbyte[_configuration.Members.Length];
        _ready.MembersChanged = true;
        if (_role != RaftRole.Leader)
        {
            // Votes were counted in another configuration: ask again.
            if (_role != RaftRole.Follower) BecomeFollower(_term, leader: null);
            return;
        }

        var progress = new Progress[_configuration.Members.Length];
        for (var slot = 0; slot < progress.Length; slot++)
        {
            var known = old.SlotOf(_configuration.Members[slot]);
            progress[slot] = known >= 0 && known < _progress.Length
                ? _progress[known]
                : new Progress(_log.LastIndex + 1, _options.MaxInflightMessages, _options.MaxInflightBytes, _now);
        }

        _progress = progress;
        _scratch = new ulong[progress.Length];
    }

    /// <summary>Goes on once the newest configuration is committed: out of a joint one by a second entry.</summary>
    private void ContinueChange()
    {
        if (_role == RaftRole.Leader && _configuration.IsJoint && _commit >= ConfigurationIndex && HasCommittedOwnTerm)
            AppendConfiguration(_configuration.LeaveJoint());
    }

    /// <summary>A leader that does not vote any more hands over as soon as that is committed.</summary>
    private void LeaveIfRemoved()
    {
        if (_configuration.IsVoter(Self) || _commit < ConfigurationIndex || Mutants.RemovedLeaderLeads) return;
        if (BestFollower() is { } best) SendTimeoutNow(best);
        BecomeFollower(_term, leader: null);
    }

    private static Configuration Decode(in LogEntry entry)
    {
        var error = ConfigurationCodec.TryDecode(entry.Payload.Span, out var configuration);
        Invariant.Require(error is null, $"A configuration in the log cannot be read: {error}");
        return configuration!;
    }
}
