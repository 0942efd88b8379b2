using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Elections (Raft paper 5.2, 5.4.1; pre-vote, thesis 9.6; stickiness and check-quorum, thesis 6.2 and 6.4.1).</summary>
internal sealed partial class RaftCore
{
    /// <summary>So many election timeouts a voter of priority 0 waits for others to lead.</summary>
    private const int LeaderlessTimeouts = 4;

    private NodeId[] _avoided = [];
    private sbyte[] _votes = [];
    private long _electionDeadline;
    private long _leaderContact;
    private ulong _selfVoteSequence;

    /// <summary>With lease reads a node that has just started may have promised its predecessor's leader not to vote yet.</summary>
    private readonly long _stickyUntil;

    /// <summary>A live leader is not deposed by a vote: it was heard within the shortest election timeout, or is this node, which steps
    /// down by itself when it loses touch with a majority. What was echoed to a leader that may hold a lease on it binds this node also
    /// when it has learned of a later term meanwhile and follows nobody.</summary>
    private bool HasFreshLeader =>
        !Mutants.NoStickiness
        && (_role == RaftRole.Leader || _now < _stickyUntil
            || ((_leader is not null || _options.LeaseReads) && _now - _leaderContact < _options.ElectionTimeoutMinMs));

    /// <summary>The connection on which this peer spoke has ended: a process that dies says so at once. If it led, this node need
    /// not wait a whole timeout; nor does it have to refuse others. A leader that is alive after all is not deposed: most nodes still hear it.</summary>
    public void PeerLost(NodeId peer)
    {
        // Leases rest on the promise to wait.
        if (_role != RaftRole.Follower || _leader != peer || _options.LeaseReads) return;
        _leader = null;
        _ready.StateChanged = true;
        _electionDeadline = Math.Min(_electionDeadline, _now + _random.Next(0, _options.HeartbeatMs * 2) + PriorityDelayMs);
    }

    /// <summary>From now on these members count as having priority 0 here, whatever their configuration says: they lead only while nobody else
    /// can, and a leader among them hands over. Each node says so for itself; it decides who leads, never whether an election is safe.</summary>
    public void Avoid(IEnumerable<NodeId> members) => _avoided = [.. members];

    private byte PriorityAt(int slot) =>
        Array.IndexOf(_avoided, _configuration.Members[slot]) >= 0 ? (byte)0 : _configuration.Details[slot].Priority;

    /// <summary>Each voter of higher priority gets a head start (raft rule 12).</summary>
    private int PriorityDelayMs
    {
        get
        {
            if (_selfSlot < 0) return 0;
            var own = PriorityAt(_selfSlot);
            var ahead = 0;
            foreach (var voter in _configuration.Voters)
            {
                if (PriorityAt(_configuration.SlotOf(voter)) > own) ahead++;
            }

            return Math.Min(ahead, 3) * _options.HeartbeatMs * 2;
        }
    }

    /// <summary>Voters campaign, and so does whom only an uncommitted configuration takes the vote: it may be the one that has that entry,
    /// and then nobody else can be elected (thesis 4.2.2). It does not count itself.</summary>
    private bool MayCampaign =>
        _configuration.IsVoter(Self)
        || (ConfigurationIndex > _commit && _configurations.Count > 1 && _configurations[^2].Configuration.IsVoter(Self));

    private void ResetElectionDeadline() =>
        _electionDeadline = _now + _random.Next(_options.ElectionTimeoutMinMs, _options.ElectionTimeoutMaxMs) + PriorityDelayMs;

    private void StartPreVote()
    {
        ResetElectionDeadline();
        if (!MayCampaign || IsBarred || IsDiskStalled || !IsAdmitted || LacksWhatIsCommitted(_log.LastId)) return;

        // Priority 0 leads only if nobody else can: it may be alone, or alone have what is committed.
        var isLast = _selfSlot >= 0 && PriorityAt(_selfSlot) == 0;
        if (isLast && _now - _leaderContact <= LeaderlessTimeouts * _options.ElectionTimeoutMaxMs) return;
        if (Mutants.NoPreVote)
        {
            StartElection(isTransfer: false);
            return;
        }

        _role = RaftRole.PreCandidate;
        _leader = null;
        _ready.StateChanged = true;
        Array.Clear(_votes);
        Broadcast(MessageKind.PreVote, _term + 1, isTransfer: false, releaseAfter: 0);
        if (_selfSlot >= 0) CountVote(_selfSlot, granted: true);
    }

