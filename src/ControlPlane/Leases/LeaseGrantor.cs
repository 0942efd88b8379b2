using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Leases;

/// <summary>The leader's side of the leases: who gets one, who is suspected, who is proven gone (design §6, §14.3). Pure: times are
/// inputs, ms of one clock that also advances in suspend. One thread owns it.
///
/// Why a fence is safe: a lease is granted only on a state that a quorum confirmed after the request arrived, and in which
/// the node is up. A fence is proposed only if nothing was granted for a whole horizon, neither by this leader (last grant) nor
/// by an earlier one (start of leadership: a quorum that elected this leader confirms no older one). Between the proposal and
/// its application nothing is granted, since the node is suspect in the state; the receipt names that suspicion by its index.</summary>
public sealed class LeaseGrantor
{
    private readonly LeaseOptions _options;
    private readonly string _self;
    private readonly SortedDictionary<(string Node, ulong Incarnation), Track> _tracks = new(OrdinalKeys.Instance);
    private readonly LinkJudge _links;
    private SortedDictionary<string, string> _apart = new(StringComparer.Ordinal);
    private ulong? _term;
    private long _leaderSinceMs;

    /// <summary>Not leading at first.</summary>
    /// <param name="options">Times; the same on all nodes.</param>
    /// <param name="self">This node's name, for receipts. Its own leases are granted like any other's.</param>
    public LeaseGrantor(LeaseOptions options, string self)
    {
        _options = options;
        _self = self;
        _links = new LinkJudge(options);
    }

    /// <summary>The times in use.</summary>
    public LeaseOptions Options => _options;

    /// <summary>This node leads from now on. Also to be called if the term changed while it led.</summary>
    public void LeadershipGained(long nowMs, ulong term)
    {
        if (_term == term) return;
        _tracks.Clear();
        _links.Forget();
        _term = term;
        _leaderSinceMs = nowMs;
    }

    /// <summary>This node leads no more.</summary>
    public void LeadershipLost()
    {
        _term = null;
        _tracks.Clear();
    }

    /// <summary>A node asks for a lease.</summary>
    /// <param name="node">Who.</param>
    /// <param name="incarnation">Its incarnation.</param>
    /// <param name="nowMs">Now: after the barrier.</param>
    /// <param name="state">A state at or after a quorum read barrier that began after the request arrived.</param>
    /// <param name="unheard">Nodes that it has heard and does not hear any more; null for none.</param>
    /// <param name="enacted">Index up to which it had applied the log when it asked; null if it does not say.</param>
    public LeaseAnswer Renew(
        string node, ulong incarnation, long nowMs, ClusterState state, IReadOnlyList<string>? unheard = null, ulong? enacted = null)
    {
        if (_term is null) return Refuse("this node does not lead");
        if (state.Node(node) is not { } known) return Refuse($"node '{node}' is not registered");
        if (known.Incarnation != incarnation) return Refuse($"incarnation {incarnation} is not the current {known.Incarnation}");
        var track = TrackOf(node, incarnation, nowMs);
        if (enacted is { } index && !Follows(track, index, nowMs, state, node)) return Refuse($"it has not followed the log for {nowMs - track.OwedSinceMs} ms");
        track.LastAskedMs = nowMs;
        _links.Reported(node, incarnation, nowMs, unheard ?? []);
        if (!known.IsLive) return Refuse($"the node is {known.Status}");
        if (IsDecided(track, known)) return Refuse("the node is being suspected");
        track.LastGrantMs = nowMs;
        return new LeaseAnswer(
            true, _options.LeaseMs, state.Index, state.MembershipEpoch, incarnation, _options.HorizonMsOf(state, node), null);
    }

    /// <summary>A node that asks and does not apply what the others commit (its log is full, its disk hangs) can use no lease, give no ownership up and
    /// confirm no barrier: it is as good as silent, and is suspected and fenced like one that is. One that serves nothing may take its time.</summary>
    private bool Follows(Track track, ulong enacted, long nowMs, ClusterState state, string node)
    {
        if (enacted >= track.OwedIndex || !Serves(state, node)) (track.OwedIndex, track.OwedSinceMs) = (state.Index, nowMs);
        return nowMs - track.OwedSinceMs < _options.FollowMs;
    }

    private static bool Serves(ClusterState state, string name) => state.Node(name) is { } node
        && state.Sets.Values.Any(set => set.Members.GetValueOrDefault(name) is { } member && member.JoinedIncarnation == node.Incarnation);

    /// <summary>Time has passed. Proposals repeat every renew interval until the state shows them applied.</summary>
    /// <param name="nowMs">Now.</param>
    /// <param name="state">The newest applied state.</param>
    public IReadOnlyList<LeaseProposal> Tick(long nowMs, ClusterState state)
    {
        if (_term is not { } term) return [];
        var proposals = new List<LeaseProposal>();
        _apart = _links.Judge(nowMs, state);
        foreach (var node in state.Nodes.Values)
        {
            var body = node.Status switch
            {
                NodeStatus.Up or NodeStatus.Draining or NodeStatus.Starting => Watch(node, nowMs, state.Index),
                NodeStatus.Suspect => ClearOrFence(state, node.Name, node.Incarnation, node.SinceIndex, nowMs, mayClear: true),
                _ => null,
            };
            if (body is not null) proposals.Add(new LeaseProposal(term, body));
            if (node.Predecessor is { Status: PredecessorStatus.Suspect } old
                && ClearOrFence(state, node.Name, old.Incarnation, old.SinceIndex, nowMs, mayClear: false) is { } fence)
            {
                proposals.Add(new LeaseProposal(term, fence));
            }
        }

        return proposals;
    }

