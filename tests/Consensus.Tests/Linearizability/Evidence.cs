using RaftMirror.Linearizability;

namespace RaftMirror.Consensus.Tests.Linearizability;

/// <summary>Checks the evidence of a verdict apart from the search that made it.</summary>
internal static class Evidence
{
    /// <summary>What is wrong with it, or null.</summary>
    public static string? Fault<TState, TInput, TOutput>(
        IModel<TState, TInput, TOutput> model,
        IReadOnlyList<Operation<TInput, TOutput>> history,
        CheckResult<TInput, TOutput> result)
    {
        var order = result.Order;
        var state = model.Initial;
        for (var i = 0; i < order.Count; i++)
        {
            if (!model.TryApply(state, order[i].Input, order[i].Answer, out state)) return $"the model refuses {order[i]}";
            for (var j = 0; j < i; j++)
            {
                if (ReferenceEquals(order[i], order[j])) return $"placed twice: {order[i]}";
                if (Precedes(order[i], order[j])) return $"{order[i]} ended before {order[j]} began and stands after it";
            }
        }

        var left = history.Where(operation => operation.Answer.IsKnown && !order.Contains(operation, ReferenceEqualityComparer.Instance));
        if (result.Verdict == Verdict.Linearizable) return left.FirstOrDefault() is { } forgotten ? $"not placed: {forgotten}" : null;
        if (result.Unplaced is not { } unplaced) return "no operation is named";
        if (order.Contains(unplaced, ReferenceEqualityComparer.Instance)) return $"placed after all: {unplaced}";
        return left.Where(operation => operation.ReturnedAt < unplaced.ReturnedAt).Select(operation => $"answered before: {operation}")
            .FirstOrDefault();
    }

    private static bool Precedes<TInput, TOutput>(Operation<TInput, TOutput> first, Operation<TInput, TOutput> second) =>
        first.Answer.IsKnown && first.ReturnedAt < second.InvokedAt;
}
