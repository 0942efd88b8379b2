using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>What the explorer needs: a copy, a name for the state, and time taken out of it. Nothing here is used in production. A test
/// goes through all fields by reflection, so that none that is added later is forgotten here.</summary>
internal sealed partial class RaftCore
{
    private RaftCore(RaftCore other)
    {
        Invariant.Require(
            other._ready.Messages.Count == 0 && other._ready.Write is null && other._ready.Reads.Count == 0, "Effects are taken before a copy is.");
        Self = other.Self;
        _options = other._options;
        _random = other._random; // Draws nothing but time, which is taken out.
        _log = new RaftLog(other._log.Base, other._log.Slice(other._log.FirstIndex, int.MaxValue, int.MaxValue));
        foreach (var write in other._writes)
            _writes.Enqueue(new InflightWrite { Sequence = write.Sequence, LastIndex = write.LastIndex, StartedMs = write.StartedMs });
        _now = other._now;
        _role = other._role;
        _term = other._term;
        _vote = other._vote;
        _leader = other._leader;
        _commit = other._commit;
        _applied = other._applied;
        _handedOut = other._handedOut;
        _hardStateDirty = other._hardStateDirty;
        _writtenHardState = other._writtenHardState;
        _resetDirty = other._resetDirty;
        _writeNext = other._writeNext;
        _durableIndex = other._durableIndex;
        _writeSequence = other._writeSequence;
        _doneSequence = other._doneSequence;
        _termSequence = other._termSequence;

        _votes = [.. other._votes];
        _electionDeadline = other._electionDeadline;
        _leaderContact = other._leaderContact;
        _selfVoteSequence = other._selfVoteSequence;
        _stickyUntil = other._stickyUntil;

        _progress = [.. other._progress.Select(progress => progress.Clone())];
        _scratch = new ulong[other._scratch.Length];
        _heartbeatDue = other._heartbeatDue;
        _firstOwnIndex = other._firstOwnIndex;
        _uncommittedBytes = other._uncommittedBytes;
        _ledSinceMs = other._ledSinceMs;

        _configurations.AddRange(other._configurations); // Configurations are immutable.
        _configuration = other._configuration;
        _selfSlot = other._selfSlot;
        _snapshot = other._snapshot;

        foreach (var read in other._reads) _reads.Enqueue(read);
        _earlyReads.AddRange(other._earlyReads);
        _roundSent = other._roundSent;
        _roundConfirmed = other._roundConfirmed;
        foreach (var round in other._roundSentMs) _roundSentMs.Enqueue(round);
        _leaseUntil = other._leaseUntil;

        _transferTarget = other._transferTarget;
        _transferDeadline = other._transferDeadline;
        _timeoutNowSent = other._timeoutNowSent;

        foreach (var (index, value) in other._digests) _digests.Add(index, value);
        foreach (var (node, value) in other._digestVotes) _digestVotes.Add(node, value);
        _digestAsked = other._digestAsked;
        _digestDone = other._digestDone;
        _digestAskedMs = other._digestAskedMs;
        IsBarred = other.IsBarred;
        IsLogShort = other.IsLogShort;
        _avoided = [.. other._avoided];
    }

    /// <summary>A deep copy. The effects so far have been taken.</summary>
    public RaftCore Clone() => new(this);

    /// <summary>Sets all clocks and deadlines as if everything had happened just now: timers fire when the explorer says so.</summary>
    public void ForgetTime(long nowMs)
    {
        _now = nowMs;
        _leaderContact = nowMs;
        _electionDeadline = nowMs + _options.ElectionTimeoutMaxMs;
        _ledSinceMs = nowMs;
        _digestAskedMs = nowMs;
        if (_heartbeatDue != long.MaxValue) _heartbeatDue = nowMs + _options.HeartbeatMs;
        if (_transferDeadline != long.MaxValue) _transferDeadline = nowMs + _options.ElectionTimeoutMaxMs;
        foreach (var progress in _progress) progress.ForgetTime(nowMs);
        foreach (var write in _writes) write.StartedMs = nowMs;
        for (var i = _roundSentMs.Count; i > 0; i--) _roundSentMs.Enqueue((_roundSentMs.Dequeue().Round, nowMs));
    }

