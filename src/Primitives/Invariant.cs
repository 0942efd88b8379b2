using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace RaftMirror.Primitives;

/// <summary>Thrown when a condition that must always hold does not. It is never handled: the node stops,
/// in Release builds too, because data may no longer be what the code believes.</summary>
public sealed class InvariantException : Exception
{
    /// <summary>Creates the exception with what was broken.</summary>
    public InvariantException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with what was broken and what showed it.</summary>
    public InvariantException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Creates the exception without a text.</summary>
    public InvariantException()
    {
    }
}

/// <summary>Checks that stay on in Release builds.</summary>
public static class Invariant
{
    /// <summary>Stops the node if <paramref name="condition"/> is false.</summary>
    /// <param name="condition">What must hold.</param>
    /// <param name="why">Why it must hold, or who guarantees it.</param>
    /// <param name="expression">Filled in by the compiler.</param>
    /// <exception cref="InvariantException">The condition is false.</exception>
    public static void Require(
        [DoesNotReturnIf(false)] bool condition,
        string why,
        [CallerArgumentExpression(nameof(condition))] string expression = "")
    {
        if (!condition) Fail(why, expression);
    }

    /// <summary>Stops the node: this place must be unreachable.</summary>
    [DoesNotReturn]
    public static void Fail(string why, string expression = "unreachable") =>
        throw new InvariantException($"Invariant broken: {expression}. {why}");
}
