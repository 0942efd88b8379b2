using RaftMirror.Consensus;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Cli.Daemon;

/// <summary>Which live nodes this one does not hear any more: a ping every quarter of a second to each. A node that was never heard in its
/// incarnation is not named: who comes back into a silence must not end another's service.</summary>
internal sealed class PeerLinks(NodeIdentity self, StateFeed feed, PeerClient peers)
{
    private const int MissesUntilUnheard = 4; // Rounds of this process's own running time: its own pauses do not count.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Node, ulong Incarnation), Link> _links = [];

    /// <summary>Sets the handler.</summary>
    public void Register() =>
        peers.Handle(PeerMethods.Ping, DaemonJson.Default.PingRequest, DaemonJson.Default.PingReply,
            (_, _, _) => ValueTask.FromResult(new PingReply(self.Incarnation)));

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
            if (link.InFlight > 0) link.Misses++;
            if (link.InFlight >= MissesUntilUnheard) return;
            link.InFlight++;
        }

        _ = PingAsync(node, cancellationToken);
    }

    private async Task PingAsync(NodeState node, CancellationToken cancellationToken)
    {
        var answered = 0ul;
        try
        {
            var reply = await peers.CallAsync(
                node.Name, PeerMethods.Ping, new PingRequest(self.Incarnation), DaemonJson.Default.PingRequest, DaemonJson.Default.PingReply,
                TimeSpan.FromSeconds(2), cancellationToken);
            answered = reply.Incarnation;
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

            (link.WasHeard, link.Misses) = (true, 0);
        }
    }

    private sealed class Link
    {
        public bool WasHeard { get; set; }

        public int InFlight { get; set; }

        public int Misses { get; set; }
    }
}
