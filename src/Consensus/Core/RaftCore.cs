using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// The Raft algorithm: inputs in, <see cref="Ready"/> out; no clock, thread, file or socket.
///
/// Inputs are Step(message), Propose, Read, WriteDone, Applied, Tick and TransferLeadership, in any order, each followed sooner
/// or later by TakeReady. The shell keeps these promises: writes are made durable in order of sequence and reported by WriteDone
/// only then; no message leaves before its ReleaseAfter; committed entries are applied in order; time never goes back.
///
/// One thread at a time. Sections of the paper (Ongaro and Ousterhout 2014) and the thesis are cited where a rule comes from.
/// </summary>
internal sealed partial class RaftCore
{
    /// <summary>Writes that may wait for room in a leader's log.</summary>
    private const int MaxWritesWithoutRoom = 1024;

    private readonly RaftCoreOptions _options;
    private readonly RaftLog _log;
    private readonly Xoshiro _random;
    private readonly Queue<InflightWrite> _writes = new();

    private Ready _ready = new();
    private Ready _spare = new();
    private long _now;

    private RaftRole _role = RaftRole.Follower;
    private ulong _term;
    private NodeId _vote;
    private NodeId? _leader;
    private ulong _commit;
    private ulong _applied;
    private ulong _handedOut;

    private bool _hardStateDirty;
    private HardState _writtenHardState;
    private bool _resetDirty;
    private ulong _writeNext;
    private ulong _durableIndex;
    private ulong _writeSequence;
    private ulong _doneSequence;
    private ulong _termSequence;

    /// <summary>Starts or restarts a node whose log was never compacted.</summary>
    public RaftCore(
        NodeId self, Configuration configuration, RaftCoreOptions options, HardState hardState, IEnumerable<LogEntry> entries, Xoshiro random,
        long nowMs)
        : this(self, configuration, options, hardState, default, entries, null, random, nowMs)
    {
    }

    /// <summary>Starts or restarts a node from what recovery found.</summary>
    /// <param name="self">This node; need not be a member.</param>
    /// <param name="initial">Who takes part as long as neither snapshot nor log says otherwise.</param>
    /// <param name="options">Times and bounds.</param>
    /// <param name="hardState">Of the log.</param>
    /// <param name="start">The entry before the first one of <paramref name="entries"/>.</param>
    /// <param name="entries">The log, without holes.</param>
    /// <param name="snapshot">What the state machine was restored from; covers at least everything before the first entry.</param>
    /// <param name="random">Election timeouts.</param>
    /// <param name="nowMs">The time.</param>
    /// <param name="lives">What guards against a directory that was put back; null for none.</param>
    public RaftCore(
        NodeId self,
        Configuration initial,
        RaftCoreOptions options,
        HardState hardState,
        EntryId start,
        IEnumerable<LogEntry> entries,
        SnapshotMeta? snapshot,
        Xoshiro random,
        long nowMs,
        LifeStart? lives = null)
    {
        Invariant.Require(
            options.HeartbeatMs > 0 && options.HeartbeatMs < options.ElectionTimeoutMinMs
            && options.ElectionTimeoutMinMs < options.ElectionTimeoutMaxMs,
            "Heartbeats must come well within an election timeout.");
        Self = self;
        _options = options;
        _random = random;
        _log = new RaftLog(start, entries);
        var covered = snapshot?.Last ?? default;
        Invariant.Require(
            covered.Index >= start.Index && covered.Index <= _log.LastIndex && _log.Contains(covered),
            "A snapshot covers what is gone from the log, and the log goes on from it.");
        _now = nowMs;
        _term = hardState.Term;
        _vote = hardState.Vote;
        _snapshot = snapshot;
        _commit = Mutants.AppliesBeforeCommit ? _log.LastIndex : Math.Max(hardState.Commit, covered.Index);
        _applied = covered.Index;
        _handedOut = covered.Index;
        Invariant.Require(_commit <= _log.LastIndex, "The commit hint is written with or after the entries it speaks of.");
        Invariant.Require(_log.LastId.Term <= _term, "A term is durable before the entries of it.");
        _durableIndex = _log.LastIndex;
        _writeNext = _log.LastIndex + 1;
        RecoverConfiguration(snapshot is null ? initial : snapshot.Configuration, covered.Index);
        _leaderContact = nowMs;
        _stickyUntil = options.LeaseReads ? nowMs + options.ElectionTimeoutMinMs : nowMs;
        if (lives is not null)
        {
            _lives = new LifeGuard(lives, nowMs, options);
            for (var index = _log.FirstIndex; index <= _log.LastIndex; index++) _lives.Lineage.Append(_log[index]);
            ReviewAdmission();
            if (_lives.IsOut) Bar();
        }

        ResetElectionDeadline();
    }

    public NodeId Self { get; }

    public RaftRole Role => _role;

    public ulong Term => _term;

    public NodeId Vote => _vote;

    public NodeId? Leader => _leader;

    public ulong Commit => _commit;

