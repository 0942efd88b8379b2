using Microsoft.Extensions.Logging;
using RaftMirror.Cli.Commands;

namespace RaftMirror.Cli.Daemon;

/// <summary>Runs a node for as long as it is wanted: one <see cref="NodeRun"/> after another, each a new incarnation.</summary>
internal static partial class NodeDaemon
{
    /// <summary>Runs until cancelled. An incarnation that was fenced while its process lived (it was paused for too long) ends and is
    /// followed by a new one.</summary>
    /// <returns>0 after a clean stop, else the exit code.</returns>
    public static async Task<int> RunAsync(NodeRunOptions options, CancellationToken cancellationToken)
    {
        using var loggers = LoggerFactory.Create(logging => logging
            .SetMinimumLevel(LogLevel.Information)
            .AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.UseUtcTimestamp = true;
            }));
        var logger = loggers.CreateLogger("RaftMirror");
        Directory.CreateDirectory(
            options.DataDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var telemetry = Telemetry.TelemetryExport.Start(options.Name);
        using var spans = new Telemetry.SpanRing(options.Name);
        while (true)
        {
            var run = await StartAsync(options, spans, loggers, cancellationToken);
            string? end;
            try
            {
                await using (run) end = await run.WaitAsync(cancellationToken);
            }
            catch (ReplicatedLogFailedException failure)
            {
                throw Cannot("logFailed", $"{failure.Message} {Reasons(failure.InnerException)}",
                    "Mend what is wrong with the data directory, then start the node again: it goes on from what is on its disk.");
            }

            if (end is null) return 0;
            LogAgain(logger, end);
        }
    }

    private static async Task<NodeRun> StartAsync(
        NodeRunOptions options, Telemetry.SpanRing spans, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        try
        {
            return await NodeRun.StartAsync(options, spans, loggers, cancellationToken);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidDataException
            or InvalidOperationException or ArgumentException or System.Text.Json.JsonException)
        {
            // A taken port, a data directory of another node, a damaged file: the operator's to mend, not a bug to report.
            throw Cannot("cannotStart", $"Node {options.Name} cannot start: {Reasons(failure)}",
                $"Check --name, --data ({options.DataDirectory}) and the ports. No file of the data directory is repaired or shortened on its own.");
        }
    }

    private static CliFailure Cannot(string code, string what, string help) => new(ExitCode.Refused, new Api.Problem
    {
        Title = "The node does not run",
        Status = 409,
        Detail = what,
        Code = code,
        Applied = "no",
        Help = help,
    });

    /// <summary>The message and those of its causes that say more.</summary>
    private static string Reasons(Exception? failure)
    {
        var text = "";
        for (var cause = failure; cause is not null; cause = cause.InnerException)
        {
            if (!text.Contains(cause.Message, StringComparison.Ordinal)) text += (text.Length > 0 ? " " : "") + cause.Message;
        }

        return text;
    }

    [LoggerMessage(3020, LogLevel.Error, "This incarnation has ended: {Reason}. A new one starts.")]
    private static partial void LogAgain(ILogger logger, string reason);
}

/// <summary>The replicated log can no longer keep its promises: the node must stop, and recover from its disk.</summary>
internal sealed class ReplicatedLogFailedException(Exception cause) : Exception("The replicated log has failed.", cause);
