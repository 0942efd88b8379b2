namespace RaftMirror.Linearizability.Models;

public enum RegisterAction
{
    Read,
    Write,
    CompareAndSet,
}

/// <param name="Action">What to do.</param>
/// <param name="Value">What is written.</param>
/// <param name="Expected">For compare-and-set: the value that must be there.</param>
public readonly record struct RegisterInput(RegisterAction Action, long Value = 0, long Expected = 0)
{
    public override string ToString() => Action switch
    {
        RegisterAction.Read => "read",
        RegisterAction.Write => $"write {Value}",
        _ => $"cas {Expected} {Value}",
    };
}

/// <param name="Value">What was read; null if nothing was ever written.</param>
/// <param name="Succeeded">False if a compare-and-set found something else.</param>
public readonly record struct RegisterOutput(long? Value, bool Succeeded = true)
{
    public override string ToString() => !Succeeded ? "found another" : Value is { } value ? $"{value}" : "nil";
}

/// <summary>One register that is empty at first, as in Jepsen's tests of etcd.</summary>
public sealed class RegisterModel : IModel<long?, RegisterInput, RegisterOutput>
{
    public long? Initial => null;

    public bool TryApply(long? state, RegisterInput input, Answer<RegisterOutput> answer, out long? next)
    {
        next = state;
        switch (input.Action)
        {
            case RegisterAction.Read:
                return !answer.IsKnown || answer.Value.Value == state;
            case RegisterAction.Write:
                next = input.Value;
                return true;
            default:
                var matches = state == input.Expected;
                if (matches) next = input.Value;
                return !answer.IsKnown || answer.Value.Succeeded == matches;
        }
    }

    public bool IsObservation(RegisterInput input, Answer<RegisterOutput> answer) =>
        input.Action == RegisterAction.Read || (answer.IsKnown && !answer.Value.Succeeded);

    /// <summary>A value matters if it is read or expected by a compare-and-set that may have succeeded; and to have replaced one matters if
    /// some compare-and-set missed that.</summary>
    public Func<long?, long?, bool> FindNoticeable(IReadOnlyList<Operation<RegisterInput, RegisterOutput>> history)
    {
        var seen = new HashSet<long?>();
        var missed = new HashSet<long?>();
        foreach (var operation in history)
        {
            var (input, answer) = (operation.Input, operation.Answer);
            if (input.Action == RegisterAction.Read && answer.IsKnown) seen.Add(answer.Value.Value);
            if (input.Action != RegisterAction.CompareAndSet) continue;
            if (answer.IsKnown && !answer.Value.Succeeded) missed.Add(input.Expected);
            else seen.Add(input.Expected);
        }

        return (before, after) => seen.Contains(after) || missed.Contains(before);
    }
}
