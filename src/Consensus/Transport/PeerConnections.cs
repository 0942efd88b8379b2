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

    /// <summary>Ends everything, or one lane; every connection that is watched later ends by its owner's own stop.</summary>
    public void EndAll(string reason, Lane? lane = null)
    {
        foreach (var (connection, _) in _all)
        {
            if (lane is null || connection.Lane == lane) connection.End(reason);
        }
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
