using RaftMirror.Consensus.Messages;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Elections (Raft paper 5.2, 5.4.1; pre-vote, thesis 9.6; stickiness and check-quorum, thesis 6.2 and 6.4.1).</summary>
internal sealed partial class RaftCore
{
    private readonly sbyte[] _votes;
    private long _electionDeadline;
    private long _leaderContact;
    private ulong _selfVoteSequence;

    /// <summary>A live leader is not deposed by a vote: it was heard within the shortest election timeout, or is this node, which steps
    /// down by itself when it loses touch with a majority.</summary>
    private bool HasFreshLeader =>
        _role == RaftRole.Leader || (_leader is not null && _now - _leaderContact < _options.ElectionTimeoutMinMs);

    private void ResetElectionDeadline() =>
        _electionDeadline = _now + _random.Next(_options.ElectionTimeoutMinMs, _options.ElectionTimeoutMaxMs);

    private void StartPreVote()
    {
        ResetElectionDeadline();
        if (!_configuration.IsVoter(Self)) return;
        _role = RaftRole.PreCandidate;
        _leader = null;
        _ready.StateChanged = true;
        Array.Clear(_votes);
        Broadcast(MessageKind.PreVote, _term + 1, isTransfer: false, releaseAfter: 0);
        CountVote(_selfSlot, granted: true);
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

        if (_role == RaftRole.PreCandidate) StartElection(isTransfer: false);
        else BecomeLeader();
    }

    /// <summary>Says whether a campaign could succeed; changes nothing. The local configuration is not consulted (rule 6).</summary>
    private void HandlePreVote(in Message message)
    {
        var grant = !HasFreshLeader && message.Term > _term && message.Log.CompareTo(_log.LastId) >= 0;
        var reply = Reply(message, MessageKind.PreVoteReply) with { Reject = !grant };

        // A grant echoes the term asked for; a refusal carries ours, which a candidate that is behind adopts (rule 5).
        Send(grant ? reply with { Term = message.Term } : reply, grant ? 0 : _termSequence);
    }

    private void HandlePreVoteReply(in Message message)
    {
        if (message.Reject && message.Term > _term)
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
        if (message.Term > _term)
        {
            // Ignored without even adopting the term: the candidate would depose a live leader (thesis 4.2.3).
            if (HasFreshLeader && !message.IsTransfer) return;
            BecomeFollower(message.Term, leader: null);
        }

        var grant = message.Term == _term
            && (_vote == message.From || (_vote.Value == 0 && _leader is null))
            && message.Log.CompareTo(_log.LastId) >= 0;
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

    private void HandleVoteReply(in Message message)
    {
        var slot = _configuration.SlotOf(message.From);
        if (_role == RaftRole.Candidate && slot >= 0) CountVote(slot, !message.Reject);
    }
}
