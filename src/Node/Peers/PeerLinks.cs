using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Peers;

/// <summary>Which live nodes this one does not hear: a ping every quarter of a second to each. <see cref="LinkTable"/> says what follows from it.</summary>
internal sealed class PeerLinks(NodeIdentity self, StateFeed feed, PeerClient peers)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private readonly Lock _gate = new();
    private readonly LinkTable _table = new(); // Under the gate.

    /// <summary>Sets the handler.</summary>
    public void Register() =>
        peers.Handle(PeerMethods.Ping, DaemonJson.Default.PingRequest, DaemonJson.Default.PingReply,
            (from, request, _) => ValueTask.FromResult(new PingReply(self.Incarnation, Hears(new NodeIncarnation(from, request.Incarnation)))));

    /// <summary>Names of live nodes that the leader is to be told of. Any thread.</summary>
    public IReadOnlyList<string> Unheard()
    {
        var state = feed.Current;
        lock (_gate) return [.. Others().Where(node => _table.IsToBeNamed(LifeOf(node), ServesWith(state, node))).Select(static node => node.Name)];
    }

    /// <summary>May this node enter a set: does it hear, and is it heard by, all that serve it? Any thread.</summary>
    public bool MayEnter(ClusterState state, SetState set)
    {
        var serving = state.Nodes.Values.Where(node => node.Name != self.Name && Serves(set, node)).Select(LifeOf);
        lock (_gate) return _table.MayEnter(serving);
    }

    /// <summary>All live nodes that this one has been trying to reach for a second and is apart from. Any thread.</summary>
    public IReadOnlyList<string> LongApart()
    {
        lock (_gate) return [.. Others().Where(node => _table.IsLongApart(LifeOf(node))).Select(static node => node.Name)];
    }

    private bool Hears(NodeIncarnation other)
    {
        lock (_gate) return _table.Hears(other);
    }

    private bool ServesWith(ClusterState state, NodeState node) => state.Node(self.Name) is { } own && own.Incarnation == self.Incarnation
        && state.Sets.Values.Any(set => Serves(set, own) && Serves(set, node));

    private static bool Serves(SetState set, NodeState node) =>
        set.Members.GetValueOrDefault(node.Name) is { } member && Duties.IsJoined(node, member);

    private static NodeIncarnation LifeOf(NodeState node) => new(node.Name, node.Incarnation);

    /// <summary>Pings until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                foreach (var node in Others()) Ping(LifeOf(node), cancellationToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private List<NodeState> Others() => [.. feed.Current.Nodes.Values.Where(node => node.IsLive && node.Name != self.Name)];

    private void Ping(NodeIncarnation other, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (!_table.BeginPing(other)) return;
        }

        _ = PingAsync(other, cancellationToken);
    }

    private async Task PingAsync(NodeIncarnation other, CancellationToken cancellationToken)
    {
        var (answered, hearsUs) = (0ul, false);
        try
        {
            var reply = await peers.CallAsync(
                other.Node, PeerMethods.Ping, new PingRequest(self.Incarnation), DaemonJson.Default.PingRequest, DaemonJson.Default.PingReply,
                TimeSpan.FromSeconds(2), cancellationToken);
            (answered, hearsUs) = (reply.Incarnation, reply.HearsYou);
        }
        catch (Exception lost) when (lost is PeerUnreachableException or OperationCanceledException)
        {
            // A miss; the next rounds count it.
        }

        lock (_gate) _table.PingEnded(other, answered, hearsUs);
    }
}
