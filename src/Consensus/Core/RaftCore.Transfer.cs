using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>Leadership transfer (thesis 3.10, raft rule 10): no new proposals, wait until the target has everything on stable
/// storage, TimeoutNow, and go on as before if it does not lead within one election timeout.</summary>
internal sealed partial class RaftCore
{
    private NodeId? _transferTarget;
    private long _transferDeadline = long.MaxValue;
    private bool _timeoutNowSent;

    /// <summary>Who is being handed leadership, if a transfer is under way.</summary>
    public NodeId? TransferTarget => _transferTarget;

    /// <summary>Starts handing leadership over.</summary>
    /// <param name="target">A voter; null for the one that is most caught up.</param>
    /// <returns>Null if started (or already done), else why not.</returns>
    public string? TransferLeadership(NodeId? target)
    {
        if (_role != RaftRole.Leader) return "this node does not lead";
        if (_transferTarget is { } other && other != target) return $"a transfer to node {other} is under way";
        target ??= BestFollower();
        if (target is null) return "there is no other voter";
        if (target == Self) return null;
        if (!_configuration.IsVoter(target.Value)) return $"node {target} is no voter";
        if (_transferTarget is not null) return null;
        _transferTarget = target;
        _transferDeadline = _now + _options.ElectionTimeoutMaxMs;
        ContinueTransfer(target.Value);
        return null;
    }

    private NodeId? BestFollower()
    {
        NodeId? best = null;
        ulong bestMatch = 0;
        foreach (var member in _configuration.Voters)
        {
            if (member == Self || PriorityAt(_configuration.SlotOf(member)) == 0) continue;
            var progress = _progress[_configuration.SlotOf(member)];
            if (_now - progress.LastHeardMs > _options.ElectionTimeoutMinMs || (best is not null && progress.Match <= bestMatch)) continue;
            best = member;
            bestMatch = progress.Match;
        }

        return best;
    }

    private void ContinueTransfer(NodeId member)
    {
        // Match is what the target has flushed, so it can win with what it has (§7 bug 35).
        var slot = _configuration.SlotOf(member);
        if (slot < 0 || _transferTarget != member) return;
        if (_progress[slot].Match < _log.LastIndex && !Mutants.TransferBeforeFlush) return;
        SendTimeoutNow(member);
    }

    /// <summary>Whoever gets this may win at once, whenever that is: no lease is held any more in this term, even if the transfer is given up
    /// because the message is late.</summary>
    private void SendTimeoutNow(NodeId target)
    {
        _timeoutNowSent = true;
        if (!Mutants.ReadDuringTransfer) _leaseUntil = 0;
        Send(new Message { Kind = MessageKind.TimeoutNow, From = Self, To = target, Term = _term }, releaseAfter: 0);
    }

    private void TickTransfer()
    {
        if (_transferTarget is not { } target) return;
        if (_now < _transferDeadline)
        {
            if (_now >= _heartbeatDue) ContinueTransfer(target); // The first may be lost.
            return;
        }

        _transferDeadline = long.MaxValue;
        if (!Mutants.TransferNeverEnds) _transferTarget = null;
    }

    private void HandleTimeoutNow(in Message message)
    {
        if (_role != RaftRole.Follower || _leader != message.From || !_configuration.IsVoter(Self) || IsBarred || IsDiskStalled) return;
        StartElection(isTransfer: true);
    }
}
