using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// Lives (design §14.24): a voter whose directory was put back to an older copy has forgotten votes and acknowledgements, and would break
/// what Raft rests on: that two majorities share somebody who remembers. So each start has a random identity, peers keep it durably
/// with how far the node bound itself, and a node that starts asks them before it votes or acknowledges. Whoever is found to have gone
/// back takes no part until its operator seeds it anew.
///
/// Without a <see cref="LifeStart"/> nothing of this happens: the explorer and scenarios of other engines have no lives.
/// </summary>
internal sealed partial class RaftCore
{
    private readonly LifeGuard? _lives;

    /// <summary>Why this node's directory is old; null if it is not known to be.</summary>
    public OldDirectory? Old => _lives?.Old;

    /// <summary>What contradicts this node's committed history; null if nothing does.</summary>
    public HistoryConflict? Conflict => _lives?.Conflict;

    /// <summary>Peers that were refused here because their directories are old, with what is known of them.</summary>
    public IReadOnlyDictionary<NodeId, KnownLife> RefusedPeers => _lives?.Refused ?? [];

    /// <summary>What is known of a peer.</summary>
    public KnownLife? KnownOf(NodeId peer) => _lives?.Witness.Of(peer);

    /// <summary>True once this node may vote and acknowledge.</summary>
    public bool IsAdmitted => _lives is null || (_lives.Admission.IsAdmitted && !_lives.IsOut);

    private long LivesDeadline => _lives is null ? long.MaxValue : _lives.IsOut ? _lives.ReviewDueMs : Math.Min(_lives.ReviewDueMs, _lives.AskDueMs);

    /// <summary>Somebody knows better who does not say so by a message: the replicated state, a disk, a peer that does not let this node in.</summary>
    /// <param name="known">What cannot be true if this directory is as new as it was.</param>
    /// <param name="by">The peer; 0 for none.</param>
    public void FoundOld(in KnownLife known, NodeId by = default)
    {
        if (_lives is not null) BecomeOld(by, known);
    }

    /// <summary>Voters that are connected, are late in answering this start, and for how many milliseconds they are waited for at most; none once this
    /// node may vote.</summary>
    public (IReadOnlyList<NodeId> Voters, long ForMs) Awaited => _lives is { IsOut: false, Admission: { IsLate: true } admission }
        ? (admission.AwaitedVoters, admission.AwaitedForMs)
        : ([], 0);

    /// <summary>The way to this peer is open, or is not any more. Any number of times.</summary>
    public void PeerConnected(NodeId peer, bool isConnected) => _lives?.Admission.Connected(peer, isConnected, _now);

    /// <summary>The disks were asked, which is what a start waits for besides its peers.</summary>
    public void DisksWereAsked()
    {
        if (_lives is null) return;
        _lives.Admission.HoldBack(false);
        ReviewAdmission();
    }

    /// <summary>How far this node is bound: all that it ever acknowledged in its term, and nothing that may be cut off while the term lasts.</summary>
    private Promised OwnPromise
    {
        get
        {
            if (_role == RaftRole.Leader) return new Promised(_term, _durableIndex);
            var matched = _lives!.MatchedTerm == _term ? _lives.Matched : 0;
            return new Promised(_term, Math.Min(_durableIndex, Math.Max(matched, _commit)));
        }
    }

    /// <summary>What a node that gives its own history up may build on (see docs/adr/0017): the caller waits until it is committed.</summary>
    /// <param name="mark">An entry of this leader that comes after all that the other node can have acknowledged.</param>
    /// <returns>False if this node does not lead.</returns>
    public bool AppendMark(out EntryId mark)
    {
        mark = default;
        if (_role != RaftRole.Leader || _transferTarget is not null || !HasCommittedOwnTerm) return false;
        mark = new EntryId(_term, _log.LastIndex + 1);
        AppendToLog(new LogEntry(mark, EntryType.Noop, default, default));
        return true;
    }

