using Microsoft.Extensions.Logging;
using RaftMirror.Contracts;
using RaftMirror.Node.Telemetry;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Hosting;

/// <summary>Runs a node for as long as it is wanted: one <see cref="NodeRun"/> after another, each a new incarnation.</summary>
internal static partial class NodeDaemon
{
    /// <summary>How often a node that found no space to start tries again.</summary>
    private static readonly TimeSpan SpaceRetry = TimeSpan.FromSeconds(1);

    /// <summary>Runs until cancelled. An incarnation that was fenced while its process lived (it was paused for too long) ends and is
    /// followed by a new one.</summary>
    /// <returns>True after a clean stop; false if something was left that the others must merge.</returns>
    public static async Task<bool> RunAsync(NodeRunOptions options, CancellationToken cancellationToken)
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
        using var telemetry = TelemetryExport.Start(options.Name);
        using var spans = new SpanRing(options.Name);
        while (true)
        {
            if (await StartWithSpaceAsync(options, spans, loggers, logger, cancellationToken) is not { } run) return true;
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

            if (end is null) return run.IsClean;
            LogAgain(logger, end);
        }
    }

    /// <summary>A directory in which a node's start number cannot be written, since its file system is full, has what it needs as soon as there is space
    /// (design §14.22): the node waits for it and says so, once.</summary>
    /// <returns>Null if it was told to stop meanwhile.</returns>
    private static async Task<NodeRun?> StartWithSpaceAsync(
        NodeRunOptions options, SpanRing spans, ILoggerFactory loggers, ILogger logger, CancellationToken cancellationToken)
    {
        var isWaiting = false;
        while (true)
        {
            try
            {
                var run = await StartAsync(options, spans, loggers, cancellationToken);
                if (isWaiting) LogHasSpace(logger, options.Name, options.DataDirectory);
                return run;
            }
            catch (Exception failure) when (IsOutOfSpace(failure))
            {
                if (!isWaiting) LogWaitsForSpace(logger, options.Name, options.DataDirectory, Reasons(failure));
                isWaiting = true;
            }

            try
            {
                await Task.Delay(SpaceRetry, cancellationToken);
            }
            catch (OperationCanceledException)
            {
                return null;
            }
        }
    }

    private static bool IsOutOfSpace(Exception failure)
    {
        for (var cause = failure; cause is not null; cause = cause.InnerException!)
        {
            if (cause is IOException && ErrnoText.IsOutOfSpace(cause.HResult)) return true;
        }

        return false;
    }

    private static async Task<NodeRun> StartAsync(
        NodeRunOptions options, SpanRing spans, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        try
        {
            Directory.CreateDirectory(
                options.DataDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            return await NodeRun.StartAsync(options, spans, loggers, cancellationToken);
        }
        catch (Exception failure) when (!IsOutOfSpace(failure) && failure is IOException or UnauthorizedAccessException or InvalidDataException
            or InvalidOperationException or ArgumentException or System.Text.Json.JsonException)
        {
            // A taken port, a data directory of another node, a damaged file: the operator's to mend, not a bug to report.
            throw Cannot("cannotStart", $"Node {options.Name} cannot start: {Reasons(failure)}",
                $"Check --name, --data ({options.DataDirectory}) and the ports. No file of the data directory is repaired or shortened on its own.");
        }
    }

    private static ApiException Cannot(string code, string what, string help) => new(new Problem
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

    [LoggerMessage(3021, LogLevel.Error, "Node {Name} cannot start yet: there is no space in {Directory}: {Reason} Free space there: it goes on by itself. Nothing is lost; the other nodes serve meanwhile")]
    private static partial void LogWaitsForSpace(ILogger logger, string name, string directory, string reason);

    [LoggerMessage(3022, LogLevel.Information, "Node {Name} has space in {Directory} and has started")]
    private static partial void LogHasSpace(ILogger logger, string name, string directory);

    [LoggerMessage(3020, LogLevel.Error, "This incarnation has ended: {Reason}. A new one starts.")]
    private static partial void LogAgain(ILogger logger, string reason);
}

/// <summary>The replicated log can no longer keep its promises: the node must stop, and recover from its disk.</summary>
internal sealed class ReplicatedLogFailedException(Exception cause) : Exception("The replicated log has failed.", cause);
