namespace RaftMirror.Linearizability.Models;

public enum SetAction
{
    Add,
    Remove,
    List,
}

/// <param name="Action">What to do.</param>
/// <param name="Key">Which set.</param>
/// <param name="Value">What is added or removed; without a comma.</param>
public sealed record SetInput(SetAction Action, string Key, string Value = "")
{
    public override string ToString() => Action switch
    {
        SetAction.Add => $"add {Key} '{Value}'",
        SetAction.Remove => $"remove {Key} '{Value}'",
        _ => $"list {Key}",
    };
}

/// <param name="Changed">Was it not there before it was added, or there before it was removed? Ignored for a list.</param>
/// <param name="Values">What a list showed: values in ordinal order, each with a comma after it. Ignored otherwise.</param>
public sealed record SetOutput(bool Changed, string Values = "")
{
    public override string ToString() => Values.Length > 0 ? $"{{{Values}}}" : Changed ? "changed" : "as before";
}

/// <summary>A set of texts; for use with <see cref="Checker.CheckByKey"/>. The state is what a list shows.</summary>
public sealed class SetModel : IModel<string, SetInput, SetOutput>
{
    public string Initial => string.Empty;

    public static string KeyOf(SetInput input) => input.Key;

    public bool TryApply(string state, SetInput input, Answer<SetOutput> answer, out string next)
    {
        next = state;
        if (input.Action == SetAction.List) return !answer.IsKnown || answer.Value.Values == state;
        var values = new SortedSet<string>(state.Split(',', StringSplitOptions.RemoveEmptyEntries), StringComparer.Ordinal);
        var changed = input.Action == SetAction.Add ? values.Add(input.Value) : values.Remove(input.Value);
        if (changed) next = string.Concat(values.Select(value => value + ","));
        return !answer.IsKnown || answer.Value.Changed == changed;
    }

    public bool IsObservation(SetInput input, Answer<SetOutput> answer) =>
        input.Action == SetAction.List || (answer.IsKnown && !answer.Value.Changed);
}
