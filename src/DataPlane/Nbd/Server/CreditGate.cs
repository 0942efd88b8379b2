namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Bounds what one connection holds in memory. The reader takes, whoever retires a reply gives back; without
/// credit the reader does not read, and TCP tells the client. That answers floods and clients that do not read.</summary>
internal sealed class CreditGate
{
    private readonly object _gate = new();
    private readonly long _maxBytes;
    private readonly int _maxRequests;
    private long _bytes;
    private int _requests;
    private int _executing;
    private bool _isAwaited;

    public CreditGate(long maxBytes, int maxRequests)
    {
        _maxBytes = maxBytes;
        _maxRequests = maxRequests;
    }

    /// <summary>Requests taken and not retired.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Takes credit if there is enough. Reader only.</summary>
    public bool TryTake(long bytes)
    {
        if (!Fits(bytes)) return false;
        Interlocked.Add(ref _bytes, bytes);
        Interlocked.Increment(ref _requests);
        return true;
    }

    /// <summary>Waits until <see cref="TryTake"/> succeeds. Reader only; it must not hold the writer's role.</summary>
    /// <returns>False if <paramref name="orElse"/> held first; nothing was taken.</returns>
    public bool Take(long bytes, Func<bool> orElse)
    {
        WaitFor(() => Fits(bytes) || orElse(), Timeout.InfiniteTimeSpan);
        return !orElse() && TryTake(bytes);
    }

    /// <summary>A request was retired.</summary>
    public void Return(long bytes, int requests)
    {
        Interlocked.Add(ref _bytes, -bytes);
        Interlocked.Add(ref _requests, -requests);
        Wake();
    }

    /// <summary>A request goes to the session.</summary>
    public void BeginExecution() => Interlocked.Increment(ref _executing);

    /// <summary>The session ended a request; its buffer is ours again.</summary>
    public void EndExecution()
    {
        if (Interlocked.Decrement(ref _executing) == 0) Wake();
    }

    /// <summary>Waits until the session holds no request.</summary>
    public void WaitExecuted() => WaitFor(() => Volatile.Read(ref _executing) == 0, Timeout.InfiniteTimeSpan);

    /// <summary>Waits until every request is retired or <paramref name="orElse"/> holds; <see cref="Wake"/> makes it look.</summary>
    public void WaitRetired(Func<bool> orElse) =>
        WaitFor(() => Volatile.Read(ref _requests) == 0 || orElse(), Timeout.InfiniteTimeSpan);

    /// <summary>Waits until every request is retired.</summary>
    /// <returns>False if that took longer.</returns>
    public bool WaitRetired(TimeSpan atMost) => WaitFor(() => Volatile.Read(ref _requests) == 0, atMost);

    /// <summary>Makes a waiter look again.</summary>
    public void Wake()
    {
        Interlocked.MemoryBarrier();
        if (!Volatile.Read(ref _isAwaited)) return;
        lock (_gate) Monitor.PulseAll(_gate);
    }

    private bool Fits(long bytes) =>
        Volatile.Read(ref _requests) < _maxRequests && Volatile.Read(ref _bytes) + bytes <= _maxBytes;

    private bool WaitFor(Func<bool> condition, TimeSpan atMost)
    {
        var deadline = atMost == Timeout.InfiniteTimeSpan ? long.MaxValue : Environment.TickCount64 + (long)atMost.TotalMilliseconds;
        lock (_gate)
        {
            // Either the waiter sees the new count or the other side sees the flag: both use full fences.
            Volatile.Write(ref _isAwaited, true);
            Interlocked.MemoryBarrier();
            try
            {
                while (!condition())
                {
                    if (deadline == long.MaxValue)
                    {
                        Monitor.Wait(_gate);
                        continue;
                    }

                    var left = deadline - Environment.TickCount64;
                    if (left <= 0) return false;
                    Monitor.Wait(_gate, (int)left);
                }

                return true;
            }
            finally
            {
                Volatile.Write(ref _isAwaited, false);
            }
        }
    }
}
