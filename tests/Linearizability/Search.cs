using System.Diagnostics;

namespace RaftMirror.Linearizability;

/// <summary>
/// The search of Wing and Gong (1993): take any operation whose invocation stands before the first answer that is still
/// unexplained, apply it, go on; go back where nothing fits. After Lowe (2017), a configuration (which operations have been
/// placed, and the state) that was seen before is not entered again.
///
/// An operation with an unknown answer has no end: it may be placed anywhere after its invocation, and the search is over when
/// all known ones are placed. Five reductions keep the number of configurations small; none changes the verdict. In an order
/// that places as few unknown operations as possible, and the earliest among equal ones:
/// 1. none leaves the state as it was (it could be left out);
/// 2. none is followed by an operation that does the same without it (it could be left out);
/// 3. none comes while an equal, earlier one is left (the two could change places);
/// 4. none is such that nobody can have noticed (it could be left out; only the model can tell);
/// and, for known ones:
/// 5. an observation that fits may be placed at once, without looking at alternatives: whatever comes after does not notice.
/// Reduction 2 looks at the way to a configuration, yet configurations are remembered without it: the operation it skips is tried
/// from the configuration before, which needs one unknown operation less.
///
/// One use, one thread.
/// </summary>
internal sealed class Search<TState, TInput, TOutput>
{
    private const int AttemptsPerClockLook = 256;
    private const int Head = 0;

    private readonly IModel<TState, TInput, TOutput> _model;
    private readonly IReadOnlyList<Operation<TInput, TOutput>> _operations;
    private readonly EqualityComparer<TState> _states = EqualityComparer<TState>.Default;
    private readonly Visited<TState> _visited;
    private readonly Func<TState, TState, bool> _isNoticeable;

    // Invocations and answers of known operations in order of time, as a list that operations are lifted out of and put back
    // in reverse order (Knuth's dancing links). Node 0 is before all; a node's operation is a rank in _known.
    private readonly int[] _next;
    private readonly int[] _previous;
    private readonly int[] _rankOfNode;
    private readonly bool[] _isAnswer;
    private readonly int[] _callNode;
    private readonly int[] _answerNode;

    /// <summary>Indices into the history, in order of invocation.</summary>
    private readonly int[] _known;
    private readonly int[] _unknown;

    /// <summary>Per unknown operation: the last one before it with equal input, or -1.</summary>
    private readonly int[] _twin;

    private readonly Stack<Step> _path = new();
    private readonly List<int> _furthest = [];
    private TState _state;
    private TState _furthestState;
    private int _furthestAnswer = -1;
    private int _knownLeft;

    public Search(
        IModel<TState, TInput, TOutput> model, IReadOnlyList<Operation<TInput, TOutput>> operations, int maxConfigurations)
    {
        _model = model;
        _operations = operations;
        _state = _furthestState = model.Initial;
        _isNoticeable = model.FindNoticeable(operations);
        foreach (var operation in operations)
        {
            if (operation.Answer.IsKnown && operation.ReturnedAt < operation.InvokedAt)
            {
                throw new ArgumentException($"An answer comes after its question: {operation}", nameof(operations));
            }
        }

        int[] byInvocation = [.. Enumerable.Range(0, operations.Count).OrderBy(i => operations[i].InvokedAt)];
        _known = [.. byInvocation.Where(i => operations[i].Answer.IsKnown)];
        _unknown = [.. byInvocation.Where(i => !operations[i].Answer.IsKnown)];
        _knownLeft = _known.Length;
        _visited = new Visited<TState>(_known.Length, _unknown.Length, maxConfigurations);
        _twin = Twins();

        // At one stamp, invocations stand before answers: touching operations are concurrent.
        var events = _known
            .SelectMany((operation, rank) => new[] { (Rank: rank, IsAnswer: false), (Rank: rank, IsAnswer: true) })
            .OrderBy(e => e.IsAnswer ? operations[_known[e.Rank]].ReturnedAt : operations[_known[e.Rank]].InvokedAt)
            .ThenBy(e => e.IsAnswer)
            .ToList();
        var count = events.Count + 1;
        _next = new int[count];
        _previous = new int[count];
        _rankOfNode = new int[count];
        _isAnswer = new bool[count];
        _callNode = new int[_known.Length];
        _answerNode = new int[_known.Length];
        for (var node = 0; node < count; node++)
        {
            _next[node] = node + 1 < count ? node + 1 : Head;
            _previous[node] = node > 0 ? node - 1 : count - 1;
            if (node == Head) continue;
            var (rank, isAnswer) = events[node - 1];
            _rankOfNode[node] = rank;
            _isAnswer[node] = isAnswer;
            (isAnswer ? _answerNode : _callNode)[rank] = node;
        }
    }

