namespace RaftMirror.Linearizability;

/// <summary>Writes down what clients of a real cluster do. Stamps come from one counter, so the clients live in one process
/// (the servers need not): what returned before something else was asked has the smaller stamp. Any number of threads.</summary>
public sealed class HistoryRecorder<TInput, TOutput>
{
    private readonly Lock _lock = new();
    private readonly List<Pending> _operations = [];
    private long _stamp;

    /// <summary>Called before the operation is sent.</summary>
    public Pending Invoke(int client, TInput input)
    {
        lock (_lock)
        {
            var pending = new Pending(this, client, input, ++_stamp);
            _operations.Add(pending);
            return pending;
        }
    }

    /// <summary>The history so far, in order of invocation. Operations without an outcome are unknown ones.</summary>
    public IReadOnlyList<Operation<TInput, TOutput>> Snapshot()
    {
        lock (_lock)
        {
            return [.. _operations.Where(pending => !pending.HadNoEffect).Select(pending => pending.ToOperation())];
        }
    }

    /// <summary>An operation under way. Has one outcome; without one it stays unknown.</summary>
    public sealed class Pending
    {
        private readonly HistoryRecorder<TInput, TOutput> _recorder;
        private readonly int _client;
        private readonly TInput _input;
        private readonly long _invokedAt;
        private Answer<TOutput> _answer;
        private long _returnedAt;
        private bool _hasOutcome;

        internal Pending(HistoryRecorder<TInput, TOutput> recorder, int client, TInput input, long invokedAt)
        {
            _recorder = recorder;
            _client = client;
            _input = input;
            _invokedAt = invokedAt;
        }

        internal bool HadNoEffect { get; private set; }

        /// <summary>The answer has come.</summary>
        public void Return(TOutput output) => End(() =>
        {
            _answer = Answer.Of(output);
            _returnedAt = ++_recorder._stamp;
        });

        /// <summary>It is certain that it has had and will have no effect, and nothing was read: it leaves the history.</summary>
        public void Refused() => End(() => HadNoEffect = true);

        /// <summary>A time-out, a lost connection, a killed server: it may have had an effect, or may have one yet.</summary>
        public void Unknown() => End(() => { });

        internal Operation<TInput, TOutput> ToOperation() => new(_client, _input, _answer, _invokedAt, _returnedAt);

        private void End(Action outcome)
        {
            lock (_recorder._lock)
            {
                if (_hasOutcome) throw new InvalidOperationException($"An operation has one outcome: {ToOperation()}");
                _hasOutcome = true;
                outcome();
            }
        }
    }
}
