namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>One limit for a whole handshake: a limit that every byte restarts is none. It counts the client's time, not the time that
/// the client waits for this node. One thread.</summary>
internal sealed class HandshakeDeadline : IDisposable
{
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private TimeSpan _left;
    private long _since;

    /// <summary>Begins to count.</summary>
    public HandshakeDeadline(TimeProvider time, TimeSpan limit, Action expired)
    {
        (_time, _left, _since) = (time, limit, time.GetTimestamp());
        _timer = time.CreateTimer(_ => expired(), null, limit, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Stops counting.</summary>
    public void Pause()
    {
        _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _left -= _time.GetElapsedTime(_since);
    }

    /// <summary>Counts on.</summary>
    public void Resume()
    {
        _since = _time.GetTimestamp();
        _timer.Change(_left > TimeSpan.Zero ? _left : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();
}
