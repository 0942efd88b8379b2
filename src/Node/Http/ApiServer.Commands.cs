using System.Diagnostics;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using RaftMirror.Contracts;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Node.Http;

/// <summary>Requests that change something. Each is one span, the root of its trace unless the client sent a traceparent.</summary>
internal sealed partial class ApiServer
{
    private const int MaxCommandMs = 600_000;

    private async Task CommandAsync(HttpContext context)
    {
        var request = await JsonSerializer.DeserializeAsync(
            context.Request.Body, ApiJson.Default.CommandRequest, context.RequestAborted);
        if (Validate(request) is { } error)
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(error));
            return;
        }

        using var span = Tracing.StartChild(
            $"request {request!.Type}", context.Request.Headers.TraceParent.ToString(), ActivityKind.Server);
        span?.SetTag("raft.node.id", _node.Name);
        span?.SetTag("request.id", request.RequestId.ToString());
        TagObject(span, request.Body);

        // The client's disconnection must not cut a command short half-way through its checks; time does.
        using var limit = new CancellationTokenSource(request.TimeoutMs);
        var result = await _node.SubmitAsync(request with { TraceParent = Tracing.TraceParentOf(span) }, limit.Token);
        result = result with { RequestId = request.RequestId, TraceId = result.TraceId ?? span?.TraceId.ToHexString() };
        await WriteResultAsync(context, span, result);
    }

    private async Task TransferAsync(HttpContext context)
    {
        var request = await JsonSerializer.DeserializeAsync(
            context.Request.Body, ApiJson.Default.TransferLeadershipRequest, context.RequestAborted);
        using var span = Tracing.StartChild(
            "transfer leadership", context.Request.Headers.TraceParent.ToString(), ActivityKind.Server);
        span?.SetTag("raft.node.id", _node.Name);
        var result = await _node.TransferLeadershipAsync(request?.To, context.RequestAborted);
        await WriteResultAsync(context, span, result with { TraceId = result.TraceId ?? span?.TraceId.ToHexString() });
    }

    private Task WriteResultAsync(HttpContext context, Activity? span, ApiResult result)
    {
        if (result.Outcome is ApiOutcome.Applied or ApiOutcome.Checked)
            return WriteJsonAsync(context, result, ApiJson.Default.ApiResult);
        Tracing.Fail(span, result.Code, result.Message);
        return WriteProblemAsync(context, ProblemCodes.FromResult(result));
    }

    private static string? Validate(CommandRequest? request)
    {
        if (request is null) return "The body must be a command: type, body, requestId, by.";
        if (string.IsNullOrWhiteSpace(request.Type)) return "type must name a command.";
        if (request.Body.ValueKind != JsonValueKind.Object) return "body must be a JSON object.";
        if (!RequestIds.IsValid(request.RequestId)) return "requestId must be a UUIDv7.";
        if (string.IsNullOrWhiteSpace(request.By)) return "by must say who asks.";
        return request.TimeoutMs is > 0 and <= MaxCommandMs ? null : $"timeoutMs must be from 1 to {MaxCommandMs}.";
    }

    private static void TagObject(Activity? span, JsonElement body)
    {
        if (span is null) return;
        if (body.TryGetProperty("set", out var set) && set.ValueKind == JsonValueKind.String)
            span.SetTag("diskset.name", set.GetString());
        if (body.TryGetProperty("volume", out var volume) && volume.ValueKind == JsonValueKind.String)
            span.SetTag("volume.name", volume.GetString());
    }
}
