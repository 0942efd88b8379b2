using Microsoft.AspNetCore.Http;
using RaftMirror.ControlPlane.Commands;

namespace RaftMirror.Cli.Api;

/// <summary>How outcomes become problem documents: one table for every endpoint.</summary>
internal static class ProblemCodes
{
    public const string NoLeader = "noLeader";
    public const string OutcomeUnknown = "outcomeUnknown";
    public const string InternalError = "internalError";
    public const string BadRequest = "badRequest";
    public const string NotFound = "notFound";

    /// <summary>The leader's log cannot grow.</summary>
    public const string LogFull = "logFull";

    /// <summary>The problem that tells of a command that was not applied, or maybe not.</summary>
    public static Problem FromResult(ApiResult result)
    {
        var (status, title, applied, retryable) = result.Outcome switch
        {
            ApiOutcome.Rejected => result.Rejection switch
            {
                RejectionKind.NotFound => (StatusCodes.Status404NotFound, "No such object", "no", false),
                RejectionKind.Usage => (StatusCodes.Status400BadRequest, "The request is malformed", "no", false),
                RejectionKind.NotAllowed => (StatusCodes.Status403Forbidden, "Not allowed", "no", false),
                _ => (StatusCodes.Status409Conflict, "Refused", "no", false),
            },
            ApiOutcome.NotApplied => (StatusCodes.Status503ServiceUnavailable, "No leader or no quorum", "no", true),
            ApiOutcome.Unknown => (StatusCodes.Status504GatewayTimeout, "The outcome is unknown", "unknown", true),
            _ => (StatusCodes.Status500InternalServerError, "Not a problem", "yes", false),
        };
        return new Problem
        {
            Title = title,
            Status = status,
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
        Status = StatusCodes.Status503ServiceUnavailable,
        Detail = detail,
        Code = NoLeader,
        Applied = "no",
        Retryable = true,
        Help = "Start or reach a majority of the nodes; reads with ?consistency=stale work without a leader.",
    };

    public static Problem Barred(NodeBarredException barred) => new()
    {
        Title = "This node does not serve",
        Status = StatusCodes.Status503ServiceUnavailable,
        Detail = barred.Message,
        Code = barred.Code,
        Applied = "no",
        Retryable = true,
        Help = barred.Help,
    };

    public static Problem Missing(string detail) => new()
    {
        Title = "No such object",
        Status = StatusCodes.Status404NotFound,
        Detail = detail,
        Code = NotFound,
        Applied = "no",
    };

    public static Problem Malformed(string detail) => new()
    {
        Title = "The request is malformed",
        Status = StatusCodes.Status400BadRequest,
        Detail = detail,
        Code = BadRequest,
        Applied = "no",
    };
}