    private enum Attempt
    {
        Refused,
        Placed,

        /// <summary>It would have been placed at once (reduction 5), but that has been tried in vain: so has everything from here.</summary>
        Hopeless,
    }

    /// <summary>Decides.</summary>
    /// <param name="budget">Time after which the answer is unknown.</param>
    /// <param name="key">The name of the part, for the result.</param>
    public CheckResult<TInput, TOutput> Run(TimeSpan budget, string? key)
    {
        var watch = Stopwatch.StartNew();
        var attempts = 0;
        var cursor = Cursor.AtKnown(_next[Head]);
        while (_knownLeft > 0)
        {
            if (_visited.IsFull || (attempts++ % AttemptsPerClockLook == 0 && watch.Elapsed > budget))
            {
                return Failed(Verdict.Unknown, key);
            }

            if (Candidate(ref cursor) is { } candidate)
            {
                switch (TryPlace(candidate, cursor))
                {
                    case Attempt.Placed:
                        cursor = Cursor.AtKnown(_next[Head]);
                        continue;
                    case Attempt.Refused:
                        cursor = Advance(cursor);
                        continue;
                }
            }

            Remember();
            if (GoBack() is not { } resume) return Failed(Verdict.NotLinearizable, key);
            cursor = Advance(resume);
        }

        return new CheckResult<TInput, TOutput>(
            Verdict.Linearizable, [.. _path.Reverse().Select(step => _operations[step.Operation])], null, $"{_state}", key,
            _visited.Count);
    }

    /// <summary>The operation at the cursor; null when there are no more. Known ones are tried first.</summary>
    /// <param name="cursor">Moves on to the unknown operations when the first answer is reached.</param>
    private int? Candidate(ref Cursor cursor)
    {
        if (!cursor.IsUnknown)
        {
            if (!_isAnswer[cursor.Position]) return _known[_rankOfNode[cursor.Position]];
            cursor = new Cursor(IsUnknown: true, Position: 0, Limit: cursor.Position);
        }

        while (cursor.Position < _unknown.Length && _visited.IsUnknownPlaced(cursor.Position)) cursor = Advance(cursor);
        if (cursor.Position == _unknown.Length) return null;
        var operation = _unknown[cursor.Position];
        return _operations[operation].InvokedAt <= _operations[_known[_rankOfNode[cursor.Limit]]].ReturnedAt ? operation : null;
    }

    private Cursor Advance(Cursor cursor) =>
        cursor with { Position = cursor.IsUnknown ? cursor.Position + 1 : _next[cursor.Position] };

    private int FirstAnswer()
    {
        var node = _next[Head];
        while (!_isAnswer[node]) node = _next[node];
        return node;
    }

