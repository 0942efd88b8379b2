using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Following: appends, truncation, commit (Raft paper 5.3, 5.4).</summary>
internal sealed partial class RaftCore
{
    private void HearLeader(in Message message)
    {
        Invariant.Require(_role != RaftRole.Leader, "Election safety: one leader per term (Raft paper 5.2).");
        Invariant.Require(_leader is null || _leader == message.From || message.Term < _term, "Election safety: one leader per term.");
        if (_role != RaftRole.Follower || _leader != message.From) BecomeFollower(_term, message.From);
        _leaderContact = _now;
        ResetElectionDeadline();
    }

    private void HandleAppend(in Message message)
    {
        HearLeader(message);
        if (IsInConflict(message)) return;
        var reply = Reply(message, MessageKind.AppendReply);
        if (message.Log.Index < _commit)
        {
            // Old or repeated: everything up to our commit index is equal by leader completeness (Raft paper 5.4.3).
            Acknowledge(reply, _commit);
            return;
        }

        if (!_log.Contains(message.Log))
        {
            var hint = _log.LastIndexWithTermAtMost(message.Log.Index, message.Log.Term);
            Send(
                reply with { Reject = true, Log = message.Log, Hint = new EntryId(_log.TermAt(hint), hint) },
                _termSequence);
            return;
        }

        AppendEntries(message.Entries.Span);

        // What this message proved to be equal; our log may go on with entries of a dead leader (raft rule 3).
        var match = message.Log.Index + (ulong)message.Entries.Length;
        AdvanceFollowerCommit(Mutants.CommitBeyondMatch ? Math.Min(message.Commit, _log.LastIndex) : Math.Min(message.Commit, match));
        Acknowledge(reply, match);
    }

    private void AppendEntries(ReadOnlySpan<LogEntry> entries)
    {
        if (Mutants.TruncateWithoutConflict && entries.Length > 0 && entries[0].Index > _commit && entries[0].Index <= _log.LastIndex)
            TruncateLogFrom(entries[0].Index);
        foreach (ref readonly var entry in entries)
        {
            Invariant.Require(entry.Term <= _term, "A leader has no entries of later terms than its own.");
            if (entry.Index <= _log.LastIndex)
            {
                // Present already: a shorter or repeated append never truncates, only a conflict does (raft rule 4).
                if (_log.TermAt(entry.Index) == entry.Term) continue;
                TruncateLogFrom(entry.Index);
            }

            AppendToLog(entry);
        }
    }

    /// <summary>An acknowledgement says "durable here", so it waits for the write that covers everything so far (raft rule 1).</summary>
    private void Acknowledge(in Message reply, ulong match)
    {
        _lives?.Match(_term, match);
        Send(reply with { Log = new EntryId(0, match) }, Mutants.AckBeforeFlush ? 0 : Mutants.AckByIndex ? AnyWriteOf(match) : CoveringSequence);
    }

    /// <summary>The bug of etcd's asynchronous storage: a write is known by its last index alone.</summary>
    private ulong AnyWriteOf(ulong index)
    {
        foreach (var write in _writes)
        {
            if (write.LastIndex >= index) return write.Sequence;
        }

        return CoveringSequence;
    }

    private void AdvanceFollowerCommit(ulong commit)
    {
        if (commit > _commit) _commit = commit;
    }

    private void HandleHeartbeat(in Message message)
    {
        HearLeader(message);

        // The leader sends no more than what we acknowledged to it as durable: in this life, or, if it has not heard of that yet, in an earlier one.
        var proven = _lives is null || Mutants.CommitBeyondMatch ? _log.LastIndex : _lives.MatchedTerm == _term ? _lives.Matched : 0;
        Invariant.Require(
            Mutants.CommitBeyondMatch || _lives is not null || message.Commit <= _log.LastIndex, "Entries that this node acknowledged are missing from its log.");
        AdvanceFollowerCommit(Math.Min(message.Commit, proven));
        if (message.Round == NoRound) return;
        var reply = Reply(message, MessageKind.HeartbeatReply) with { Round = message.Round };
        if (DigestAt(message.Hint.Index) is { } digest) reply = reply with { Hint = new EntryId(digest, message.Hint.Index) };
        Send(reply, _termSequence);
    }
}