    private void StartElection(bool isTransfer)
    {
        _role = RaftRole.Candidate;
        _leader = null;
        _ready.StateChanged = true;
        SetTerm(_term + 1, Self);
        ResetElectionDeadline();
        Array.Clear(_votes);

        // Neither our own vote counts nor is another asked for before it is durable: after a crash we could vote twice.
        _selfVoteSequence = CoveringSequence;
        Broadcast(MessageKind.Vote, _term, isTransfer, Mutants.VoteNotDurable ? 0 : CoveringSequence);
    }

    private void Broadcast(MessageKind kind, ulong term, bool isTransfer, ulong releaseAfter)
    {
        foreach (var member in _configuration.Members)
        {
            if (member == Self || !_configuration.IsVoter(member)) continue;
            var message = new Message
            {
                Kind = kind,
                From = Self,
                To = member,
                Term = term,
                Log = _log.LastId,
                IsTransfer = isTransfer,
            };
            Send(message, releaseAfter);
        }
    }

    private void CountVote(int slot, bool granted)
    {
        if (_votes[slot] == 0) _votes[slot] = granted ? (sbyte)1 : (sbyte)-1;
        var result = Quorum.Vote(_configuration, _votes);
        if (result == VoteResult.Pending) return;
        if (result == VoteResult.Lost)
        {
            BecomeFollower(_term, leader: null);
            return;
        }

        if (_role == RaftRole.Candidate) BecomeLeader();
        else if (IsDiskStalled) BecomeFollower(_term, leader: null);
        else StartElection(isTransfer: false);
    }

    /// <summary>Says whether a campaign could succeed; changes nothing. The local configuration is not consulted (raft rule 6).</summary>
    private void HandlePreVote(in Message message)
    {
        var isKnown = !Mutants.VotesForMembersOnly || _configuration.IsVoter(message.From);
        var grant = !HasFreshLeader && message.Term > _term && IsUpToDate(message.Log) && isKnown;
        var reply = Reply(message, MessageKind.PreVoteReply) with { Reject = !grant };

        // A grant echoes the term asked for; a refusal carries ours, which a candidate that is behind adopts (raft rule 5).
        Send(grant ? reply with { Term = message.Term } : reply, grant ? 0 : _termSequence);
    }

    private void HandlePreVoteReply(in Message message)
    {
        if (message.Reject && message.Term > _term && !Mutants.PreVoteIgnoresTerms)
        {
            BecomeFollower(message.Term, leader: null);
            return;
        }

        var slot = _configuration.SlotOf(message.From);
        if (_role != RaftRole.PreCandidate || slot < 0) return;
        if (!message.Reject && message.Term != _term + 1) return; // Granted to an earlier campaign.
        CountVote(slot, !message.Reject);
    }

    private void HandleVote(in Message message)
    {
        // Ignored without even adopting the term: the candidate would depose a live leader (thesis 4.2.3).
        var isNew = message.Term > _term || (_options.LeaseReads && message.Term == _term && _vote.Value == 0);
        if (isNew && HasFreshLeader && !message.IsTransfer) return;
        if (message.Term > _term) BecomeFollower(message.Term, leader: null);

        var grant = message.Term == _term
            && (_vote == message.From || (_vote.Value == 0 && _leader is null))
            && IsUpToDate(message.Log)
            && (!Mutants.VotesForMembersOnly || _configuration.IsVoter(message.From));
        if (grant)
        {
            Invariant.Require(
                _role is RaftRole.Follower or RaftRole.PreCandidate, "Candidates and leaders voted for themselves in this term.");
            BecomeFollower(_term, leader: null); // A pre-candidate that votes has found somebody better.
            SetTerm(_term, message.From);
            ResetElectionDeadline();
        }

        var release = Mutants.VoteNotDurable ? 0 : grant ? CoveringSequence : _termSequence;
        Send(Reply(message, MessageKind.VoteReply) with { Reject = !grant }, release);
    }

    /// <summary>The election restriction (Raft paper 5.4.1). A node that was seeded anew restricts as if it had all that it is about to get.</summary>
    private bool IsUpToDate(EntryId last) => last.CompareTo(_log.LastId) >= 0 && !LacksWhatIsCommitted(last);

    private EntryId VoteFloor => _lives is null || Mutants.SeededVotesAtOnce ? default : _lives.Life.Floor;

    private void HandleVoteReply(in Message message)
    {
        var slot = _configuration.SlotOf(message.From);
        if (_role == RaftRole.Candidate && slot >= 0) CountVote(slot, !message.Reject);
    }
}
