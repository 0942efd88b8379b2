using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using RaftMirror.Contracts;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Node.Http;

/// <summary>The replicated log itself: who takes part, what stands in it.</summary>
internal sealed partial class ApiServer
{
    private const int DefaultLogEntries = 20;
    private const int MaxLogEntries = 10_000;

    private Task MembersAsync(HttpContext context) => ChangeAsync(
        context, "change members", ApiJson.Default.MemberRequest,
        request => !Names.IsValid(request.Name) ? $"'{request.Name}' is not a node name."
            : request.Priority is < 0 or > 255 ? "priority is from 0 to 255."
            : request.TimeoutMs is <= 0 or > MaxCommandMs ? $"timeoutMs must be from 1 to {MaxCommandMs}."
            : request.Peer is { } peer && HostPort.TryParse(peer, out _) is { } bad ? bad
            : request.Action switch
            {
                MemberActions.Add => request.Peer is null ? "add needs peer, HOST:PORT." : null,
                MemberActions.Set => request.Peer is null && request.Priority is null ? "set needs peer or priority." : null,
                MemberActions.Promote or MemberActions.Demote or MemberActions.Remove => null,
                _ => "action is add, promote, demote, remove or set.",
            },
        request => request.TimeoutMs,
        _node.ChangeMembersAsync);

    private Task JoinAsync(HttpContext context) => ChangeAsync(
        context, "join", ApiJson.Default.JoinRequest,
        request => !Names.IsValid(request.Name) ? $"'{request.Name}' is not a node name."
            : HostPort.TryParse(request.Peer, out _) is { } bad ? bad : null,
        _ => 15_000,
        _node.JoinAsync);

    private Task ReseedAsync(HttpContext context) => ChangeAsync(
        context, "reseed", ApiJson.Default.ReseedBody,
        request => !Names.IsValid(request.Node) ? $"'{request.Node}' is not a node name."
            : request.From is { } from && !Names.IsValid(from) ? $"'{from}' is not a node name."
            : request.TimeoutMs is <= 0 or > MaxCommandMs ? $"timeoutMs must be from 1 to {MaxCommandMs}." : null,
        request => request.TimeoutMs,
        _node.ReseedAsync);

    private async Task ChangeAsync<T>(
        HttpContext context, string what, JsonTypeInfo<T> type, Func<T, string?> validate, Func<T, int> timeoutMs,
        Func<T, CancellationToken, ValueTask<ApiResult>> act)
        where T : class
    {
        var request = await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted);
        if ((request is null ? "The body is empty." : validate(request)) is { } error)
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(error));
            return;
        }

        using var span = Tracing.StartChild(what, context.Request.Headers.TraceParent.ToString(), ActivityKind.Server);
        span?.SetTag("raft.node.id", _node.Name);
        using var limit = new CancellationTokenSource(timeoutMs(request!)); // A client that goes away does not cut it short.
        var result = await act(request!, limit.Token);
        await WriteResultAsync(context, span, result with { TraceId = result.TraceId ?? span?.TraceId.ToHexString() });
    }

    private async Task LogAsync(HttpContext context)
    {
        ulong from = 0;
        if (Query(context, "from") is { } text && !ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out from))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed($"from: '{text}' is not a log index."));
            return;
        }

        if (!TryNumber(context, "count", DefaultLogEntries, MaxLogEntries, out var count, out var error))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(error!));
            return;
        }

        await WriteJsonAsync(
            context, await _node.ReadRaftLogAsync(from, count, context.RequestAborted), ApiJson.Default.RaftLogDocument);
    }

    private async Task SnapshotsAsync(HttpContext context) => await WriteJsonAsync(
        context, await _node.ReadSnapshotsAsync(context.RequestAborted), ApiJson.Default.RaftSnapshotsDocument);
}