    private void TickLives()
    {
        if (_lives is null) return;
        if (_now >= _lives.AskDueMs && !_lives.IsOut) AskPeers();
        if (_now < _lives.ReviewDueMs) return;
        _lives.ReviewDueMs = _now + _options.LivesMs;
        if (_lives.Conflict is not null) TellConflict();
        if (_lives.Old is { } old) TellOld(old);
        RememberMatches();
        Announce();
        if (_lives.Witness.IsDirty) _lives.IsWriteWanted = true;

        // What is known to be committed is what another history is noticed by, also after a restart.
        if (_writtenHardState.Commit < Math.Min(_commit, _durableIndex) && !_lives.IsOut) _hardStateDirty = true;
    }

    /// <summary>Often until this node is admitted; then now and then, so that whoever comes late and knows better is heard.</summary>
    private void AskPeers()
    {
        ReviewAdmission();
        var everyMs = _lives!.Admission.IsAdmitted ? _options.LivesMs : _options.HeartbeatMs;
        _lives.AskDueMs = _now + everyMs;
        foreach (var member in _configuration.Members)
        {
            if (member != Self && _configuration.IsVoter(member) && _lives.Admission.IsDue(member, _now, everyMs)) SendClaim(member, asks: true);
        }
    }

    private void ReviewAdmission()
    {
        if (_lives!.IsOut || !_lives.Admission.Review(_configuration, Self, _now, _lives.Refused)) return;
        ResetElectionDeadline();
        _ready.StateChanged = true;
    }

    /// <summary>So that a node that is put back within its life is known to have had more, by more than the leader.</summary>
    private void Announce()
    {
        if (!IsAdmitted || OwnPromise.CompareTo(_lives!.Announced) <= 0) return;
        _lives.Announced = OwnPromise;
        foreach (var member in _configuration.Members)
        {
            if (member != Self && _configuration.IsVoter(member)) SendClaim(member, asks: false);
        }
    }

    private void SendClaim(NodeId to, bool asks)
    {
        var promise = OwnPromise;
        Send(
            new Message
            {
                Kind = MessageKind.Claim,
                From = Self,
                To = to,
                Term = promise.Term,
                Commit = promise.Index,
                IsTransfer = asks,
                Life = asks ? _lives!.Life : _lives!.Life with { Starts = [_lives.Life.Start] },
            },
            _termSequence);
    }

    /// <summary>So that others can tell the operator, whoever of them is asked.</summary>
    private void TellOld(OldDirectory old)
    {
        foreach (var member in _configuration.Members)
        {
            if (member != Self) TellOld(old, member);
        }
    }

    private void TellOld(OldDirectory old, NodeId to)
    {
        var message = new Message
        {
            Kind = MessageKind.Claim,
            From = Self,
            To = to,
            Term = _term,
            Reject = true,
            Life = _lives!.Life,
            Log = new EntryId(old.Known.Promised.Term, old.Known.Promised.Index),
            Hint = new EntryId(old.Known.Start, old.Known.Incarnation),
        };
        Send(message, releaseAfter: 0);
    }

    private void HandleClaim(in Message message)
    {
        if (_lives is null) return;
        if (_lives.Old is { } old)
        {
            if (message.IsTransfer) TellOld(old, message.From); // It has nothing else to say, and is not to be waited for.
            return;
        }

        // This node's log may lag: whom it does not know may vote by now.
        if (_configuration.SlotOf(message.From) < 0 && _lives.Witness.IsFull) return;
        if (_lives.Admission.IsHeldBack && !message.Reject) return; // What the disks know of it is heard first; it asks again.
        var life = message.Life!;
        if (message.Reject)
        {
            var promised = new Promised(message.Log.Term, message.Log.Index);
            RefuseClaim(message, new KnownLife(message.From, message.Hint.Index, message.Hint.Term, promised));
            return;
        }

        if ((_lives.Witness.Contradiction(message.From, life) ?? _lives.Disks.Contradiction(message.From, life)?.Known) is { } known)
        {
            RefuseClaim(message, known);
            return;
        }

        if (_lives.Refused.Remove(message.From)) _ready.LivesChanged = true;
        if (_lives.Witness.Admit(message.From, life, new Promised(message.Term, message.Commit)))
        {
            _lives.IsWriteWanted = true;
            ForgetMatch(message.From);
        }

        EndConflictWith(message.From, life);
        if (!_lives.IsOut && _lives.Admission.IsDue(message.From, _now, _options.HeartbeatMs)) SendClaim(message.From, asks: true);
        if (!message.IsTransfer) return;
        var release = Mutants.LifeNotDurable ? 0 : _lives.IsWriteWanted ? CoveringSequence : _lives.WriteSequence;
        var reply = Reply(message, MessageKind.ClaimReply) with { Round = life.Start };
        if (release > _doneSequence) Send(reply with { IsTransfer = true }, releaseAfter: 0); // Nothing better is known; the rest waits for the disk.
        Send(reply, release);
    }

