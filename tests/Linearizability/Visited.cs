namespace RaftMirror.Linearizability;

/// <summary>Which operations are placed now, and every configuration (these and the state) that was ever entered. Known operations
/// are numbered by invocation, so that all of them but the few that are under way form a run of ones, which is kept as
/// a number: what a configuration takes depends on how many clients there are, not on how long the history is.</summary>
internal sealed class Visited<TState>
{
    private readonly ulong[] _known;
    private readonly ulong[] _unknown;
    private readonly int _limit;
    private readonly HashSet<Configuration> _seen = [];

    /// <summary>Words of _known below this one are all ones.</summary>
    private int _firstOpenWord;

    /// <summary>Words of _known from this one on are zero.</summary>
    private int _endWord;

    public Visited(int known, int unknown, int limit)
    {
        _known = new ulong[(known + 63) / 64];
        _unknown = new ulong[(unknown + 63) / 64];
        _limit = limit;
    }

    public long Count => _seen.Count;

    public bool IsFull => _seen.Count >= _limit;

    public void MarkKnown(int rank, bool placed)
    {
        Set(_known, rank, placed);
        _firstOpenWord = placed ? _firstOpenWord : Math.Min(_firstOpenWord, rank / 64);
        _endWord = placed ? Math.Max(_endWord, (rank / 64) + 1) : _endWord;
        while (_firstOpenWord < _known.Length && _known[_firstOpenWord] == ulong.MaxValue) _firstOpenWord++;
        while (_endWord > 0 && _known[_endWord - 1] == 0) _endWord--;
    }

    public void MarkUnknown(int position, bool placed) => Set(_unknown, position, placed);

    public bool IsUnknownPlaced(int position) => (_unknown[position / 64] & (1UL << (position % 64))) != 0;

    /// <summary>Remembers the configuration of what is placed now and this state.</summary>
    /// <returns>False if it is known already.</returns>
    public bool Add(TState state)
    {
        var open = Math.Max(0, _endWord - _firstOpenWord);
        var words = new ulong[1 + open + _unknown.Length];
        words[0] = (ulong)_firstOpenWord;
        if (open > 0) _known.AsSpan(_firstOpenWord, open).CopyTo(words.AsSpan(1));
        _unknown.CopyTo(words.AsSpan(1 + open));
        return _seen.Add(new Configuration(words, state));
    }

    private static void Set(ulong[] words, int bit, bool value)
    {
        var mask = 1UL << (bit % 64);
        words[bit / 64] = value ? words[bit / 64] | mask : words[bit / 64] & ~mask;
    }

    private readonly struct Configuration : IEquatable<Configuration>
    {
        private readonly ulong[] _words;
        private readonly TState _state;
        private readonly int _hash;

        public Configuration(ulong[] words, TState state)
        {
            _words = words;
            _state = state;
            var hash = default(HashCode);
            foreach (var word in words) hash.Add(word);
            hash.Add(state);
            _hash = hash.ToHashCode();
        }

        public bool Equals(Configuration other) =>
            _hash == other._hash
            && _words.AsSpan().SequenceEqual(other._words)
            && EqualityComparer<TState>.Default.Equals(_state, other._state);

        public override bool Equals(object? obj) => obj is Configuration other && Equals(other);

        public override int GetHashCode() => _hash;
    }
}
