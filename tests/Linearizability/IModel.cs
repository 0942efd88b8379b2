namespace RaftMirror.Linearizability;

/// <summary>What a correct object does, one operation after another. Stateless and deterministic; states are immutable values
/// with equality, since the search keeps and compares them.</summary>
public interface IModel<TState, TInput, TOutput>
{
    TState Initial { get; }

    /// <summary>Applies one operation.</summary>
    /// <param name="state">The state that it finds.</param>
    /// <param name="input">What was asked.</param>
    /// <param name="answer">What was answered; any answer is possible if it is unknown.</param>
    /// <param name="next">The state that it leaves, if true is returned.</param>
    /// <returns>False if a correct object cannot answer so in this state.</returns>
    bool TryApply(TState state, TInput input, Answer<TOutput> answer, out TState next);

    /// <summary>True if the operation leaves every state in which it can be answered so as it was: a read, a refusal. A write
    /// of the value that happens to be there is none. False is always safe.</summary>
    bool IsObservation(TInput input, Answer<TOutput> answer);

    /// <summary>Looks at a whole history for what was seen in it, so that the search need not try what nobody can have noticed: most operations
    /// without an answer either had no effect or were overwritten unseen.</summary>
    /// <param name="history">All operations on one object.</param>
    /// <returns>A function of the states before and after an operation without an answer. False if whatever comes after, up to where the state is
    /// overwritten, would be answered alike had it not taken effect. True is always safe.</returns>
    Func<TState, TState, bool> FindNoticeable(IReadOnlyList<Operation<TInput, TOutput>> history) => (_, _) => true;
}
