using System.Net;

namespace RaftMirror.Contracts;

/// <summary>How outcomes become problem documents: one table for every endpoint.</summary>
internal static class ProblemCodes
{
    public const string NoLeader = "noLeader";
    public const string OutcomeUnknown = "outcomeUnknown";
    public const string InternalError = "internalError";
    public const string BadRequest = "badRequest";
    public const string NotFound = "notFound";

    /// <summary>The id of a request was made too long ago.</summary>
    public const string TooOld = "tooOld";

    /// <summary>The id of a request was made in what is the future to the cluster.</summary>
    public const string ClockAhead = "clockAhead";

    /// <summary>The leader's log cannot grow.</summary>
    public const string LogFull = "logFull";

    /// <summary>The problem that tells of a command that was not applied, or maybe not.</summary>
    public static Problem FromResult(ApiResult result)
    {
        var (status, title, applied, retryable) = result.Outcome switch
        {
            ApiOutcome.Rejected => result.Rejection switch
            {
                RejectionKind.NotFound => (HttpStatusCode.NotFound, "No such object", "no", false),
                RejectionKind.Usage => (HttpStatusCode.BadRequest, "The request is malformed", "no", false),
                RejectionKind.NotAllowed => (HttpStatusCode.Forbidden, "Not allowed", "no", false),
                _ => (HttpStatusCode.Conflict, "Refused", "no", false),
            },
            ApiOutcome.NotApplied => (HttpStatusCode.ServiceUnavailable, "No leader or no quorum", "no", true),
            ApiOutcome.Unknown => (HttpStatusCode.GatewayTimeout, "The outcome is unknown", "unknown", true),
            _ => (HttpStatusCode.InternalServerError, "Not a problem", "yes", false),
        };
        return new Problem
        {
            Title = title,
            Status = (int)status,
            Detail = result.Message,
            Code = result.Code,
            Applied = applied,
            Retryable = retryable,
            RequestId = result.RequestId,
            TraceId = result.TraceId,
            Help = result.Help ?? (result.Outcome switch
            {
                ApiOutcome.NotApplied => "Start or reach a majority of the nodes, then repeat the command.",
                ApiOutcome.Unknown => "Repeat the command with the same request id: it is carried out at most once.",
                _ => null,
            }),
            Details = result.Details,
        };
    }

    public static Problem Unavailable(string detail) => new()
    {
        Title = "No leader or no quorum",
        Status = (int)HttpStatusCode.ServiceUnavailable,
        Detail = detail,
        Code = NoLeader,
        Applied = "no",
        Retryable = true,
        Help = "Start or reach a majority of the nodes; reads with ?consistency=stale work without a leader.",
    };

    /// <summary>A node's state is not to be trusted, or is of the past.</summary>
    public static Problem Barred(string code, string message, string help) => new()
    {
        Title = "This node does not serve",
        Status = (int)HttpStatusCode.ServiceUnavailable,
        Detail = message,
        Code = code,
        Applied = "no",
        Retryable = true,
        Help = help,
    };

    public static Problem Missing(string detail) => new()
    {
        Title = "No such object",
        Status = (int)HttpStatusCode.NotFound,
        Detail = detail,
        Code = NotFound,
        Applied = "no",
    };

    public static Problem Malformed(string detail) => new()
    {
        Title = "The request is malformed",
        Status = (int)HttpStatusCode.BadRequest,
        Detail = detail,
        Code = BadRequest,
        Applied = "no",
    };
}
