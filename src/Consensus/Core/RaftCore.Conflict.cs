using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// Two histories (design §14.24): where directories were put back and nobody who knew was there, a majority may have gone another way. When somebody
/// comes back who has another entry for committed, no rule can say who is right: both were acknowledged to clients. All who are
/// involved stop, and tell the others at which entry the histories part, until the operator has chosen whose history is given up.
/// </summary>
internal sealed partial class RaftCore
{
    /// <summary>Looks whether a leader's message contradicts what was committed here.</summary>
    private bool IsInConflict(in Message message)
    {
        if (_lives is null || Mutants.ConflictCut) return false;
        var leader = message.Kind == MessageKind.Append ? message.Round : 0;
        if (Contradicts(message.Log, leader) || (_log.Contains(message.Log) && _lives.Lineage.Differs(message.Log.Term, leader)))
        {
            BecomeConflicting(message.From, message.Log.Index);
            return true;
        }

        foreach (ref readonly var entry in message.Entries.Span)
        {
            if (entry.Index > _log.LastIndex) return false;
            if (!Contradicts(entry.Id, 0) && !(_log.Contains(entry.Id) && _lives.Lineage.Differs(entry))) continue;
            BecomeConflicting(message.From, entry.Index);
            return true;
        }

        return false;
    }

    /// <summary>Another entry is committed here; or one of the same term and index, which another process made that led in the same term.</summary>
    private bool Contradicts(EntryId id, ulong leader) =>
        id.Index > 0 && id.Index <= _commit && id.Index >= _log.Base.Index
        && (_log.TermAt(id.Index) != id.Term || _lives!.Lineage.Differs(id.Term, leader));

    private void HandleCommitted(in Message message)
    {
        if (_lives is null || _lives.Old is not null) return;
        if (!_lives.IsOut && _lives.Admission.IsDue(message.From, _now, _options.HeartbeatMs)) SendClaim(message.From, asks: true);
        if (!Contradicts(message.Log, message.Round)) return;
        BecomeConflicting(message.From, message.Log.Index);
    }

    private void BecomeConflicting(NodeId peer, ulong index)
    {
        var known = _lives!.Conflict;
        if (known is not null && Array.IndexOf(known.Peers, peer) >= 0) return;
        _lives.Conflict = known is null
            ? new HistoryConflict(new EntryId(_log.TermAt(index), index), [peer])
            : known with { Peers = [.. known.Peers.Append(peer).Order()] };
        _ready.LivesChanged = true;
        StepOut();
        TellConflict();
    }

    /// <summary>Everybody is told, again and again: those who come later are involved too, if they have the other entry.</summary>
    private void TellConflict()
    {
        foreach (var member in _configuration.Members)
        {
            if (member == Self) continue;
            var own = _lives!.Conflict!.Own;
            var leader = _lives.Lineage.LeaderOf(own.Term);
            Send(new Message { Kind = MessageKind.Committed, From = Self, To = member, Term = _term, Log = own, Round = leader }, releaseAfter: 0);
        }
    }

    /// <summary>A peer has given its history up: it was seeded anew, from this one or another.</summary>
    private void EndConflictWith(NodeId peer, NodeLife life)
    {
        if (_lives!.Conflict is not { } conflict || Array.IndexOf(conflict.Peers, peer) < 0 || life.Forgiven.Index < conflict.Own.Index) return;
        NodeId[] left = [.. conflict.Peers.Where(other => other != peer)];
        _lives.Conflict = left.Length == 0 ? null : conflict with { Peers = left };
        _ready.LivesChanged = true;
    }
}
