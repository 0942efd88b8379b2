namespace RaftMirror.Node.State;

/// <summary>One holder at a time for each key; those who wait for it come in turn. Holds nothing for keys that nobody uses. Any thread.</summary>
internal sealed class Turns<TKey>
    where TKey : notnull
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TKey, Turn> _turns = [];

    /// <summary>Waits for the key; disposing what is returned gives it to the next.</summary>
    public async Task<IDisposable> TakeAsync(TKey key, CancellationToken cancellationToken)
    {
        Turn turn;
        lock (_gate)
        {
            if (!_turns.TryGetValue(key, out turn!)) _turns[key] = turn = new Turn();
            turn.Users++;
        }

        try
        {
            await turn.Free.WaitAsync(cancellationToken);
        }
        catch
        {
            Leave(key, turn);
            throw;
        }

        return new Held(() =>
        {
            turn.Free.Release();
            Leave(key, turn);
        });
    }

    private void Leave(TKey key, Turn turn)
    {
        lock (_gate)
        {
            if (--turn.Users > 0) return;
            _turns.Remove(key);
        }

        turn.Free.Dispose();
    }

    private sealed class Turn
    {
        public int Users;

        public SemaphoreSlim Free { get; } = new(1);
    }

    private sealed class Held(Action release) : IDisposable
    {
        private Action? _release = release;

        public void Dispose() => Interlocked.Exchange(ref _release, null)?.Invoke();
    }
}