    private static bool IsDecided(Track track, NodeState node)
    {
        // Only a status that was entered after the decision proves that the suspicion was applied and cleared.
        if (track.DecidedAtIndex is { } decided && node.SinceIndex > decided) track.DecidedAtIndex = null;
        return track.DecidedAtIndex is not null;
    }

    private SuspectNode? Watch(NodeState node, long nowMs, ulong index)
    {
        var track = TrackOf(node.Name, node.Incarnation, nowMs);
        track.SuspicionIndex = 0;
        if (!IsDecided(track, node))
        {
            var isSilent = nowMs - Math.Max(track.LastAskedMs, _leaderSinceMs) >= _options.SuspectAfterMs;
            if (!isSilent && !_apart.ContainsKey(node.Name)) return null;
            track.DecidedAtIndex = index;
            track.ProposedMs = null;
        }

        return MayPropose(track, nowMs)
            ? new SuspectNode(
                node.Name, node.Incarnation, _apart.GetValueOrDefault(node.Name) ?? WhySilent(track, nowMs))
            : null;
    }

    private string WhySilent(Track track, long nowMs) => track.OwedIndex > 0 && nowMs - track.OwedSinceMs >= _options.FollowMs
        ? $"it has not followed the log for {nowMs - track.OwedSinceMs} ms: see its log and data directory"
        : $"no lease request for {nowMs - track.LastAskedMs} ms";

    private CommandBody? ClearOrFence(ClusterState state, string node, ulong incarnation, ulong sinceIndex, long nowMs, bool mayClear)
    {
        var track = TrackOf(node, incarnation, nowMs);
        if (track.SuspicionIndex != sinceIndex)
        {
            track.SuspicionIndex = sinceIndex;
            track.SuspicionSeenMs = nowMs;
            track.IsFenceProposed = false;
            track.ProposedMs = null;
        }

        if (mayClear && !_apart.ContainsKey(node) && !track.IsFenceProposed && track.LastAskedMs >= track.SuspicionSeenMs
            && track.HasAsked && nowMs - track.LastAskedMs < _options.SuspectAfterMs)
        {
            return MayPropose(track, nowMs) ? new ClearSuspicion(node, incarnation) : null;
        }

        var waited = nowMs - Math.Max(track.LastGrantMs ?? long.MinValue, _leaderSinceMs);
        var suspected = nowMs - track.SuspicionSeenMs;
        var horizon = _options.HorizonMsOf(state, node);
        if (waited < horizon || suspected < _options.LeaseWithDriftMs) return null;
        if (!track.IsFenceProposed) track.ProposedMs = null;
        track.IsFenceProposed = true;
        return MayPropose(track, nowMs)
            ? new FenceNode(node, incarnation, new FenceReceipt(
                "lease", _self, _term!.Value, waited, horizon, suspected, sinceIndex))
            : null;
    }

    private bool MayPropose(Track track, long nowMs)
    {
        if (track.ProposedMs is { } last && nowMs - last < _options.RenewMs) return false;
        track.ProposedMs = nowMs;
        return true;
    }

    private Track TrackOf(string node, ulong incarnation, long nowMs)
    {
        if (_tracks.TryGetValue((node, incarnation), out var track)) return track;
        // Silence counts from the first sight of an incarnation.
        return _tracks[(node, incarnation)] = new Track(nowMs);
    }

    private LeaseAnswer Refuse(string reason) => new(false, 0, 0, 0, 0, _options.HorizonMs, reason);

    private sealed class Track(long firstSeenMs)
    {
        private long _lastAskedMs = firstSeenMs;

        public bool HasAsked { get; private set; }

        public long LastAskedMs
        {
            get => _lastAskedMs;
            set
            {
                _lastAskedMs = value;
                HasAsked = true;
            }
        }

        public long? LastGrantMs { get; set; }

        /// <summary>What the node was to have applied when it asked at <see cref="OwedSinceMs"/>; 0 before it asked.</summary>
        public ulong OwedIndex { get; set; }

        public long OwedSinceMs { get; set; }

        public ulong? DecidedAtIndex { get; set; }

        public long? ProposedMs { get; set; }

        public ulong SuspicionIndex { get; set; }

        public long SuspicionSeenMs { get; set; }

        public bool IsFenceProposed { get; set; }
    }

    private sealed class OrdinalKeys : IComparer<(string Node, ulong Incarnation)>
    {
        public static OrdinalKeys Instance { get; } = new();

        public int Compare((string Node, ulong Incarnation) x, (string Node, ulong Incarnation) y)
        {
            var order = string.CompareOrdinal(x.Node, y.Node);
            return order != 0 ? order : x.Incarnation.CompareTo(y.Incarnation);
        }
    }
}
