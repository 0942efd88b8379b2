using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Cli.Daemon;

/// <summary>Which live nodes this one does not hear: a ping every quarter of a second to each. To the leader a node is named only once it was heard in its
/// incarnation: who comes back into a silence must not end another's service. It stays out of the sets that nodes serve which it does not
/// hear, instead, so that nobody waits for it.</summary>
internal sealed class PeerLinks(NodeIdentity self, StateFeed feed, PeerClient peers)
{
    private const int MissesUntilUnheard = 4; // Rounds of this process's own running time: its own pauses do not count.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Node, ulong Incarnation), Link> _links = [];

    /// <summary>Sets the handler.</summary>
    public void Register() =>
        peers.Handle(PeerMethods.Ping, DaemonJson.Default.PingRequest, DaemonJson.Default.PingReply,
            (from, request, _) => ValueTask.FromResult(new PingReply(self.Incarnation, Hears(from, request.Incarnation))));

    /// <summary>Names of live nodes that were heard and are not any more, for 1 s. Any thread.</summary>
    public IReadOnlyList<string> Unheard()
    {
        var unheard = new List<string>();
        lock (_gate)
        {
            foreach (var node in Others())
            {
                if (_links.TryGetValue((node.Name, node.Incarnation), out var link) && link.WasHeard && link.Misses >= MissesUntilUnheard) unheard.Add(node.Name);
            }
        }

        return unheard;
    }

    /// <summary>Those of some nodes' current incarnations that do not hear this one, or that it does not hear; also for want of time so far. Any
    /// thread.</summary>
    public IReadOnlyList<string> Apart(IEnumerable<NodeState> nodes)
    {
        var apart = new List<string>();
        lock (_gate)
        {
            foreach (var node in nodes)
            {
                if (node.Name == self.Name) continue;
                if (!HearsNow(node.Name, node.Incarnation, out var link) || !link!.HearsUs) apart.Add(node.Name);
            }
        }

        return apart;
    }

    /// <summary>All live nodes that this one has been trying to reach for a second and is apart from. Any thread.</summary>
    public IReadOnlyList<string> LongApart()
    {
        var apart = Apart(Others());
        lock (_gate)
            return [.. apart.Where(name => feed.Current.Node(name) is { } node && _links.TryGetValue((name, node.Incarnation), out var link) && link.Pings > MissesUntilUnheard)];
    }

    private bool Hears(string node, ulong incarnation)
    {
        lock (_gate) return HearsNow(node, incarnation, out _);
    }

    // Under the gate.
    private bool HearsNow(string node, ulong incarnation, out Link? link) =>
        _links.TryGetValue((node, incarnation), out link) && link.WasHeard && link.Misses < MissesUntilUnheard;

    /// <summary>Pings until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                foreach (var node in Others()) Ping(node, cancellationToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private List<NodeState> Others() => [.. feed.Current.Nodes.Values.Where(node => node.IsLive && node.Name != self.Name)];

    private void Ping(NodeState node, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (!_links.TryGetValue((node.Name, node.Incarnation), out var link)) _links[(node.Name, node.Incarnation)] = link = new Link();
            link.Pings++;
            if (link.InFlight > 0) link.Misses++;
            if (link.InFlight >= MissesUntilUnheard) return;
            link.InFlight++;
        }

        _ = PingAsync(node, cancellationToken);
    }

    private async Task PingAsync(NodeState node, CancellationToken cancellationToken)
    {
        var (answered, hearsUs) = (0ul, false);
        try
        {
            var reply = await peers.CallAsync(
                node.Name, PeerMethods.Ping, new PingRequest(self.Incarnation), DaemonJson.Default.PingRequest, DaemonJson.Default.PingReply,
                TimeSpan.FromSeconds(2), cancellationToken);
            (answered, hearsUs) = (reply.Incarnation, reply.HearsYou);
        }
        catch (Exception lost) when (lost is PeerUnreachableException or OperationCanceledException)
        {
            // A miss; the next rounds count it.
        }

        lock (_gate)
        {
            var link = _links[(node.Name, node.Incarnation)];
            link.InFlight--;
            if (answered != node.Incarnation)
            {
                link.Misses++;
                return;
            }

            (link.WasHeard, link.Misses, link.HearsUs) = (true, 0, hearsUs);
        }
    }

    private sealed class Link
    {
        public bool WasHeard { get; set; }

        public bool HearsUs { get; set; }

        public int Pings { get; set; }

        public int InFlight { get; set; }

        public int Misses { get; set; }
    }
}
