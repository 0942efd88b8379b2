using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Leading: proposals, pipelined replication, commit, heartbeats, check-quorum.</summary>
internal sealed partial class RaftCore
{
    private Progress[] _progress = [];
    private ulong[] _scratch = [];
    private long _heartbeatDue = long.MaxValue;
    private ulong _firstOwnIndex;
    private long _uncommittedBytes;
    private long _ledSinceMs;

    /// <summary>The index of this leadership's no-op; 0 unless leading.</summary>
    public ulong FirstOwnIndex => _role == RaftRole.Leader ? _firstOwnIndex : 0;

    private bool HasCommittedOwnTerm => _commit >= _firstOwnIndex;

    /// <summary>The leader's knowledge of a member; null unless leading.</summary>
    public Progress? ProgressOf(NodeId member)
    {
        var slot = _configuration.SlotOf(member);
        return _role == RaftRole.Leader && slot >= 0 ? _progress[slot] : null;
    }

    /// <summary>Appends commands of one batch, all or none.</summary>
    /// <param name="commands">Payloads with the ids of their proposers; payloads are kept and must not change any more.</param>
    /// <param name="expectedTerm">If given: refuse unless this is the term.</param>
    /// <param name="first">The id of the first entry, if taken.</param>
    public ProposalRefusal Propose(
        ReadOnlySpan<(ProposalId Id, ReadOnlyMemory<byte> Payload)> commands, ulong? expectedTerm, out EntryId first)
    {
        first = default;
        if (_role != RaftRole.Leader) return ProposalRefusal.NotLeader;
        if (expectedTerm is { } expected && expected != _term) return ProposalRefusal.EpochChanged;
        if (_transferTarget is not null) return ProposalRefusal.TransferInProgress;
        if (_uncommittedBytes > _options.MaxUncommittedBytes) return ProposalRefusal.TooMuchPending;
        first = new EntryId(_term, _log.LastIndex + 1);
        foreach (ref readonly var command in commands)
        {
            var entry = new LogEntry(new EntryId(_term, _log.LastIndex + 1), EntryType.Command, command.Id, command.Payload);
            AppendToLog(entry);
        }

        return ProposalRefusal.None;
    }

    private void BecomeLeader()
    {
        Invariant.Require(_role == RaftRole.Candidate, "Only an elected candidate leads.");
        _role = RaftRole.Leader;
        _leader = Self;
        _ready.StateChanged = true;
        _progress = new Progress[_configuration.Members.Length];
        _scratch = new ulong[_progress.Length];
        for (var slot = 0; slot < _progress.Length; slot++)
        {
            _progress[slot] = new Progress(
                _log.LastIndex + 1, _options.MaxInflightMessages, _options.MaxInflightBytes, _now);
        }

        // Entries of earlier terms are committed only under one of our own (Raft paper 5.4.2), and reads wait for it.
        _firstOwnIndex = _log.LastIndex + 1;
        _uncommittedBytes = 0;
        AppendToLog(new LogEntry(new EntryId(_term, _firstOwnIndex), EntryType.Noop, default, _lives is null ? default : Lineage.Encode(_lives.Life.Start)));
        _ledSinceMs = _now;
        ResetDigests();
        _heartbeatDue = _now + _options.HeartbeatMs;
        _transferDeadline = long.MaxValue;
        _transferTarget = null;
        _timeoutNowSent = false;
        ResetReads();
        BroadcastHeartbeat();
    }

    private void EndLeadership()
    {
        RefuseReads();
        RememberMatches();
        _progress = [];
        _leaseUntil = 0;
        _roundSentMs.Clear();
        _heartbeatDue = long.MaxValue;
        _transferTarget = null;
        _transferDeadline = long.MaxValue;
    }

    private void TickLeader()
    {
        if (!HasQuorumContact())
        {
            // Check-quorum: a leader that a majority does not hear would block its clients and mislead its readers.
            BecomeFollower(_term, leader: null);
            return;
        }

        if (StepDownFromHungDisk()) return;
        TickTransfer();
        YieldToPriority();
        if (_now < _heartbeatDue) return;
        foreach (var progress in _progress)
        {
            // Whatever was lost on the way, by the network or by a full outbox, is sent again (§7 bug 32).
            if (progress is { State: ProgressState.Replicate, HasInflight: true }
                && _now - progress.LastProgressMs > _options.ElectionTimeoutMaxMs && !Mutants.PipelineNeverRecovers)
                progress.BecomeProbe(progress.Match + 1, _now);

            // An offer may be lost, or be of a snapshot that the leader has replaced meanwhile.
            else if (progress.State == ProgressState.Snapshot && _now - progress.LastProgressMs > _options.ElectionTimeoutMaxMs)
                progress.BecomeProbe(progress.Match + 1, _now);
        }

        // Rounds that reads start do not put this one off: it is also what resends, and what notices a lost majority.
        _heartbeatDue = _now + _options.HeartbeatMs;
        BroadcastHeartbeat();
    }

