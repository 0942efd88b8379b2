namespace RaftMirror.Linearizability;

/// <summary>What a client got to know of an operation.</summary>
/// <param name="IsKnown">False after a time-out or a crash: the operation takes effect some time after its invocation, or never.</param>
/// <param name="Value">The answer, if known.</param>
public readonly record struct Answer<TOutput>(bool IsKnown, TOutput Value)
{
    public override string ToString() => IsKnown ? $"{Value}" : "?";
}

/// <summary>Makes known answers; the default of <see cref="Answer{TOutput}"/> is the unknown one.</summary>
public static class Answer
{
    public static Answer<TOutput> Of<TOutput>(TOutput value) => new(true, value);
}

/// <summary>One operation of a history. An operation that certainly had no effect is left out of a history, not listed.</summary>
/// <param name="Client">Who asked; for reports only.</param>
/// <param name="Input">What was asked.</param>
/// <param name="Answer">What came back.</param>
/// <param name="InvokedAt">When it was asked, by any clock that all clients of the history share.</param>
/// <param name="ReturnedAt">When the answer was seen, not before <paramref name="InvokedAt"/>; ignored if the answer is unknown.
/// Operations that touch at one stamp count as concurrent.</param>
public sealed record Operation<TInput, TOutput>(
    int Client, TInput Input, Answer<TOutput> Answer, long InvokedAt, long ReturnedAt)
{
    public override string ToString() =>
        $"client {Client} [{InvokedAt}..{(Answer.IsKnown ? ReturnedAt : "")}] {Input} -> {Answer}";
}
