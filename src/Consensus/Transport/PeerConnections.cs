using System.Collections.Concurrent;

namespace RaftMirror.Consensus.Transport;

/// <summary>All connections of a node: ends those that have made no progress for the stall timeout, by one timer for all.
/// Any thread.</summary>
internal sealed class PeerConnections : IDisposable
{
    private readonly ConcurrentDictionary<PeerConnection, byte> _all = new();
    private readonly Timer _timer;

    public PeerConnections(TransportLimits limits)
    {
        var period = limits.StallTimeout / 4;
        _timer = new Timer(_ => EndStalled(), null, period, period);
    }

    public void Watch(PeerConnection connection) => _all.TryAdd(connection, 0);

    public void Forget(PeerConnection connection) => _all.TryRemove(connection, out _);

    /// <summary>Ends everything, and every connection watched later by its owner's own stop.</summary>
    public void EndAll(string reason)
    {
        foreach (var (connection, _) in _all) connection.End(reason);
    }

    public void Dispose() => _timer.Dispose();

    private void EndStalled()
    {
        var now = Environment.TickCount64;
        foreach (var (connection, _) in _all)
        {
            if (connection.IsStalled(now)) connection.End("no progress: the peer is too slow, or has stopped");
        }
    }
}