    /// <summary>A leader whose disk hangs commits nothing by itself and must not keep others from leading (raft rule 11): it hands over while it can,
    /// and steps down after one election timeout.</summary>
    private bool StepDownFromHungDisk()
    {
        if ((!IsDiskStalled || MayLeadWithoutRoom) && !IsBarred) return false;
        if (_now - OldestWriteStartedMs > _options.DiskStallMs + _options.ElectionTimeoutMaxMs || IsBarred)
        {
            if (BestFollower() is { } best) SendTimeoutNow(best);
            BecomeFollower(_term, leader: null);
            return true;
        }

        if (_transferTarget is null && BestFollower() is not null) TransferLeadership(null);
        return false;
    }

    /// <summary>Leadership goes to the caught-up voter of the highest priority, once things are calm (raft rule 12).</summary>
    private void YieldToPriority()
    {
        if (_transferTarget is not null || _now - _ledSinceMs < _options.PriorityStableMs || _configuration.IsJoint || _selfSlot < 0) return;
        NodeId? best = null;
        var bestPriority = PriorityAt(_selfSlot);
        foreach (var voter in _configuration.Voters)
        {
            var slot = _configuration.SlotOf(voter);
            var progress = _progress[slot];
            if (voter == Self || PriorityAt(slot) <= bestPriority) continue;
            if (_now - progress.LastHeardMs > _options.ElectionTimeoutMinMs || progress.State != ProgressState.Replicate) continue;
            if (progress.Match + _options.MaxPromotionLag < _log.LastIndex) continue;
            best = voter;
            bestPriority = PriorityAt(slot);
        }

        if (best is null) return;
        _ledSinceMs = _now; // If it fails, not again at once.
        TransferLeadership(best);
    }

    private bool HasQuorumContact()
    {
        if (Mutants.NoCheckQuorum) return true;
        for (var slot = 0; slot < _progress.Length; slot++)
            _scratch[slot] = slot == _selfSlot ? (ulong)_now : (ulong)_progress[slot].LastHeardMs;
        return _now - (long)Quorum.Reached(_configuration, _scratch) <= _options.ElectionTimeoutMaxMs;
    }

    private void BroadcastHeartbeat()
    {
        _roundSent++;
        _roundSentMs.Enqueue((_roundSent, _now));
        var asked = DigestToAsk();
        for (var slot = 0; slot < _progress.Length; slot++)
        {
            if (slot == _selfSlot) continue;
            var message = new Message
            {
                Kind = MessageKind.Heartbeat,
                From = Self,
                To = _configuration.Members[slot],
                Term = _term,
                Commit = Mutants.CommitBeyondMatch ? _commit : Math.Min(_progress[slot].Match, _commit),
                Round = _roundSent,
                Hint = new EntryId(0, asked),
            };
            Send(message, releaseAfter: 0);
        }

        ConfirmReads();
    }

    /// <summary>Appends leave at once, in parallel with the leader's own write (thesis 10.2.1).</summary>
    private void FlushLeader()
    {
        FlushReads();
        for (var slot = 0; slot < _progress.Length; slot++)
        {
            if (slot != _selfSlot) SendAppends(slot, allowEmpty: false);
        }
    }

    private void SendAppends(int slot, bool allowEmpty)
    {
        var progress = _progress[slot];
        while (progress.State != ProgressState.Snapshot && !progress.IsFull && !(progress.State == ProgressState.Probe && progress.ProbeSent))
        {
            if (progress.Next <= _log.Base.Index)
            {
                OfferSnapshot(slot);
                return;
            }

            // Commands that come while one append is on its way share the next one, and its flush; what a heartbeat's echo asks for goes out at once.
            if (progress.State == ProgressState.Replicate && progress.Inflight >= _options.MaxPartialInflight && !allowEmpty
                && !_log.FillsSlice(progress.Next, _options.MaxAppendBytes, _options.MaxAppendEntries))
                return;

            var entries = _log.Slice(progress.Next, _options.MaxAppendBytes, _options.MaxAppendEntries);
            if (entries.Length == 0 && !allowEmpty && progress.State == ProgressState.Replicate)
            {
                TellCommit(slot);
                return;
            }

            var previous = progress.Next - 1;
            var message = new Message
            {
                Kind = MessageKind.Append,
                From = Self,
                To = _configuration.Members[slot],
                Term = _term,
                Log = new EntryId(_log.TermAt(previous), previous),
                Commit = _commit,
                Round = _lives?.Lineage.LeaderOf(_log.TermAt(previous)) ?? 0,
                Entries = entries,
            };
            Send(message, releaseAfter: 0);
            progress.CommitSent = _commit;
            if (progress.State == ProgressState.Probe) progress.ProbeSent = true;
            else if (entries.Length > 0) progress.Sent(entries[^1].Index, SizeOf(entries), _now);
            allowEmpty = false;
        }
    }

