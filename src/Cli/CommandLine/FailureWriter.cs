using System.Net;
using System.Text.Json;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.CommandLine;

/// <summary>Says on stderr what was wrong, why, what to do, and whether anything was applied.</summary>
internal static class FailureWriter
{
    public static void Write(Terminal terminal, CliFailure failure, bool isJson, IReadOnlyList<string> args)
    {
        var problem = failure.Problem;
        if (failure.ExitCode == ExitCode.OutcomeUnknown && problem.RequestId is { } id && id != Guid.Empty)
            problem = problem with { Help = $"Repeat exactly this; it is carried out at most once: {Repeat(args, id)}" };
        if (isJson)
        {
            terminal.Error.WriteLine(JsonSerializer.Serialize(problem, ApiJson.Line.Problem));
            return;
        }

        terminal.Error.WriteLine($"raftmirror: {problem.Detail ?? problem.Title}");
        foreach (var answer in problem.Details) terminal.Error.WriteLine($"  node {answer.Node}: {(answer.Ok ? "can" : "cannot")}: {answer.Message}");
        if (problem.Help is { } help) terminal.Error.WriteLine($"  to do: {help}");
        if (failure.ExitCode == ExitCode.Usage && problem.Code == "usage") return; // Nothing was even asked.
        terminal.Error.WriteLine(problem.Applied switch
        {
            "no" => "  applied: no, nothing was changed",
            "yes" => "  applied: yes",
            _ => "  applied: unknown",
        } + $" ({problem.Code}{(problem.TraceId is { } trace ? $", trace {trace[..Math.Min(8, trace.Length)]}" : "")})");
    }

    public static CliFailure Bug(Exception failure) => new(ExitCode.InternalError, new Problem
    {
        Title = "Internal error",
        Status = (int)HttpStatusCode.InternalServerError,
        Detail = $"{failure.GetType().Name}: {failure.Message}",
        Code = ProblemCodes.InternalError,
        Applied = "unknown",
        Help = "This is a bug; please report it with the command line and the node's log.",
    });

    /// <summary>The command line with a request id, quoted for a shell.</summary>
    internal static string Repeat(IReadOnlyList<string> args, Guid requestId)
    {
        var kept = new List<string> { "raftmirror" };
        for (var i = 0; i < args.Count; i++)
        {
            if (args[i] == "--request-id") i++;
            else if (!args[i].StartsWith("--request-id=", StringComparison.Ordinal)) kept.Add(Quote(args[i]));
        }

        return string.Join(' ', [.. kept, "--request-id", requestId.ToString()]);
    }

    private static string Quote(string text) =>
        text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || "-_./:=,@+%".Contains(c))
            ? text : $"'{text.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
