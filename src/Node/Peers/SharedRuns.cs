namespace RaftMirror.Node.Peers;

/// <summary>One run per key at a time: whoever asks for one that is under way gets its outcome. A request is repeated when its answer is late, and two
/// runs of it would stand in each other's way. Any thread.</summary>
internal sealed class SharedRuns<TKey, TResult>
    where TKey : notnull
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Task<TResult>> _runs = [];

    /// <summary>Joins the run of that key, or begins one.</summary>
    /// <param name="key">What is the same run.</param>
    /// <param name="limit">Most time that it takes; then its token is cancelled.</param>
    /// <param name="run">It goes on when a caller gives up.</param>
    /// <param name="cancellationToken">Ends the waiting, not the run.</param>
    public Task<TResult> RunAsync(TKey key, TimeSpan limit, Func<CancellationToken, Task<TResult>> run, CancellationToken cancellationToken)
    {
        Task<TResult>? shared;
        lock (_gate)
        {
            if (!_runs.TryGetValue(key, out shared))
                _runs[key] = shared = Task.Run(() => OnceAsync(key, limit, run), CancellationToken.None);
        }

        return shared.WaitAsync(cancellationToken);
    }

    private async Task<TResult> OnceAsync(TKey key, TimeSpan limit, Func<CancellationToken, Task<TResult>> run)
    {
        using var time = new CancellationTokenSource(limit);
        try
        {
            return await run(time.Token);
        }
        finally
        {
            lock (_gate) _runs.Remove(key);
        }
    }
}
