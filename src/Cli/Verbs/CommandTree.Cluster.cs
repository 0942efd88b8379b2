using System.CommandLine;
using System.Runtime.InteropServices;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.Primitives;

namespace RaftMirror.Cli.Verbs;

/// <summary>Events, traces, version.</summary>
internal sealed partial class CommandTree
{
    private void AddEvents()
    {
        var group = AddGroup("event", "What happened, by log index.");
        var since = new Option<ulong>("--since") { HelpName = "INDEX", Description = "Only events above this log index." };
        Add(group, new Command("list", "Lists events.") { since }, async (parsed, context, token) =>
        {
            using var client = context.Connect();
            EventPrinter.Write(context, await EventPrinter.ReadAllAsync(client, parsed.GetValue(since), token));
            return ExitCode.Ok;
        });
        var from = new Option<ulong?>("--since") { HelpName = "INDEX", Description = "Only events above this log index; else from now on." };
        Add(group, new Command("watch", "Prints events as they happen, until interrupted; goes on at another node if one fails.") { from }, async (parsed, context, token) =>
        {
            using var client = context.Connect();
            var position = parsed.GetValue(from) ?? (await client.StatusAsync(null, null, stale: true, token)).Index;
            while (true)
            {
                var page = await client.EventsAsync(position, TimeSpan.FromSeconds(10), token);
                foreach (var item in page.Events) EventPrinter.WriteOne(context, item);
                await context.Terminal.Out.FlushAsync(token);
                position = page.NextSince;
            }
        });
    }

    private void AddTraces()
    {
        var group = AddGroup("trace", "Spans that the nodes keep: what took how long, where.");
        var about = new Option<string>("--volume") { HelpName = "SET/VOLUME", Description = "Only traces about this volume." };
        var limit = new Option<int>("--limit") { HelpName = "N", DefaultValueFactory = _ => 20, Description = "Most traces to list." };
        Add(group, new Command("list", "Lists traces, newest first.") { about, limit }, async (parsed, context, token) =>
        {
            var volume = VolumeFilter(parsed.GetValue(about));
            var most = parsed.GetValue(limit);
            if (most is < 1 or > 1000) throw CliFailure.Usage($"--limit: {most} is not from 1 to 1000.");
            using var client = context.Connect();
            var traces = TraceRenderer.Summarize(await client.TracesAsync(volume, most, token));
            if (context.IsJson) context.WriteJson([.. traces], ReportJson.Indented.TraceSummaryArray);
            else TraceRenderer.WriteList(context.Terminal, traces);
            return ExitCode.Ok;
        });
        var id = new Argument<string>("ID") { DefaultValueFactory = _ => "last", Description = "'last', or the first 4 to 32 digits of a trace id." };
        Add(group, new Command("show", "Shows one trace over all nodes.") { id, about }, async (parsed, context, token) =>
        {
            var trace = parsed.GetValue(id)!;
            if (trace != "last" && (trace.Length is < 4 or > 32 || !trace.All(char.IsAsciiHexDigit)))
                throw CliFailure.Usage($"'{trace}' is not a trace.", "Give 'last' or the first 4 to 32 hexadecimal digits of its id.");
            var volume = VolumeFilter(parsed.GetValue(about));
            using var client = context.Connect();
            var page = await client.TraceAsync(trace, volume, token);
            if (context.IsJson) context.WriteJson(page, ApiJson.Indented.SpanPage);
            else TraceRenderer.Write(context.Terminal, page);
            return ExitCode.Ok;
        });
    }

    private static string? VolumeFilter(string? text)
    {
        if (text is null) return null;
        var (set, volume) = Arguments.Volume(text);
        return $"{set}/{volume}";
    }

    private void AddVersion() => Add(_root, new Command("version", "Prints the version."), (_, context, _) =>
    {
        if (context.IsJson) context.WriteJson(new VersionReport(BuildInfo.Version, RuntimeInformation.FrameworkDescription), ReportJson.Indented.VersionReport);
        else context.Terminal.Out.WriteLine($"raftmirror {BuildInfo.Version} ({RuntimeInformation.FrameworkDescription})");
        return Task.FromResult(ExitCode.Ok);
    });
}
