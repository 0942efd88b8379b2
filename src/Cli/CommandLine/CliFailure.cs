using System.Net;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.CommandLine;

/// <summary>Ends a command: what was wrong, why, what to do and whether anything was applied.</summary>
internal sealed class CliFailure(ExitCode exitCode, Problem problem) : Exception(problem.Detail ?? problem.Title)
{
    public ExitCode ExitCode { get; } = exitCode;

    public Problem Problem { get; } = problem;

    /// <summary>The command line is wrong.</summary>
    public static CliFailure Usage(string what, string? help = null) => new(ExitCode.Usage, new Problem
    {
        Title = "The command line is wrong",
        Status = (int)HttpStatusCode.BadRequest,
        Detail = what,
        Code = "usage",
        Applied = "no",
        Help = help,
    });

    public static CliFailure NotFound(string what) => new(ExitCode.NotFound, ProblemCodes.Missing(what));

    /// <summary>Stdout does not take the result.</summary>
    /// <param name="failure">Why.</param>
    /// <param name="applied">Whether the command had changed anything by then: yes, no or unknown.</param>
    public static CliFailure OfOutput(OutputFailure failure, string applied) => new(ExitCode.OutputFailed, new Problem
    {
        Title = "The output cannot be written",
        Status = (int)HttpStatusCode.Conflict,
        Detail = failure.Message,
        Code = "outputFailed",
        Applied = applied,
        Help = "Let stdout go where there is room for it; look at the state with raftmirror status before repeating a command that changes something.",
    });

    /// <summary>A problem that a node answered with, or that none could be asked.</summary>
    public static CliFailure From(ApiException failure) => FromProblem(failure.Problem);

    /// <summary>A problem that a node answered with.</summary>
    public static CliFailure FromProblem(Problem problem) => new(
        ApiException.KindOf(problem) switch
        {
            ProblemKind.Usage => ExitCode.Usage,
            ProblemKind.NotFound => ExitCode.NotFound,
            ProblemKind.Refused => ExitCode.Refused,
            ProblemKind.NotAllowed => ExitCode.NotAllowed,
            ProblemKind.Unavailable => ExitCode.Unavailable,
            ProblemKind.OutcomeUnknown => ExitCode.OutcomeUnknown,
            _ => ExitCode.InternalError,
        },
        problem);
}
