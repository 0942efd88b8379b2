namespace RaftMirror.Linearizability.Models;

public enum KeyValueAction
{
    Get,
    Put,
    Append,
    CompareAndSet,
}

/// <param name="Action">What to do.</param>
/// <param name="Key">Whose value.</param>
/// <param name="Value">What is put, appended or set.</param>
/// <param name="Expected">For compare-and-set: the value that must be there; null for none.</param>
public sealed record KeyValueInput(KeyValueAction Action, string Key, string Value = "", string? Expected = null)
{
    public override string ToString() => Action switch
    {
        KeyValueAction.Get => $"get {Key}",
        KeyValueAction.CompareAndSet => $"cas {Key} '{Expected}' '{Value}'",
        KeyValueAction.Put => $"put {Key} '{Value}'",
        _ => $"append {Key} '{Value}'",
    };
}

/// <param name="Value">What was got; null if the key has none. Ignored for other actions.</param>
/// <param name="Succeeded">False if a compare-and-set found something else.</param>
public sealed record KeyValueOutput(string? Value = null, bool Succeeded = true)
{
    public override string ToString() => !Succeeded ? "found another" : Value is null ? "none" : $"'{Value}'";
}

/// <summary>One key of a map; for use with <see cref="Checker.CheckByKey"/> and <see cref="KeyOf"/>. An append to no value
/// makes one. With distinct texts, appends tell a lost from a duplicated command.</summary>
public sealed class KeyValueModel : IModel<string?, KeyValueInput, KeyValueOutput>
{
    public string? Initial => null;

    public static string KeyOf(KeyValueInput input) => input.Key;

    public bool TryApply(string? state, KeyValueInput input, Answer<KeyValueOutput> answer, out string? next)
    {
        next = state;
        switch (input.Action)
        {
            case KeyValueAction.Get:
                return !answer.IsKnown || answer.Value.Value == state;
            case KeyValueAction.Put:
                next = input.Value;
                return true;
            case KeyValueAction.Append:
                next = state + input.Value;
                return true;
            default:
                var matches = state == input.Expected;
                if (matches) next = input.Value;
                return !answer.IsKnown || answer.Value.Succeeded == matches;
        }
    }

    public bool IsObservation(KeyValueInput input, Answer<KeyValueOutput> answer) =>
        input.Action == KeyValueAction.Get || (answer.IsKnown && !answer.Value.Succeeded);

    /// <summary>A value matters if it, or what appends made of it, is got or expected by a compare-and-set that may have succeeded; and to have
    /// replaced one matters if some compare-and-set missed that or what appends would have made of it.</summary>
    public Func<string?, string?, bool> FindNoticeable(IReadOnlyList<Operation<KeyValueInput, KeyValueOutput>> history)
    {
        var seen = new List<string?>();
        var missed = new List<string?>();
        foreach (var operation in history)
        {
            var (input, answer) = (operation.Input, operation.Answer);
            if (input.Action == KeyValueAction.Get && answer.IsKnown) seen.Add(answer.Value.Value);
            if (input.Action != KeyValueAction.CompareAndSet) continue;
            if (answer.IsKnown && !answer.Value.Succeeded) missed.Add(input.Expected);
            else seen.Add(input.Expected);
        }

        var sortedSeen = Sorted(seen);
        var sortedMissed = Sorted(missed);
        return (before, after) => IsBeginning(sortedSeen, after) || IsBeginning(sortedMissed, before);
    }

    /// <summary>No value counts as an empty one: both are the beginning of everything.</summary>
    private static string[] Sorted(List<string?> values) =>
        [.. values.Select(value => value ?? string.Empty).Distinct().Order(StringComparer.Ordinal)];

    private static bool IsBeginning(string[] sorted, string? value)
    {
        value ??= string.Empty;
        var place = Array.BinarySearch(sorted, value, StringComparer.Ordinal);
        if (place >= 0) return true;
        return ~place < sorted.Length && sorted[~place].StartsWith(value, StringComparison.Ordinal);
    }
}
