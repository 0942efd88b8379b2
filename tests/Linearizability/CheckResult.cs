using System.Text;

namespace RaftMirror.Linearizability;

/// <summary>What the checker found.</summary>
public enum Verdict
{
    /// <summary>There is an order of the operations that explains every answer.</summary>
    Linearizable,

    /// <summary>All orders were tried, and none does.</summary>
    NotLinearizable,

    /// <summary>The budget ended first; nothing is known.</summary>
    Unknown,
}

/// <summary>The bounds of one check.</summary>
/// <param name="Budget">Time after which the verdict is <see cref="Verdict.Unknown"/>.</param>
/// <param name="MaxConfigurations">Remembered configurations (some hundred bytes each) after which it is, too.</param>
public sealed record CheckOptions(TimeSpan Budget, int MaxConfigurations = 4_000_000)
{
    public static readonly CheckOptions Default = new(TimeSpan.FromSeconds(30));
}

/// <summary>A verdict with its evidence.</summary>
/// <param name="Verdict">What was found.</param>
/// <param name="Order">If linearizable, an order that explains the history (of a partitioned history: none is kept). Otherwise
/// the order that got furthest: it explains every answer that was given before that of <paramref name="Unplaced"/>.</param>
/// <param name="Unplaced">If not linearizable: the operation that no order explains. The history up to its answer is the
/// shortest beginning that is wrong; everything after may be ignored when the cause is sought.</param>
/// <param name="StateBefore">Text of the state that <paramref name="Order"/> ends in.</param>
/// <param name="Key">The part of the history that this speaks of; null if it was not partitioned.</param>
/// <param name="Configurations">How many configurations were visited, over all parts.</param>
public sealed record CheckResult<TInput, TOutput>(
    Verdict Verdict,
    IReadOnlyList<Operation<TInput, TOutput>> Order,
    Operation<TInput, TOutput>? Unplaced,
    string StateBefore,
    string? Key,
    long Configurations)
{
    /// <summary>The verdict and its evidence, for a test's message.</summary>
    /// <param name="tail">How many operations of the order are shown, the last ones.</param>
    public string Explain(int tail = 20)
    {
        var text = new StringBuilder($"{Verdict}");
        if (Key is not null) text.Append($", key {Key}");
        text.Append($", {Configurations} configurations\n");
        if (Verdict == Verdict.Linearizable) return text.ToString();
        if (Order.Count > tail) text.Append($"  ... {Order.Count - tail} operations before\n");
        foreach (var operation in Order.Skip(Order.Count - tail)) text.Append($"  {operation}\n");
        text.Append($"  state: {StateBefore}\n");
        if (Unplaced is not null) text.Append($"  fits nowhere before its answer: {Unplaced}\n");
        return text.ToString();
    }
}
