using Microsoft.AspNetCore.Http;
using RaftMirror.Cli.Api;
using RaftMirror.Cli.Output;

namespace RaftMirror.Cli.Commands;

/// <summary>Ends a command: what was wrong, why, what to do and whether anything was applied.</summary>
internal sealed class CliFailure(ExitCode exitCode, Problem problem) : Exception(problem.Detail ?? problem.Title)
{
    public ExitCode ExitCode { get; } = exitCode;

    public Problem Problem { get; } = problem;

    /// <summary>The command line is wrong.</summary>
    public static CliFailure Usage(string what, string? help = null) => new(ExitCode.Usage, new Problem
    {
        Title = "The command line is wrong",
        Status = StatusCodes.Status400BadRequest,
        Detail = what,
        Code = "usage",
        Applied = "no",
        Help = help,
    });

    public static CliFailure NotFound(string what) => new(ExitCode.NotFound, ProblemCodes.Missing(what));

    /// <summary>Nobody could be asked.</summary>
    public static CliFailure Unreachable(string what, string help) => new(ExitCode.Unavailable, new Problem
    {
        Title = "No node reachable",
        Status = StatusCodes.Status503ServiceUnavailable,
        Detail = what,
        Code = "unreachable",
        Applied = "no",
        Retryable = true,
        Help = help,
    });

    /// <summary>Stdout does not take the result.</summary>
    /// <param name="failure">Why.</param>
    /// <param name="applied">Whether the command had changed anything by then: yes, no or unknown.</param>
    public static CliFailure OfOutput(OutputFailure failure, string applied) => new(ExitCode.OutputFailed, new Problem
    {
        Title = "The output cannot be written",
        Status = StatusCodes.Status409Conflict,
        Detail = failure.Message,
        Code = "outputFailed",
        Applied = applied,
        Help = "Let stdout go where there is room for it; look at the state with raftmirror status before repeating a command that changes something.",
    });

    /// <summary>A problem that a node answered with.</summary>
    public static CliFailure FromProblem(Problem problem) => new(
        problem.Applied == "unknown" ? ExitCode.OutcomeUnknown : problem.Status switch
        {
            StatusCodes.Status400BadRequest => ExitCode.Usage,
            StatusCodes.Status404NotFound => ExitCode.NotFound,
            StatusCodes.Status403Forbidden => ExitCode.NotAllowed,
            StatusCodes.Status503ServiceUnavailable => ExitCode.Unavailable,
            StatusCodes.Status504GatewayTimeout => ExitCode.OutcomeUnknown,
            >= 500 => ExitCode.InternalError,
            _ => ExitCode.Refused,
        },
        problem);
}
