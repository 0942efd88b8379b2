namespace RaftMirror.Consensus.Core;

/// <summary>
/// This node's own side of design §14.24: after a start it neither votes nor acknowledges before its peers have confirmed that its
/// directory is as new as it ever was. Voters that do not answer are waited for a while, since they may be the ones who know better, and no longer: a
/// cluster starts cold without those who are dead for good. Whoever took this node's connection is not dead, but slow, and is waited for
/// much longer. As many as make a majority must have confirmed; where that cannot be, since this node's log lists voters of long ago, one after
/// a longer while. Besides, it deals with nobody who has not confirmed it (<see cref="IsConfirmedBy"/>).
/// </summary>
/// <param name="startedMs">When this life began.</param>
/// <param name="graceMs">How long voters that do not answer are waited for.</param>
internal sealed class Admission(long startedMs, int graceMs)
{
    /// <summary>So many times the while for silent voters, a majority of them is waited for.</summary>
    private const int MajorityGraces = 4;

    /// <summary>So many times that while, a voter is waited for that is connected and does not answer.</summary>
    private const int ConnectedGraces = 10;

    private readonly HashSet<NodeId> _confirmedBy = []; // Looked into for each message; never walked.
    private readonly SortedDictionary<NodeId, long> _askedMs = [];
    private readonly HashSet<NodeId> _connected = []; // Looked into for each voter; never walked.

    /// <summary>True once this node may vote and acknowledge; stays so.</summary>
    public bool IsAdmitted { get; private set; }

    /// <summary>This peer's memory does not contradict this node's directory. Only then anything is taken from it: what it sent before may
    /// speak of a log that this node had in an earlier life.</summary>
    public bool IsConfirmedBy(NodeId peer) => _confirmedBy.Contains(peer);

    public void Confirm(NodeId peer) => _confirmedBy.Add(peer);

    /// <summary>The way to this peer is open, so its process lives; or it is not any more.</summary>
    public void Connected(NodeId peer, bool isConnected)
    {
        if (isConnected) _connected.Add(peer);
        else _connected.Remove(peer);
    }

    /// <summary>Something besides the peers is to be asked first: the disks. Until then nobody else is confirmed either.</summary>
    public bool IsHeldBack { get; private set; }

    /// <summary>See <see cref="IsHeldBack"/>.</summary>
    public void HoldBack(bool isHeldBack) => IsHeldBack = isHeldBack;

    /// <summary>Looks whether the conditions are met by now. Whoever was refused here is known to be old: it confirms nobody, and is not waited for.</summary>
    /// <returns>True if they are for the first time.</returns>
    public bool Review(Configuration configuration, NodeId self, long nowMs, SortedDictionary<NodeId, KnownLife> refused)
    {
        if (IsAdmitted || IsHeldBack) return false;
        IsAdmitted = IsMet(configuration, self, nowMs - startedMs, refused) || Mutants.VotesUnconfirmed;
        return IsAdmitted;
    }

    /// <summary>True if the peer is to be asked now, which is then taken for done.</summary>
    public bool IsDue(NodeId peer, long nowMs, int everyMs)
    {
        if (IsConfirmedBy(peer) || (_askedMs.TryGetValue(peer, out var asked) && nowMs - asked < everyMs)) return false;
        _askedMs[peer] = nowMs;
        return true;
    }

    private bool IsMet(Configuration configuration, NodeId self, long waitedMs, SortedDictionary<NodeId, KnownLife> refused)
    {
        if (HasAll(configuration.Voters, self) && HasAll(configuration.OutgoingVoters, self)) return true;
        var awaitsConnected = waitedMs < ConnectedGraces * graceMs && !Mutants.ConnectedNotAwaited;
        if (awaitsConnected && (IsAnswerDue(configuration.Voters) || IsAnswerDue(configuration.OutgoingVoters))) return false;
        return (waitedMs >= graceMs && HasMajority(configuration.Voters) && HasMajority(configuration.OutgoingVoters))
            || (waitedMs >= MajorityGraces * graceMs && _confirmedBy.Count > 0);

        bool IsAnswerDue(NodeId[] voters) =>
            Array.Exists(voters, voter => _connected.Contains(voter) && !_confirmedBy.Contains(voter) && !refused.ContainsKey(voter));
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
