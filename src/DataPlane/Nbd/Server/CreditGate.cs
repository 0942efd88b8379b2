namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Bounds what one connection holds in memory. The reader takes, whoever retires a reply gives back; without
/// credit the reader does not read, and TCP tells the client. That answers floods and clients that do not read.</summary>
internal sealed class CreditGate
{
    private readonly object _gate = new();
    private readonly long _maxBytes;
    private readonly int _maxRequests;
    private readonly long _ownBytes;
    private readonly SharedCredit _shared;
    private long _bytes;
    private long _sharedBytes;
    private int _requests;
    private int _executing;
    private long _waitingSinceMs;
    private bool _isAwaited;

    /// <param name="maxBytes">Of this connection in all.</param>
    /// <param name="maxRequests">Of this connection.</param>
    /// <param name="ownBytes">Not counted against what all share.</param>
    /// <param name="shared">For what goes beyond that.</param>
    public CreditGate(long maxBytes, int maxRequests, long ownBytes, SharedCredit shared)
    {
        _maxBytes = maxBytes;
        _maxRequests = maxRequests;
        _ownBytes = ownBytes;
        _shared = shared;
    }

    /// <summary>Requests taken and not retired.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Since when the reader waits for credit, ms of <see cref="Environment.TickCount64"/>; null if it does not.</summary>
    public long? WaitingSinceMs => Volatile.Read(ref _waitingSinceMs) is var since and not 0 ? since : null;

    /// <summary>True if requests are not read for want of what is not given back: this connection's, or those of any that share with it.</summary>
    public bool IsWantedBack => WaitingSinceMs is not null || (Volatile.Read(ref _sharedBytes) > 0 && _shared.Waiting > 0);

    /// <summary>Takes credit if there is enough. Reader only; if there is not, it goes on with <see cref="Take"/>.</summary>
    /// <param name="bytes">How much.</param>
    /// <param name="isShared">Of what all share: to be given back as that.</param>
    public bool TryTake(long bytes, out bool isShared)
    {
        isShared = false;
        if (Volatile.Read(ref _requests) >= _maxRequests) return false;
        var (own, shared) = (Volatile.Read(ref _bytes), Volatile.Read(ref _sharedBytes));
        if (own + shared + bytes > _maxBytes) return false;
        if (own + bytes <= _ownBytes)
        {
            Interlocked.Add(ref _bytes, bytes);
        }
        else
        {
            if (!_shared.TryTake(this, bytes)) return false;
            Interlocked.Add(ref _sharedBytes, bytes);
            isShared = true;
        }

        Interlocked.Increment(ref _requests);
        return true;
    }

    /// <summary>Waits until <see cref="TryTake"/> succeeds. Reader only; it must not hold the writer's role.</summary>
    /// <returns>False if <paramref name="orElse"/> held first; nothing was taken.</returns>
    public bool Take(long bytes, Func<bool> orElse, out bool isShared)
    {
        var (wasTaken, wasShared) = (false, false);
        Volatile.Write(ref _waitingSinceMs, Math.Max(1, Environment.TickCount64));
        WaitFor(() => orElse() || (wasTaken = TryTake(bytes, out wasShared)), Timeout.InfiniteTimeSpan);
        Volatile.Write(ref _waitingSinceMs, 0);
        isShared = wasShared;
        if (!wasTaken) _shared.Leave(this);
        return wasTaken;
    }

    /// <summary>Requests were retired.</summary>
    public void Return(long bytes, long sharedBytes, int requests)
    {
        Interlocked.Add(ref _bytes, -bytes);
        Interlocked.Add(ref _sharedBytes, -sharedBytes);
        Interlocked.Add(ref _requests, -requests);
        if (sharedBytes > 0) _shared.Return(sharedBytes);
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
