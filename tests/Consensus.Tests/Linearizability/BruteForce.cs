using RaftMirror.Linearizability;

namespace RaftMirror.Consensus.Tests.Linearizability;

/// <summary>The definition, tried out: every order of all known and any unknown operations. For tiny histories.</summary>
internal static class BruteForce
{
    public static bool IsLinearizable<TState, TInput, TOutput>(
        IModel<TState, TInput, TOutput> model, IReadOnlyList<Operation<TInput, TOutput>> history) =>
        CanEnd(model, model.Initial, history, new bool[history.Count]);

    private static bool CanEnd<TState, TInput, TOutput>(
        IModel<TState, TInput, TOutput> model, TState state, IReadOnlyList<Operation<TInput, TOutput>> history, bool[] placed)
    {
        if (Enumerable.Range(0, history.Count).All(i => placed[i] || !history[i].Answer.IsKnown)) return true;
        for (var i = 0; i < history.Count; i++)
        {
            if (placed[i]) continue;
            var comesFirst = Enumerable.Range(0, history.Count).All(j =>
                placed[j] || !history[j].Answer.IsKnown || history[j].ReturnedAt >= history[i].InvokedAt);
            if (!comesFirst || !model.TryApply(state, history[i].Input, history[i].Answer, out var next)) continue;
            placed[i] = true;
            if (CanEnd(model, next, history, placed)) return true;
            placed[i] = false;
        }

        return false;
    }
}
