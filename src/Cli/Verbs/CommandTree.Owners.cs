using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;

namespace RaftMirror.Cli.Verbs;

/// <summary>Ownership.</summary>
internal sealed partial class CommandTree
{
    private static readonly string[] OwnerEvents = ["OwnerChanged", "OwnershipTransferStarted", "TransferCancelled"];

    private void AddOwner()
    {
        var group = AddGroup("owner", "Which node writes a volume.");
        var shown = VolumeArgument();
        Add(group, new Command("show", "Shows a volume's owner.") { shown }, async (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(shown));
            using var client = context.Connect();
            var volume = (await client.StatusAsync(set, name, stale: false, token)).Disksets[0].Volumes[0];
            if (context.IsJson)
                context.WriteJson(new OwnerReport { Volume = $"{set}/{name}", Owner = volume.Owner }, ReportJson.Indented.OwnerReport);
            else context.Terminal.Out.WriteLine(StatusRenderer.Owner(volume));
            return ExitCode.Ok;
        });
        var moved = VolumeArgument();
        var to = new Option<string>("--to") { HelpName = "NODE", Required = true, Description = "Node that shall own the volume." };
        Add(group, new Command("move", "Moves ownership: the owner stops, drains and flushes first.") { moved, to }, (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(moved));
            return MoveOwnerAsync(context, set, name, Arguments.Name(parsed.GetRequiredValue(to), "node"), token);
        });
        var history = VolumeArgument();
        Add(group, new Command("history", "Lists changes of ownership.") { history }, async (parsed, context, token) =>
        {
            var (set, name) = Arguments.Volume(parsed.GetRequiredValue(history));
            using var client = context.Connect();
            await client.StatusAsync(set, name, stale: false, token); // An unknown volume is an error, not an empty list.
            var events = (await EventPrinter.ReadAllAsync(client, 0, token))
                .Where(item => OwnerEvents.Contains(Text(item, "type")) && Text(item, "set") == set && Text(item, "volume") == name).ToList();
            EventPrinter.Write(context, events);
            return ExitCode.Ok;
        });
    }

    private static async Task<ExitCode> MoveOwnerAsync(CliContext context, string set, string name, string to, CancellationToken token)
    {
        using var client = context.Connect();
        var before = (await client.StatusAsync(set, name, stale: false, token)).Disksets[0].Volumes[0].Owner;
        var clock = Stopwatch.StartNew();
        var result = await client.SubmitAsync(
            context.Request(CommandTypes.MoveOwner, new MoveOwnerOperation(set, name, to), OperationJson.Default.MoveOwnerOperation), token);
        if (result.Outcome == ApiOutcome.Checked)
        {
            context.WriteResult(result, _ => "");
            return ExitCode.Ok;
        }

        OwnerStatus? now = null;
        var ended = await Waiting.UntilAsync(client, context.Timeout ?? TimeSpan.FromSeconds(30), document =>
        {
            now = document.Disksets.FirstOrDefault(item => item.Name == set)?.Volumes.FirstOrDefault(item => item.Name == name)?.Owner;
            return document.Index >= result.Index && now is null or { MovingTo: null };
        }, token);
        if (!ended.Holds || now?.Node != to) throw await MoveFailedAsync(client, set, name, to, result, ended.Holds, token);
        var report = new OwnerReport
        {
            Volume = $"{set}/{name}",
            Owner = now,
            Previous = before,
            DurationMs = (long)clock.Elapsed.TotalMilliseconds,
            TraceId = result.TraceId,
            RequestId = result.RequestId,
        };
        CliContext.WriteAfter(result, () =>
        {
            if (context.IsJson) context.WriteJson(report, ReportJson.Indented.OwnerReport);
            else
            {
                context.Terminal.Out.WriteLine(
                    $"owner of {set}/{name}: {(before is null ? "none" : $"{before.Node}@{before.Epoch}")} -> {now.Node}@{now.Epoch} "
                    + $"in {report.DurationMs} ms; raftmirror trace show {result.TraceId?[..8]}");
            }
        });
        return ExitCode.Ok;
    }

    private static async Task<CliFailure> MoveFailedAsync(
        ApiClient client, string set, string name, string to, ApiResult result, bool ended, CancellationToken token)
    {
        var events = await EventPrinter.ReadAllAsync(client, result.Index > 0 ? result.Index - 1 : 0, token);
        var why = events.LastOrDefault(item => Text(item, "type") == "TransferCancelled" && Text(item, "set") == set && Text(item, "volume") == name);
        var reason = why.ValueKind == JsonValueKind.Object ? Text(why, "why") : null;
        return new CliFailure(ended ? ExitCode.Refused : ExitCode.WaitTimedOut, new Problem
        {
            Title = "Ownership did not move",
            Status = 409,
            Detail = ended
                ? $"The transfer of {set}/{name} to {to} was started and then given up: {(reason ?? "another change of owner overtook it").TrimEnd('.')}."
                : $"The transfer of {set}/{name} to {to} is started but has not ended yet.",
            Code = ended ? "transferCancelled" : "transferPending",
            Applied = "yes",
            Retryable = ended,
            RequestId = result.RequestId,
            TraceId = result.TraceId,
            Help = $"See raftmirror owner history {set}/{name}; then move it again, under a new request id.",
        });
    }

    private static string? Text(JsonElement item, string property) =>
        item.TryGetProperty(property, out var value)
            ? value.ValueKind == JsonValueKind.String ? value.GetString() : value.ValueKind == JsonValueKind.Null ? null : value.GetRawText()
            : null;
}
