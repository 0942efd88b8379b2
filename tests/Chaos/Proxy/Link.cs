namespace RaftMirror.Chaos.Proxy;

/// <summary>One direction between two nodes: open, closed (bytes wait and may arrive much later), slow, or broken. Any thread.</summary>
internal sealed class Link
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _closed;
    private int _delayMs;

    /// <summary>Connections that need this direction are refused.</summary>
    public bool IsBroken { get; private set; }

    public bool IsImpaired
    {
        get
        {
            lock (_gate) return _closed is not null || _delayMs > 0 || IsBroken;
        }
    }

    public void Close()
    {
        lock (_gate) _closed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public void Break()
    {
        lock (_gate) IsBroken = true;
    }

    public void Slow(int delayMs)
    {
        lock (_gate) _delayMs = delayMs;
    }

    public void Open()
    {
        TaskCompletionSource? closed;
        lock (_gate)
        {
            closed = _closed;
            _closed = null;
            _delayMs = 0;
            IsBroken = false;
        }

        closed?.TrySetResult();
    }

    /// <summary>Returns when bytes that were read may go on.</summary>
    public async ValueTask PassAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task? closed;
            int delayMs;
            lock (_gate)
            {
                closed = _closed?.Task;
                delayMs = _delayMs;
            }

            if (closed is null)
            {
                if (delayMs == 0) return;
                await Task.Delay(delayMs, cancellationToken); // The network's latency, not a wait for something.
                lock (_gate) closed = _closed?.Task;
                if (closed is null) return;
            }

            await closed.WaitAsync(cancellationToken);
        }
    }
}