    /// <summary>Adds everything that can influence what this node does later, but for time; what is dead in the present role is left out.</summary>
    /// <param name="hash">Receives it.</param>
    /// <param name="names">By node id, 1 and up: the number by which the node is called in the hash.</param>
    public void AddTo(ref StateHash hash, ReadOnlySpan<byte> names)
    {
        hash.Add((ulong)_role);
        hash.Add(_term);
        hash.Add(names[_vote.Value]);
        hash.Add(names[_leader?.Value ?? 0]);
        hash.Add(_commit);
        hash.Add(_applied);
        hash.Add(_handedOut);
        hash.Add(_hardStateDirty);
        hash.Add(_resetDirty);
        hash.Add(_writeNext);
        hash.Add(_durableIndex);
        hash.Add(_writeSequence - _doneSequence);
        hash.Add(_termSequence > _doneSequence ? _termSequence - _doneSequence : 0);
        foreach (var write in _writes) hash.Add(write.LastIndex);
        hash.Add(_log.Base);
        hash.Add(_log.LastIndex);
        for (var index = _log.FirstIndex; index <= _log.LastIndex; index++) hash.Add(_log[index]);
        hash.Add((ulong)_configurations.Count);
        foreach (var (index, configuration) in _configurations)
        {
            hash.Add(index);
            AddConfiguration(ref hash, configuration, names);
        }

        hash.Add(_snapshot?.Last ?? default);
        hash.Add(IsBarred);
        hash.Add(IsLogShort);
        foreach (var member in _avoided) hash.Add(names[member.Value]);
        foreach (var (index, value) in _digests)
        {
            hash.Add(index);
            hash.Add(value);
        }

        if (_role is RaftRole.PreCandidate or RaftRole.Candidate) AddCampaign(ref hash, names);
        if (_role == RaftRole.Leader) AddLeadership(ref hash, names);
    }

    private static void AddConfiguration(ref StateHash hash, Configuration configuration, ReadOnlySpan<byte> names)
    {
        ReadOnlySpan<NodeId[]> sets = [configuration.Voters, configuration.OutgoingVoters, configuration.Learners];
        foreach (var set in sets)
        {
            var bits = 0ul;
            foreach (var id in set) bits |= 1ul << names[id.Value];
            hash.Add(bits);
        }
    }

    private void AddCampaign(ref StateHash hash, ReadOnlySpan<byte> names)
    {
        hash.Add(_role == RaftRole.Candidate && _selfVoteSequence > _doneSequence ? _selfVoteSequence - _doneSequence : 0);
        var votes = 0ul;
        for (var slot = 0; slot < _votes.Length; slot++)
            votes |= (ulong)(byte)(_votes[slot] + 1) << (2 * names[_configuration.Members[slot].Value]);
        hash.Add(votes);
    }

    private void AddLeadership(ref StateHash hash, ReadOnlySpan<byte> names)
    {
        hash.Add(_firstOwnIndex);
        hash.Add(_roundSent);
        hash.Add(_roundConfirmed);
        hash.Add(names[_transferTarget?.Value ?? 0]);
        hash.Add(_timeoutNowSent);
        hash.Add(_digestAsked);
        hash.Add(_digestDone);
        hash.Add((ulong)_reads.Count);
        foreach (var read in _reads)
        {
            hash.Add(read.Token);
            hash.Add(read.Index);
            hash.Add(read.Round);
        }

        foreach (var token in _earlyReads) hash.Add(token);

        // Members in any order: they have other places under other names.
        UInt128 sum = 0;
        for (var slot = 0; slot < _progress.Length; slot++)
        {
            var member = _configuration.Members[slot];
            var one = new StateHash();
            one.Add(names[member.Value]);
            if (slot != _selfSlot) _progress[slot].AddTo(ref one);
            if (_digestVotes.TryGetValue(member, out var digest)) one.Add(digest);
            sum += one.Value;
        }

        hash.Add(sum);
    }
}

/// <content>For the explorer.</content>
internal sealed partial class Progress
{
    public Progress Clone()
    {
        var clone = new Progress(Next, _maxMessages, _maxBytes, 0)
        {
            State = State,
            Match = Match,
            ProbeSent = ProbeSent,
            CommitSent = CommitSent,
            RoundAcked = RoundAcked,
            LastHeardMs = LastHeardMs,
            LastProgressMs = LastProgressMs,
            SnapshotIndex = SnapshotIndex,
            _inflightBytes = _inflightBytes,
        };
        foreach (var sent in _inflight) clone._inflight.Enqueue(sent);
        return clone;
    }

    public void ForgetTime(long nowMs)
    {
        LastHeardMs = nowMs;
        LastProgressMs = nowMs;
    }

    public void AddTo(ref StateHash hash)
    {
        hash.Add((ulong)State);
        hash.Add(Match);
        hash.Add(Next);
        hash.Add(ProbeSent);
        hash.Add(CommitSent);
        hash.Add(RoundAcked);
        hash.Add(State == ProgressState.Snapshot ? SnapshotIndex : 0);
        hash.Add((ulong)_inflight.Count);
        foreach (var (last, _) in _inflight) hash.Add(last);
    }
}
