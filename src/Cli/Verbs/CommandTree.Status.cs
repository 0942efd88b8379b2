using System.CommandLine;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Verbs;

/// <summary>Status and waiting.</summary>
internal sealed partial class CommandTree
{
    private void AddStatus()
    {
        var what = new Argument<string?>("SET[/VOLUME]") { Arity = ArgumentArity.ZeroOrOne, Description = "What to show; else everything." };
        var compact = new Option<bool>("-c", "--compact") { Description = "One line for each volume." };
        var unhealthy = new Option<bool>("-x", "--unhealthy") { Description = "Only what is not okay." };
        var watch = new Option<bool>("--watch") { Description = "Show again whenever something changes, until interrupted." };
        var stale = new Option<bool>("--stale") { Description = "What the node asked knows; works without a leader." };
        var command = new Command("status", "Shows the cluster, a disk set or a volume.") { what, compact, unhealthy, watch, stale };
        Add(_root, command, async (parsed, context, token) =>
        {
            var (set, volume) = parsed.GetValue(what) is { } text ? Arguments.SetOrVolume(text) : ((string?)null, null);
            using var client = context.Connect();
            while (true)
            {
                var document = await client.StatusAsync(set, volume, parsed.GetValue(stale), token);
                if (parsed.GetValue(watch) && context.Terminal.IsInteractive && !context.IsJson) context.Terminal.Out.Write("\u001b[H\u001b[2J");
                WriteStatus(context, document, set, parsed.GetValue(compact), parsed.GetValue(unhealthy), parsed.GetValue(watch), volume);
                if (!parsed.GetValue(watch)) return ExitCode.Ok;
                await client.EventsAsync(document.Index, TimeSpan.FromSeconds(1), token);
            }
        });
        AddWait();
    }

    private static async Task<ExitCode> ShowStatusAsync(CliContext context, string set, string? volume, CancellationToken token)
    {
        using var client = context.Connect();
        WriteStatus(context, await client.StatusAsync(set, volume, stale: false, token), set, false, false, false, volume);
        return ExitCode.Ok;
    }

    private static void WriteStatus(
        CliContext context, StatusDocument document, string? set, bool isCompact, bool onlyUnhealthy, bool isRepeated, string? volume = null)
    {
        if (context.IsJson)
        {
            // Repeated documents stand on one line each, so that a reader can tell them apart.
            var json = isRepeated || context.Format == OutputFormat.Jsonl ? ApiJson.Line : ApiJson.Indented;
            context.WriteJson(document, json.StatusDocument);
        }
        else if (isCompact) StatusRenderer.WriteCompact(context.Terminal, document, onlyUnhealthy);
        else if (set is null) StatusRenderer.Write(context.Terminal, document, onlyUnhealthy);
        else
        {
            StatusRenderer.WriteSets(context.Terminal, document, onlyUnhealthy);
            // Whoever looks at one volume may be about to use it.
            if (volume is not null)
            {
                var timeout = ExportReport.TimeoutText(document.Disksets[0].Volumes[0].ClientTimeoutMs);
                context.Terminal.Out.WriteLine($" clients  raftmirror export show {set}/{volume}; time-out {timeout}");
            }
        }
    }

    private void AddWait()
    {
        var what = new Argument<string>("SET[/VOLUME]") { Description = "What to watch." };
        var condition = new Option<string>("--for") { HelpName = "synced|healthy|owner=NODE", Required = true, Description = "What to wait for." };
        Add(_root, new Command("wait", "Waits until a condition holds; default 2 minutes.") { what, condition }, async (parsed, context, token) =>
        {
            var (set, volume) = Arguments.SetOrVolume(parsed.GetRequiredValue(what));
            var text = parsed.GetRequiredValue(condition);
            var holds = WaitConditions.Parse(text, set, volume);
            var timeout = context.Timeout ?? TimeSpan.FromMinutes(2);
            using var client = context.Connect(timeout);
            await client.StatusAsync(set, volume, stale: false, token); // An unknown object is exit 3 at once.
            var (done, last, waited) = await Waiting.UntilAsync(client, timeout, holds, token);
            var report = new WaitReport(parsed.GetRequiredValue(what), text, done, (long)waited.TotalMilliseconds, last?.Index ?? 0);
            if (context.IsJson) context.WriteJson(report, ReportJson.Indented.WaitReport);
            else if (done) context.Terminal.Out.WriteLine($"{report.Object} is {text} after {report.WaitedMs} ms");
            else
            {
                context.Terminal.Error.WriteLine($"raftmirror: {report.Object} is not {text} after {report.WaitedMs} ms");
                context.Terminal.Error.WriteLine($"  to do: see raftmirror status {report.Object}");
            }

            return done ? ExitCode.Ok : ExitCode.WaitTimedOut;
        });
    }
}
