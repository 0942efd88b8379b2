namespace RaftMirror.Linearizability.Models;

public enum QueueAction
{
    Enqueue,
    Dequeue,
}

/// <param name="Action">What to do.</param>
/// <param name="Key">Which queue.</param>
/// <param name="Value">What is put in, at the end; without a comma.</param>
public sealed record QueueInput(QueueAction Action, string Key, string Value = "")
{
    public override string ToString() => Action == QueueAction.Enqueue ? $"enqueue {Key} '{Value}'" : $"dequeue {Key}";
}

/// <param name="Value">What was taken out; null if the queue was empty. Ignored for what was put in.</param>
public sealed record QueueOutput(string? Value)
{
    public override string ToString() => Value is null ? "none" : $"'{Value}'";
}

/// <summary>A first-in, first-out queue; for use with <see cref="Checker.CheckByKey"/>. The state is its values, each with a comma after it.
/// With distinct values a lost, a repeated and an overtaken command all show.</summary>
public sealed class QueueModel : IModel<string, QueueInput, QueueOutput>
{
    public string Initial => string.Empty;

    public static string KeyOf(QueueInput input) => input.Key;

    public bool TryApply(string state, QueueInput input, Answer<QueueOutput> answer, out string next)
    {
        if (input.Action == QueueAction.Enqueue)
        {
            next = $"{state}{input.Value},";
            return true;
        }

        var end = state.IndexOf(',', StringComparison.Ordinal);
        var first = end < 0 ? null : state[..end];
        next = end < 0 ? state : state[(end + 1)..];
        return !answer.IsKnown || answer.Value.Value == first;
    }

    public bool IsObservation(QueueInput input, Answer<QueueOutput> answer) =>
        input.Action == QueueAction.Dequeue && answer is { IsKnown: true, Value.Value: null };
}
