using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Node.State;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Sets;

/// <summary>The exports of this node: what the replicated state configures, and what of it the data planes serve at this moment
/// (design §14.26). Any thread.</summary>
/// <param name="self">This node.</param>
/// <param name="feed">The replicated state.</param>
/// <param name="served">What the data plane of a set says of an export; null if the set has none here.</param>
/// <param name="barred">Why the node serves nothing at all; null if it may.</param>
/// <param name="readBarrier">A linearizable read barrier.</param>
internal sealed class NodeExports(
    NodeIdentity self,
    StateFeed feed,
    Func<string, string, ExportLookup?> served,
    Func<ServiceBar.Bar?> barred,
    Func<CancellationToken, ValueTask<LogPosition>> readBarrier) : IExportCatalog
{
    private static readonly TimeSpan BarrierRetry = TimeSpan.FromMilliseconds(100);

    private readonly ChangeSignal _served = new();

    /// <inheritdoc/>
    public Task Changed => Task.WhenAny(feed.Changed, _served.Next);

    /// <summary>A data plane began or ceased to serve something.</summary>
    public void ServiceChanged() => _served.Raise();

    /// <inheritdoc/>
    public ExportList List() => barred() is { } bar
        ? new ExportList(null, $"this node is {bar.Word}", IsFinal: true)
        : ConfiguredExports.List(feed.Current, self);

    /// <inheritdoc/>
    public ExportLookup Look(string name)
    {
        if (barred() is { } bar) return new ExportLookup(ExportStanding.NeverServed, $"this node is {bar.Word}");
        var configured = ConfiguredExports.Look(feed.Current, self, name, out var set);
        if (configured.Standing != ExportStanding.NotServed || served(set, name) is not { } look) return configured;
        // What the state says of this node's part goes before what its data plane misses because of that.
        return look.Standing == ExportStanding.Served || configured.Reason.Length == 0 ? look : look with { Reason = configured.Reason };
    }

    /// <inheritdoc/>
    public async Task CatchUpAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await readBarrier(cancellationToken);
                return;
            }
            catch (NoLeaderException)
            {
                // Nothing announces that a majority answers again, so it is asked again.
                await Task.Delay(BarrierRetry, cancellationToken);
            }
        }
    }
}

/// <summary>What the replicated state alone says of a node's exports. Pure.</summary>
internal static class ConfiguredExports
{
    private static readonly ExportLookup NotConfigured = new(ExportStanding.None);

    /// <summary>All volumes of the sets that this node takes part in; not known before it has seen its own registration, which is as new as
    /// its start.</summary>
    public static ExportList List(ClusterState state, NodeIdentity self)
    {
        if (!IsKnown(state, self)) return new ExportList(null, JustStarted);
        var names = new List<ExportListing>();
        foreach (var set in state.Sets.Values)
        {
            if (!set.Members.TryGetValue(self.Name, out var member) || member.HasLeft) continue;
            foreach (var volume in set.Volumes.Keys) names.Add(new ExportListing($"{set.Name}/{volume}", $"mirror {set.Name}/{volume}"));
        }

        names.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
        return new ExportList(names);
    }

    /// <summary>What is known of a name; whether it is served is the data plane's to say.</summary>
    public static ExportLookup Look(ClusterState state, NodeIdentity self, string name, out string setName)
    {
        setName = "";
        if (!IsKnown(state, self)) return new ExportLookup(ExportStanding.Undecided, JustStarted);
        if (name.Split('/') is not [var setPart, var volume] || state.Set(setPart) is not { } set || !set.Volumes.ContainsKey(volume)) return NotConfigured;
        setName = setPart;
        if (!set.Members.TryGetValue(self.Name, out var member))
            return Never($"nodes {string.Join(", ", set.Members.Keys)} serve disk set '{set.Name}', and this node is not one of them");
        return member.HasLeft
            ? Never($"this node has left disk set '{set.Name}'")
            : new ExportLookup(ExportStanding.NotServed, WhyNot(state.Node(self.Name)!, self, member));
    }

    private const string JustStarted = "this node has just started and does not know its configuration yet";

    private static bool IsKnown(ClusterState state, NodeIdentity self) =>
        state.Node(self.Name) is { } node && node.Incarnation >= self.Incarnation;

    private static ExportLookup Never(string reason) => new(ExportStanding.NeverServed, reason);

    /// <summary>Empty if nothing in the state keeps the node from serving.</summary>
    private static string WhyNot(NodeState node, NodeIdentity self, MemberState member) => node switch
    {
        { Predecessor: not null } => "this node waits until its former life is fenced and its writes are merged",
        { IsLive: false } => $"this node is {node.Status.ToString().ToLowerInvariant()}",
        _ when member.JoinedIncarnation != self.Incarnation => "this node has not joined the volume's disk set",
        _ => "",
    };
}
