using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// This node's own side of design §14.24: after a start it neither votes nor acknowledges before its peers have confirmed that its
/// directory is as new as it ever was. Voters that do not answer are waited for a while, since they may be the ones who know better, and no longer: a
/// cluster starts cold without those who are dead for good. Whoever took this node's connection is not dead, but slow, and is waited for
/// much longer, until it has said at least that it knows nothing better. As many as make a majority must have confirmed; where that cannot be, since this
/// node's log lists voters of long ago, one after a longer while. Besides, it deals with nobody who has not confirmed it
/// (<see cref="IsConfirmedBy"/>).
/// </summary>
/// <param name="startedMs">When this life began.</param>
/// <param name="graceMs">How long voters that do not answer are waited for.</param>
/// <param name="longestStepMs">At most so much of the time between two looks counts as waiting: a node that was paused has not waited, since
/// what the others said meanwhile is still in its queues.</param>
internal sealed class StartAdmission(long startedMs, int graceMs, int longestStepMs)
{
    /// <summary>So many times the while for silent voters, a majority of them is waited for.</summary>
    private const int MajorityGraces = 4;

    /// <summary>So many times that while, a voter is waited for that is connected and does not answer.</summary>
    private const int ConnectedGraces = 10;

    private readonly HashSet<NodeId> _confirmedBy = []; // Looked into for each message; never walked.
    private readonly HashSet<NodeId> _heard = []; // As the one above.
    private readonly SortedDictionary<NodeId, long> _askedMs = [];

    /// <summary>Until when each peer counts as connected.</summary>
    private readonly SortedDictionary<NodeId, long> _connectedUntilMs = [];

    private long _waitedMs;
    private long _lookedMs = startedMs;

    /// <summary>True once this node may vote and acknowledge; stays so.</summary>
    public bool IsAdmitted { get; private set; }

    /// <summary>Something besides the peers is to be asked first: the disks. Until then nobody else is confirmed either.</summary>
    public bool IsHeldBack { get; private set; }

    /// <summary>Voters that are connected, and whose answer is waited for at this moment; empty once this node is admitted.</summary>
    public IReadOnlyList<NodeId> AwaitedVoters { get; private set; } = [];

    /// <summary>For how long <see cref="AwaitedVoters"/> are waited for at most, in milliseconds of this node's running time.</summary>
    public long AwaitedForMs => Math.Max(0, (ConnectedGraces * (long)graceMs) - _waitedMs);

    /// <summary>Longer than for voters that are silent.</summary>
    public bool IsLate => _waitedMs >= graceMs;

    /// <summary>This peer's memory does not contradict this node's directory. Only then anything is taken from it: what it sent before may
    /// speak of a log that this node had in an earlier life.</summary>
    public bool IsConfirmedBy(NodeId peer) => _confirmedBy.Contains(peer);

    public void Confirm(NodeId peer) => _confirmedBy.Add(peer);

    /// <summary>This peer knows nothing better, and has not made this life durable yet: it confirms nothing, but need not be waited for longer than
    /// the dead. A disk that hangs there must not keep this node from taking part.</summary>
    public void Hear(NodeId peer) => _heard.Add(peer);

    /// <summary>See <see cref="IsHeldBack"/>.</summary>
    public void HoldBack(bool isHeldBack) => IsHeldBack = isHeldBack;

    /// <summary>The way to this peer is open, so its process lives; or it is not any more, and may be again in a moment.</summary>
    public void Connected(NodeId peer, bool isConnected, long nowMs)
    {
        if (isConnected) _connectedUntilMs[peer] = long.MaxValue;
        else if (_connectedUntilMs.ContainsKey(peer)) _connectedUntilMs[peer] = nowMs + graceMs;
    }

    /// <summary>Looks whether the conditions are met by now. Whoever was refused here is known to be old: it confirms nobody, and is not waited for.</summary>
    /// <returns>True if they are for the first time.</returns>
    public bool Review(Configuration configuration, NodeId self, long nowMs, SortedDictionary<NodeId, KnownLife> refused)
    {
        if (IsAdmitted) return false;
        _waitedMs += Math.Clamp(nowMs - _lookedMs, 0, Mutants.PauseCountsAsWaiting ? long.MaxValue : longestStepMs);
        _lookedMs = nowMs;
        AwaitedVoters = Awaited(configuration, self, nowMs, refused);
        if (IsHeldBack) return false;
        IsAdmitted = IsMet(configuration, self) || Mutants.VotesUnconfirmed;
        if (IsAdmitted) AwaitedVoters = [];
        return IsAdmitted;
    }

    /// <summary>True if the peer is to be asked now, which is then taken for done.</summary>
    public bool IsDue(NodeId peer, long nowMs, int everyMs)
    {
        if (IsConfirmedBy(peer) || (_askedMs.TryGetValue(peer, out var asked) && nowMs - asked < everyMs)) return false;
        _askedMs[peer] = nowMs;
        return true;
    }

    private NodeId[] Awaited(Configuration configuration, NodeId self, long nowMs, SortedDictionary<NodeId, KnownLife> refused)
    {
        if (AwaitedForMs == 0 || Mutants.ConnectedNotAwaited) return [];
        return [.. configuration.Voters.Union(configuration.OutgoingVoters).Where(IsAnswerDue)];

        bool IsAnswerDue(NodeId voter) =>
            voter != self && _connectedUntilMs.TryGetValue(voter, out var until) && nowMs < until
            && !_confirmedBy.Contains(voter) && !_heard.Contains(voter) && !refused.ContainsKey(voter);
    }

    private bool IsMet(Configuration configuration, NodeId self)
    {
        if (HasAll(configuration.Voters, self) && HasAll(configuration.OutgoingVoters, self)) return true;
        if (AwaitedVoters.Count > 0) return false;
        return (IsLate && HasMajority(configuration.Voters) && HasMajority(configuration.OutgoingVoters))
            || (_waitedMs >= MajorityGraces * graceMs && _confirmedBy.Count > 0);
    }

    /// <summary>With this node itself; whoever has confirmed it counts: who votes by now the log may not say yet.</summary>
    private bool HasMajority(NodeId[] voters) => voters.Length == 0 || 1 + _confirmedBy.Count > voters.Length / 2;

    private bool HasAll(NodeId[] voters, NodeId self)
    {
        foreach (var voter in voters)
        {
            if (voter != self && !_confirmedBy.Contains(voter)) return false;
        }

        return true;
    }
}