    private Attempt TryPlace(int index, Cursor cursor)
    {
        var operation = _operations[index];
        if (!_model.TryApply(_state, operation.Input, operation.Answer, out var next)) return Attempt.Refused;
        if (cursor.IsUnknown)
        {
            if (_states.Equals(_state, next)) return Attempt.Refused; // Reduction 1.
            if (!_isNoticeable(_state, next)) return Attempt.Refused; // Reduction 4.
            if (_twin[cursor.Position] is >= 0 and var twin && !_visited.IsUnknownPlaced(twin)) return Attempt.Refused; // Reduction 3.
        }

        if (_path.TryPeek(out var last) && last.Cursor.IsUnknown
            && _model.TryApply(last.StateBefore, operation.Input, operation.Answer, out var without)
            && _states.Equals(without, next))
        {
            return Attempt.Refused; // Reduction 2.
        }

        var atOnce = !cursor.IsUnknown && _model.IsObservation(operation.Input, operation.Answer); // Reduction 5.
        Mark(cursor, true);
        if (!_visited.Add(next))
        {
            Mark(cursor, false);
            return atOnce ? Attempt.Hopeless : Attempt.Refused;
        }

        _path.Push(new Step(index, cursor, _state, atOnce));
        _state = next;
        if (cursor.IsUnknown) return Attempt.Placed;
        var rank = _rankOfNode[cursor.Position];
        Lift(_callNode[rank]);
        Lift(_answerNode[rank]);
        _knownLeft--;
        return Attempt.Placed;
    }

    /// <summary>Undoes the last step that had alternatives.</summary>
    /// <returns>Where that step stood; null if there is none.</returns>
    private Cursor? GoBack()
    {
        while (_path.TryPop(out var step))
        {
            _state = step.StateBefore;
            Mark(step.Cursor, false);
            if (!step.Cursor.IsUnknown)
            {
                var rank = _rankOfNode[step.Cursor.Position];
                PutBack(_answerNode[rank]);
                PutBack(_callNode[rank]);
                _knownLeft++;
            }

            if (!step.AtOnce) return step.Cursor;
        }

        return null;
    }

    private void Mark(Cursor cursor, bool placed)
    {
        if (cursor.IsUnknown) _visited.MarkUnknown(cursor.Position, placed);
        else _visited.MarkKnown(_rankOfNode[cursor.Position], placed);
    }

    private void Lift(int node)
    {
        _next[_previous[node]] = _next[node];
        _previous[_next[node]] = _previous[node];
    }

    private void PutBack(int node)
    {
        _next[_previous[node]] = node;
        _previous[_next[node]] = node;
    }

    /// <summary>Keeps the order that got past the most answers: nodes are numbered by time.</summary>
    private void Remember()
    {
        var answerNode = FirstAnswer();
        if (answerNode < _furthestAnswer || (answerNode == _furthestAnswer && _path.Count <= _furthest.Count)) return;
        _furthestAnswer = answerNode;
        _furthestState = _state;
        _furthest.Clear();
        _furthest.AddRange(_path.Reverse().Select(step => step.Operation));
    }

    private CheckResult<TInput, TOutput> Failed(Verdict verdict, string? key) => new(
        verdict,
        [.. _furthest.Select(index => _operations[index])],
        verdict == Verdict.NotLinearizable ? _operations[_known[_rankOfNode[_furthestAnswer]]] : null,
        $"{_furthestState}",
        key,
        _visited.Count);

    private int[] Twins()
    {
        var inputs = EqualityComparer<TInput>.Default;
        var twins = new int[_unknown.Length];
        for (var i = 0; i < twins.Length; i++)
        {
            twins[i] = i - 1;
            while (twins[i] >= 0 && !inputs.Equals(_operations[_unknown[twins[i]]].Input, _operations[_unknown[i]].Input)) twins[i]--;
        }

        return twins;
    }

    /// <summary>Where the search stands among the candidates.</summary>
    /// <param name="IsUnknown">Among which.</param>
    /// <param name="Position">A node, or a position in _unknown.</param>
    /// <param name="Limit">Among unknown ones: the node of the answer that bounds them.</param>
    private readonly record struct Cursor(bool IsUnknown, int Position, int Limit)
    {
        public static Cursor AtKnown(int node) => new(false, node, 0);
    }

    private readonly record struct Step(int Operation, Cursor Cursor, TState StateBefore, bool AtOnce);
}
