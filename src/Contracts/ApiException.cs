using System.Net;

namespace RaftMirror.Contracts;

/// <summary>What a problem means for whoever asked: one word for each way to end.</summary>
internal enum ProblemKind
{
    /// <summary>The request is malformed.</summary>
    Usage,

    /// <summary>No such object.</summary>
    NotFound,

    /// <summary>The state does not allow it.</summary>
    Refused,

    /// <summary>Never allowed.</summary>
    NotAllowed,

    /// <summary>No node, no leader or no quorum; nothing was applied.</summary>
    Unavailable,

    /// <summary>It may or may not be applied.</summary>
    OutcomeUnknown,

    /// <summary>A bug.</summary>
    InternalError,
}

/// <summary>A node answered with a problem, or none could be asked.</summary>
internal sealed class ApiException(Problem problem) : Exception(problem.Detail ?? problem.Title)
{
    public Problem Problem { get; } = problem;

    public ProblemKind Kind => KindOf(Problem);

    /// <summary>Nobody could be asked.</summary>
    public static ApiException Unreachable(string what, string help) => new(new Problem
    {
        Title = "No node reachable",
        Status = (int)HttpStatusCode.ServiceUnavailable,
        Detail = what,
        Code = "unreachable",
        Applied = "no",
        Retryable = true,
        Help = help,
    });

    public static ProblemKind KindOf(Problem problem) => problem.Applied == "unknown" ? ProblemKind.OutcomeUnknown : (HttpStatusCode)problem.Status switch
    {
        HttpStatusCode.BadRequest => ProblemKind.Usage,
        HttpStatusCode.NotFound => ProblemKind.NotFound,
        HttpStatusCode.Forbidden => ProblemKind.NotAllowed,
        HttpStatusCode.ServiceUnavailable => ProblemKind.Unavailable,
        HttpStatusCode.GatewayTimeout => ProblemKind.OutcomeUnknown,
        >= HttpStatusCode.InternalServerError => ProblemKind.InternalError,
        _ => ProblemKind.Refused,
    };
}
