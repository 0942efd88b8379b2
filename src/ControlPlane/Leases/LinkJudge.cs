using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Leases;

/// <summary>Of two live nodes that do not hear each other, who gets no more leases: each would wait for the other for ever (ADR 0019). Pure:
/// times are inputs. Owned by <see cref="LeaseGrantor"/>.</summary>
/// <remarks>Only nodes that both renew count: one that stands still is silent to the leader as well, and its silence is judged by that.</remarks>
internal sealed class LinkJudge(LeaseOptions options)
{
    private readonly Dictionary<string, Report> _reports = new(StringComparer.Ordinal);
    private readonly Dictionary<(string, string), long> _apartSince = [];

    public void Forget()
    {
        _reports.Clear();
        _apartSince.Clear();
    }

    /// <summary>A node renews and names the nodes that it does not hear any more.</summary>
    public void Reported(string node, ulong incarnation, long nowMs, IReadOnlyList<string> unheard) =>
        _reports[node] = new Report(incarnation, nowMs, unheard);

    /// <summary>Looks at all pairs.</summary>
    /// <returns>Whose lease is to end, and why.</returns>
    public SortedDictionary<string, string> Judge(long nowMs, ClusterState state)
    {
        var live = new List<NodeState>();
        foreach (var node in state.Nodes.Values)
        {
            if (IsHeard(node, nowMs)) live.Add(node);
        }

        var victims = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < live.Count; i++)
        {
            for (var j = i + 1; j < live.Count; j++)
            {
                if (IsLongApart(live[i].Name, live[j].Name, nowMs)) Sentence(live, live[i].Name, live[j].Name, victims);
            }
        }

        ForgetOthers(live);
        return victims;
    }

    private bool IsHeard(NodeState node, long nowMs) =>
        (node.IsLive || node.Status == NodeStatus.Suspect) && _reports.TryGetValue(node.Name, out var report)
        && report.Incarnation == node.Incarnation && nowMs - report.AtMs < 2 * options.RenewMs;

    private bool AreApart(string a, string b) => _reports[a].Unheard.Contains(b) || _reports[b].Unheard.Contains(a);

    private bool IsLongApart(string a, string b, long nowMs)
    {
        if (!AreApart(a, b))
        {
            _apartSince.Remove((a, b));
            return false;
        }

        if (!_apartSince.TryGetValue((a, b), out var since)) _apartSince[(a, b)] = since = nowMs;
        return nowMs - since >= options.RenewMs; // Both have renewed again and said the same.
    }

    private void Sentence(List<NodeState> live, string a, string b, SortedDictionary<string, string> victims)
    {
        var (linksOfA, linksOfB) = (Links(live, a), Links(live, b));
        var victim = linksOfA != linksOfB ? (linksOfA < linksOfB ? a : b) : string.CompareOrdinal(a, b) > 0 ? a : b;
        victims.TryAdd(victim, $"nodes '{a}' and '{b}' do not hear each other, and '{victim}' has "
            + (linksOfA == linksOfB ? "the higher name" : "fewer links"));
    }

    private int Links(List<NodeState> live, string node)
    {
        var count = 0;
        foreach (var other in live)
        {
            if (other.Name != node && !AreApart(node, other.Name)) count++;
        }

        return count;
    }

    private void ForgetOthers(List<NodeState> live)
    {
        var gone = new List<(string, string)>();
        foreach (var (a, b) in _apartSince.Keys)
        {
            if (!live.Exists(node => node.Name == a) || !live.Exists(node => node.Name == b)) gone.Add((a, b));
        }

        foreach (var pair in gone) _apartSince.Remove(pair);
    }

    private sealed record Report(ulong Incarnation, long AtMs, IReadOnlyList<string> Unheard);
}
