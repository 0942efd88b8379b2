using System.Diagnostics;

namespace RaftMirror.Linearizability;

/// <summary>Decides whether a history is linearizable (Herlihy and Wing 1990): whether each operation can be given one instant
/// between its invocation and its answer such that the model, taking them in that order, gives the same answers.</summary>
public static class Checker
{
    /// <summary>Checks a history of one object.</summary>
    public static CheckResult<TInput, TOutput> Check<TState, TInput, TOutput>(
        IModel<TState, TInput, TOutput> model, IReadOnlyList<Operation<TInput, TOutput>> history, CheckOptions? options = null)
    {
        options ??= CheckOptions.Default;
        return new Search<TState, TInput, TOutput>(model, history, options.MaxConfigurations).Run(options.Budget, key: null);
    }

    /// <summary>Checks a history of many objects that share nothing. It is linearizable if and only if the history of each is
    /// (Herlihy and Wing 1990, locality), and small histories are checked far faster than a long one.</summary>
    /// <param name="model">Of one object.</param>
    /// <param name="history">Of all objects.</param>
    /// <param name="keyOf">Names the object that an operation speaks to.</param>
    /// <param name="options">The budget is for all together: each object gets an equal share of what is left.</param>
    /// <returns>The first object's result that is wrong, else the first that is unknown, else one without an order.</returns>
    public static CheckResult<TInput, TOutput> CheckByKey<TState, TInput, TOutput>(
        IModel<TState, TInput, TOutput> model,
        IReadOnlyList<Operation<TInput, TOutput>> history,
        Func<TInput, string> keyOf,
        CheckOptions? options = null)
    {
        options ??= CheckOptions.Default;
        var parts = history.GroupBy(operation => keyOf(operation.Input)).ToList();
        var watch = Stopwatch.StartNew();
        var configurations = 0L;
        CheckResult<TInput, TOutput>? unknown = null;
        for (var i = 0; i < parts.Count; i++)
        {
            var share = (options.Budget - watch.Elapsed) / (parts.Count - i);
            var search = new Search<TState, TInput, TOutput>(model, [.. parts[i]], options.MaxConfigurations);
            var result = search.Run(share, parts[i].Key);
            configurations += result.Configurations;
            if (result.Verdict == Verdict.NotLinearizable) return result with { Configurations = configurations };
            if (result.Verdict == Verdict.Unknown) unknown ??= result;
        }

        return unknown is not null
            ? unknown with { Configurations = configurations }
            : new CheckResult<TInput, TOutput>(Verdict.Linearizable, [], null, string.Empty, null, configurations);
    }
}
