using System.Globalization;
using RaftMirror.DataPlane.Mirroring;

namespace RaftMirror.Cli.Output;

/// <summary>What a client that has connections to several nodes must keep to (design §14.25): told where clients are told how to connect.</summary>
internal static class ClientTimeout
{
    private static readonly MirrorOptions Options = new();

    /// <summary>A request is given up no earlier than this after it was sent.</summary>
    public static long MinimumMs => Options.SafeClientTimeoutNs / 1_000_000;

    /// <summary>The sum that makes it, for people.</summary>
    public static string Text => string.Create(
        CultureInfo.InvariantCulture,
        $"at least {MinimumMs} ms before a request is repeated on another standing connection "
        + $"({Options.AnswerAgeNs / 1_000_000} + {Options.WriteAgeNs / 1_000_000} in the nodes, {Options.OnTheWayNs / 1_000_000} on the way to them)");
}