    /// <summary>A follower that has everything learns of the commit index by a heartbeat that asks for no echo: nobody waits for one.</summary>
    private void TellCommit(int slot)
    {
        var progress = _progress[slot];
        var commit = Mutants.CommitBeyondMatch ? _commit : Math.Min(progress.Match, _commit);
        if (progress.CommitSent >= commit) return;
        progress.CommitSent = commit;
        var message = new Message
        {
            Kind = MessageKind.Heartbeat,
            From = Self,
            To = _configuration.Members[slot],
            Term = _term,
            Commit = commit,
            Round = NoRound,
        };
        Send(message, releaseAfter: 0);
    }

    private static int SizeOf(LogEntry[] entries)
    {
        var bytes = 0;
        foreach (ref readonly var entry in entries.AsSpan()) bytes += entry.SizeBytes;
        return bytes;
    }

    private void HandleAppendReply(in Message message)
    {
        var slot = _configuration.SlotOf(message.From);
        if (_role != RaftRole.Leader || slot < 0) return;
        var progress = _progress[slot];
        progress.LastHeardMs = _now;
        if (message.Reject)
        {
            HandleRefusedAppend(progress, message);
            return;
        }

        Invariant.Require(message.Log.Index <= _log.LastIndex, "Nobody has matched more than we have.");
        if (progress.Acknowledge(message.Log.Index, _now)) AdvanceCommit();
        ContinueTransfer(message.From); // The commit may have ended a joint configuration: members have other slots now.
    }

    private void HandleRefusedAppend(Progress progress, in Message message)
    {
        // A refusal that was overtaken by later news says nothing (§7 bug 34).
        var isStale = progress.State == ProgressState.Replicate ? message.Log.Index <= progress.Match : message.Log.Index != progress.Next - 1;
        if (progress.State == ProgressState.Snapshot || (isStale && !Mutants.StaleRefusalRewinds)) return;
        var agreed = _log.LastIndexWithTermAtMost(Math.Min(message.Hint.Index, message.Log.Index - 1), message.Hint.Term);
        progress.BecomeProbe((Mutants.StaleRefusalRewinds ? agreed : Math.Max(agreed, progress.Match)) + 1, _now);
    }

    private void HandleHeartbeatReply(in Message message)
    {
        var slot = _configuration.SlotOf(message.From);
        if (_role != RaftRole.Leader || slot < 0) return;
        var progress = _progress[slot];
        progress.LastHeardMs = _now;
        Invariant.Require(message.Round <= _roundSent, "Only rounds that were sent are echoed.");
        if (message.Round > progress.RoundAcked)
        {
            progress.RoundAcked = message.Round;
            ConfirmReads();
        }

        if (message.Hint.Index != 0) HearDigest(message);

        // The peer is there: let a lost probe or a lost tail of the pipeline be noticed.
        progress.ProbeSent = false;
        if (progress.Match >= _log.LastIndex) return;
        if (progress.State == ProgressState.Replicate && progress.IsFull && !Mutants.PipelineNeverRecovers) progress.FreeFirst();
        SendAppends(slot, allowEmpty: true);
    }

    /// <summary>Commit: durable on a majority of each voter set, and of the current term (raft rule 2, Raft paper 5.4.2).</summary>
    private void AdvanceCommit()
    {
        for (var slot = 0; slot < _progress.Length; slot++) _scratch[slot] = _progress[slot].Match;
        if (_selfSlot >= 0) _scratch[_selfSlot] = Mutants.LeaderCountsUnflushed ? _log.LastIndex : _durableIndex;
        var reached = Quorum.Reached(_configuration, _scratch);
        if (reached <= _commit) return;
        if (_log.TermAt(reached) != _term && !Mutants.CommitOlderTerm) return;
        for (var index = Math.Max(_commit + 1, _firstOwnIndex); index <= reached; index++)
            _uncommittedBytes = Math.Max(0, _uncommittedBytes - _log[index].SizeBytes);
        var first = !HasCommittedOwnTerm;
        _commit = reached;
        if (first && HasCommittedOwnTerm) AdmitEarlyReads();
    }
}