    private void RefuseClaim(in Message message, in KnownLife known)
    {
        ForgetMatch(message.From);
        if (_lives!.Refused.TryAdd(message.From, known)) _ready.LivesChanged = true;
        if (!message.IsTransfer) return;
        var reply = Reply(message, MessageKind.ClaimReply) with
        {
            Reject = true,
            Round = message.Life!.Start,
            Log = new EntryId(known.Promised.Term, known.Promised.Index),
            Hint = new EntryId(known.Start, known.Incarnation),
        };
        Send(reply, releaseAfter: 0);
    }

    private void HandleClaimReply(in Message message)
    {
        if (_lives is null || message.Round != _lives.Life.Start) return; // Said to an earlier life.
        if (message.Reject)
        {
            var promised = new Promised(message.Log.Term, message.Log.Index);
            BecomeOld(message.From, new KnownLife(Self, message.Hint.Index, message.Hint.Term, promised));
            return;
        }

        if (message.IsTransfer) _lives.Admission.Hear(message.From);
        else _lives.Admission.Confirm(message.From);
        ReviewAdmission();
    }

    /// <summary>A new life starts with nothing known of its log: what the last one had may be gone with its directory.</summary>
    private void ForgetMatch(NodeId peer)
    {
        var slot = _configuration.SlotOf(peer);
        if (_role != RaftRole.Leader || slot < 0 || Mutants.MatchOutlivesLife) return;
        var heardMs = _progress[slot].LastHeardMs;
        _progress[slot] = new Progress(_log.LastIndex + 1, _options.MaxInflightMessages, _options.MaxInflightBytes, heardMs);
    }

    /// <summary>Takes along what this leadership learned of its followers' logs.</summary>
    private void RememberMatches()
    {
        if (_lives is null || _role != RaftRole.Leader) return;
        for (var slot = 0; slot < _progress.Length; slot++)
        {
            var match = _progress[slot].Match;
            if (slot != _selfSlot && match > 0) _lives.Witness.Heard(_configuration.Members[slot], new Promised(_term, match));
        }
    }

    /// <summary>Whether a message of Raft's is taken at all.</summary>
    private bool IsHeard(in Message message)
    {
        if (_lives is null) return true;
        if (_lives.IsOut)
        {
            NoteLeader(message);
            return false;
        }

        // Whoever speaks is there, and may know better.
        if (_lives.Admission.IsDue(message.From, _now, _options.HeartbeatMs)) SendClaim(message.From, asks: true);
        if (message.Kind is MessageKind.AppendReply or MessageKind.HeartbeatReply) return true; // Who leads was elected by those who confirmed it.
        return Mutants.VotesUnconfirmed || (_lives.Admission.IsAdmitted && _lives.Admission.IsConfirmedBy(message.From));
    }

    /// <summary>Who takes no part still tells its operator who leads.</summary>
    private void NoteLeader(in Message message)
    {
        if (message.Kind is not (MessageKind.Append or MessageKind.Heartbeat) || message.Term < _term || _leader == message.From) return;
        _leader = message.From;
        _ready.StateChanged = true;
    }

    private void BecomeOld(NodeId by, in KnownLife known, string? disk = null)
    {
        if (_lives!.Old is not null) return;
        _lives.Old = new OldDirectory(by, known, _lives.Life, disk);
        _ready.LivesChanged = true;
        if (!Mutants.OldNodeVotes) StepOut();
    }

    private void StepOut()
    {
        Bar();
        _ready.StateChanged = true;
        if (_role != RaftRole.Follower) BecomeFollower(_term, leader: null);
    }
}
