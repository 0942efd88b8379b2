namespace RaftMirror.Consensus.Transport;

/// <summary>A rate in bytes per second, shared by all who take from it, in order. Any thread.</summary>
/// <param name="bytesPerSecond">1 and up.</param>
/// <param name="time">The clock.</param>
internal sealed class SendRate(long bytesPerSecond, TimeProvider time)
{
    private readonly object _gate = new();
    private long _freeAt;

    /// <summary>Waits until what was taken before has had its time.</summary>
    public async ValueTask TakeAsync(int bytes, CancellationToken cancellationToken)
    {
        var wait = Reserve(bytes, time.GetTimestamp());
        if (wait > TimeSpan.Zero) await Task.Delay(wait, time, cancellationToken);
    }

    /// <summary>How long to wait before sending.</summary>
    internal TimeSpan Reserve(int bytes, long now)
    {
        lock (_gate)
        {
            var begin = Math.Max(_freeAt, now);
            _freeAt = begin + (long)((double)bytes / bytesPerSecond * time.TimestampFrequency);
            return time.GetElapsedTime(now, begin);
        }
    }
}
