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
            var run = await NodeRun.StartAsync(options, spans, loggers, cancellationToken);
            string? end;
            await using (run) end = await run.WaitAsync(cancellationToken);
            if (end is null) return 0;
            LogAgain(logger, end);
        }
    }

    [LoggerMessage(3020, LogLevel.Error, "This incarnation has ended: {Reason}. A new one starts.")]
    private static partial void LogAgain(ILogger logger, string reason);
}