    /// <summary>What the shell last reported as applied.</summary>
    public ulong AppliedIndex => _applied;

    public RaftLog Log => _log;

    /// <summary>The last index that is known to be on this node's stable storage.</summary>
    public ulong DurableIndex => _durableIndex;

    /// <summary>When the next Tick has work to do, in the shell's milliseconds.</summary>
    public long NextDeadlineMs =>
        Math.Min(_role == RaftRole.Leader ? Math.Min(_heartbeatDue, _transferDeadline) : _electionDeadline, LivesDeadline);

    /// <summary>True while the oldest unfinished write is older than a working disk's would be (raft rule 11).</summary>
    public bool IsDiskStalled =>
        !Mutants.HungDiskLeads && _writes.TryPeek(out var oldest) && _now - oldest.StartedMs > _options.DiskStallMs;

    /// <summary>Set by the shell: this node's log has no room. What waits for it is not a disk that hangs: as long as not much waits, the node leads on,
    /// since heartbeats, and with them leases, need no entry, and who could lead better the shell knows.</summary>
    public bool IsLogShort { get; set; }

    private bool MayLeadWithoutRoom => IsLogShort && _writes.Count <= MaxWritesWithoutRoom;

    private long OldestWriteStartedMs => _writes.TryPeek(out var oldest) ? oldest.StartedMs : _now;

    /// <summary>The sequence number of the write that will cover everything changed so far.</summary>
    private ulong CoveringSequence => HasUnwritten ? _writeSequence + 1 : _writeSequence;

    private bool HasUnwritten => _hardStateDirty || _resetDirty || _writeNext <= _log.LastIndex || _lives is { IsWriteWanted: true };

    /// <summary>Says what time it is on a monotonic clock, before messages are stepped; no timer fires.</summary>
    public void AdvanceClock(long nowMs)
    {
        Invariant.Require(nowMs >= _now, "The clock is monotonic.");
        _now = nowMs;
    }

    /// <summary>Time has come to <paramref name="nowMs"/>: timers fire. The shell steps waiting messages first, so that a
    /// node that was paused hears its leader before it judges it dead.</summary>
    public void Tick(long nowMs)
    {
        AdvanceClock(nowMs);
        TickLives();
        if (_role == RaftRole.Leader) TickLeader();
        else if (_now >= _electionDeadline) StartPreVote();
    }

    /// <summary>The state machine has applied up to <paramref name="index"/>.</summary>
    public void Applied(ulong index)
    {
        Invariant.Require(index >= _applied && index <= _commit, "Only committed entries are applied, in order.");
        _applied = index;
    }

    /// <summary>All writes up to <paramref name="sequence"/> are on stable storage. A write counts for the entries that
    /// are still in the log: what was truncated meanwhile was taken off its account, so that a late completion proves nothing about
    /// other entries with the same indices (raft rule 1).</summary>
    public void WriteDone(ulong sequence)
    {
        Invariant.Require(sequence > _doneSequence && sequence <= _writeSequence, "Writes complete in order.");
        _doneSequence = sequence;
        while (_writes.TryPeek(out var write) && write.Sequence <= sequence)
        {
            _writes.Dequeue();
            _durableIndex = Math.Max(_durableIndex, write.LastIndex);
        }

        if (Mutants.StaleWriteCounts || Mutants.AckByIndex) _durableIndex = Math.Min(_durableIndex, _log.LastIndex);
        Invariant.Require(_durableIndex <= _log.LastIndex, "What was truncated is on no account.");
        if (_role == RaftRole.Candidate && _selfVoteSequence <= sequence && _selfSlot >= 0) CountVote(_selfSlot, granted: true);
        if (_role == RaftRole.Leader) AdvanceCommit();
    }

    /// <summary>Steps one message from a peer whose identity the transport has checked.</summary>
    public void Step(in Message message)
    {
        Invariant.Require(message.To == Self && message.From != Self, "The transport delivers to the addressee.");
        switch (message.Kind)
        {
            case MessageKind.Claim:
                HandleClaim(message);
                return;
            case MessageKind.ClaimReply:
                HandleClaimReply(message);
                return;
            case MessageKind.Committed:
                HandleCommitted(message);
                return;
        }

        if (!IsHeard(message)) return;
        switch (message.Kind)
        {
            case MessageKind.PreVote:
                HandlePreVote(message);
                return;
            case MessageKind.PreVoteReply:
                HandlePreVoteReply(message);
                return;
            case MessageKind.Vote:
                HandleVote(message);
                return;
        }

        if (message.Term > _term)
        {
            // Only an Append or Heartbeat says who leads; a reply only says that we are behind.
            BecomeFollower(message.Term, leader: null);
        }

        if (message.Term < _term && !(Mutants.OldTermAccepted && message.Kind == MessageKind.Append && _role == RaftRole.Follower))
        {
            AnswerStale(message);
            return;
        }

        switch (message.Kind)
        {
            case MessageKind.VoteReply:
                HandleVoteReply(message);
                break;
            case MessageKind.Append:
                HandleAppend(message);
                break;
            case MessageKind.AppendReply:
                HandleAppendReply(message);
                break;
            case MessageKind.Heartbeat:
                HandleHeartbeat(message);
                break;
            case MessageKind.HeartbeatReply:
                HandleHeartbeatReply(message);
                break;
            case MessageKind.TimeoutNow:
                HandleTimeoutNow(message);
                break;
            case MessageKind.InstallSnapshot:
                HandleInstallSnapshot(message);
                break;
            default:
                Invariant.Fail("The codec lets no other kind through.");
                break;
        }
    }

    /// <summary>Takes the effects since the last call. The object is reused by the call after the next.</summary>
    public Ready TakeReady()
    {
        if (_role == RaftRole.Leader)
        {
            // Here and not where the commit index moves: slots must not change under a handler.
            ContinueChange();
            FlushLeader();
            LeaveIfRemoved();
        }

        if (HasUnwritten) _ready.Write = MakeWrite();
        for (; _handedOut < _commit; _handedOut++) _ready.Committed.Add(_log[_handedOut + 1]);
        (_ready, _spare) = (_spare, _ready);
        _ready.Clear();
        return _spare;
    }

    private WriteBatch MakeWrite()
    {
        var first = _writeNext;
        var entries = _log.Slice(first, int.MaxValue, int.MaxValue);
        var hardState = new HardState(_term, _vote, Math.Min(_commit, _log.LastIndex));
        if (Mutants.EntriesBeforeTerm && entries.Length > 0 && _hardStateDirty) hardState = _writtenHardState;
        else _hardStateDirty = false;
        _writtenHardState = hardState;
        _writeSequence++;
        _writes.Enqueue(new InflightWrite { Sequence = _writeSequence, LastIndex = _log.LastIndex, StartedMs = _now });
        _writeNext = _log.LastIndex + 1;
        var isReset = _resetDirty;
        _resetDirty = false;

        // The hint must not speak of entries that a torn tail could take with it; all of them are in this write or before it.
        return new WriteBatch(_writeSequence, hardState, new EntryId(_log.TermAt(first - 1), first - 1), entries, isReset) { Lives = TakeLives() };
    }

    private KnownLife[]? TakeLives()
    {
        if (_lives is not { IsWriteWanted: true }) return null;
        _lives.IsWriteWanted = false;
        _lives.WriteSequence = _writeSequence;
        var committed = ConfigurationAt(_commit);
        return _lives.Witness.Take(committed.HasLeft);
    }

    private void AppendToLog(in LogEntry entry)
    {
        _log.Append(entry);
        _lives?.Lineage.Append(entry);
        if (_role == RaftRole.Leader) _uncommittedBytes += entry.SizeBytes;
        if (entry.Type == EntryType.Configuration) Adopt(entry);
    }

    private void TruncateLogFrom(ulong index)
    {
        Invariant.Require(index > _commit, "Committed entries are never truncated (Raft paper 5.4.3).");
        _log.TruncateFrom(index);
        _lives?.Lineage.TruncateFrom(index);
        _durableIndex = Math.Min(_durableIndex, index - 1);
        _writeNext = Math.Min(_writeNext, index);
        if (!Mutants.StaleWriteCounts && !Mutants.AckByIndex)
        {
            foreach (var write in _writes) write.LastIndex = Math.Min(write.LastIndex, index - 1);
        }

        RollConfigurationBack(index);
    }

    private void SetTerm(ulong term, NodeId vote)
    {
        Invariant.Require(term > _term || (term == _term && (_vote.Value == 0 || _vote == vote)), "One vote per term.");
        if (term != _term || vote != _vote) _hardStateDirty = true;
        if (term != _term) _termSequence = CoveringSequence;
        _term = term;
        _vote = vote;
    }

    private void BecomeFollower(ulong term, NodeId? leader)
    {
        if (_role == RaftRole.Leader)
        {
            EndLeadership();
            ResetElectionDeadline();
        }

        if (term > _term) SetTerm(term, default);
        _role = RaftRole.Follower;
        _leader = leader;
        _ready.StateChanged = true;
    }

    /// <summary>Answers a sender whose term is old, so that it learns the new one (raft rule 5); stale replies need none.</summary>
    private void AnswerStale(in Message message)
    {
        if (message.Kind is MessageKind.Append or MessageKind.Heartbeat)
            Send(Reply(message, MessageKind.AppendReply) with { Reject = true, Log = message.Log }, _termSequence);
    }

    private Message Reply(in Message message, MessageKind kind) =>
        new() { Kind = kind, From = Self, To = message.From, Term = _term };

    private void Send(in Message message, ulong releaseAfter) =>
        _ready.Messages.Add(new OutboundMessage(message, releaseAfter));

    private sealed class InflightWrite
    {
        public required ulong Sequence { get; init; }

        public required ulong LastIndex { get; set; }

        public required long StartedMs { get; set; }
    }
}
