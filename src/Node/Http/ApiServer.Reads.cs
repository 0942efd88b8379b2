using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using RaftMirror.Contracts;
using RaftMirror.Node.Status;

namespace RaftMirror.Node.Http;

/// <summary>Requests that change nothing.</summary>
internal sealed partial class ApiServer
{
    private const int DefaultEventLimit = 1000;
    private const int MaxEventLimit = 10_000;

    private Task ReadyAsync(HttpContext context)
    {
        var reasons = _node.UnreadyReasons();
        return reasons.Count == 0
            ? WriteTextAsync(context, StatusCodes.Status200OK, "ok\n")
            : WriteTextAsync(context, StatusCodes.Status503ServiceUnavailable, string.Join('\n', reasons) + "\n");
    }

    private async Task StatusAsync(HttpContext context)
    {
        if (await ReadViewAsync(context) is not { } view) return;
        var document = StatusBuilder.Build(view);
        var set = (string?)context.Request.RouteValues["set"];
        var volume = (string?)context.Request.RouteValues["volume"];
        if (set is not null)
        {
            var (narrowed, missing) = StatusScope.Narrow(document, set, volume);
            if (narrowed is null)
            {
                await WriteProblemAsync(context, ProblemCodes.Missing(missing!));
                return;
            }

            document = narrowed;
        }

        await WriteJsonAsync(context, document, ApiJson.Default.StatusDocument);
    }

    private async Task NodesAsync(HttpContext context)
    {
        if (await ReadViewAsync(context) is not { } view) return;
        var document = StatusBuilder.Build(view);
        await WriteJsonAsync(
            context, new NodesDocument(document.Index, document.AnsweredBy, document.Nodes), ApiJson.Default.NodesDocument);
    }

    private async Task ClockAsync(HttpContext context) => await WriteJsonAsync(
        context, new ClockDocument(await _node.ReadRequestTimeAsync(context.RequestAborted), _node.Name), ApiJson.Default.ClockDocument);

    private async Task MapAsync(HttpContext context)
    {
        if (await ReadViewAsync(context) is not { } view) return;
        var set = (string)context.Request.RouteValues["set"]!;
        var volume = (string)context.Request.RouteValues["volume"]!;
        var map = SubmirrorMapBuilder.Build(view, set, volume, out var missing);
        await (map is null
            ? WriteProblemAsync(context, ProblemCodes.Missing(missing!))
            : WriteJsonAsync(context, map, ApiJson.Default.IReadOnlyListSubmirrorMap));
    }

    private async Task PeersAsync(HttpContext context) => await WriteJsonAsync(
        context, await _node.ReadRaftPeersAsync(context.RequestAborted), ApiJson.Default.RaftPeersDocument);

    private async Task TracesAsync(HttpContext context)
    {
        if (!TryNumber(context, "limit", 50, 1000, out var limit, out var error))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(error!));
            return;
        }

        var page = await _node.ReadSpansAsync(new SpanQuery(null, Query(context, "volume"), limit), context.RequestAborted);
        await WriteJsonAsync(context, page, ApiJson.Default.SpanPage);
    }

    private async Task TraceAsync(HttpContext context)
    {
        var id = (string)context.Request.RouteValues["id"]!;
        if (id != "last" && (id.Length is < 4 or > 32 || !id.All(char.IsAsciiHexDigit)))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(
                $"'{id}' is not a trace: give 'last' or the first 4 to 32 hexadecimal digits of its id."));
            return;
        }

        var page = await _node.ReadSpansAsync(new SpanQuery(id, Query(context, "volume"), 2), context.RequestAborted);
        var traces = page.Spans.Select(span => span.TraceId).Distinct().Count();
        await (traces switch
        {
            0 => WriteProblemAsync(context, ProblemCodes.Missing(id == "last"
                ? "No node that answered has kept a trace yet."
                : $"No node that answered keeps a trace whose id starts with {id}; the rings are bounded.")),
            1 => WriteJsonAsync(context, page, ApiJson.Default.SpanPage),
            _ => WriteProblemAsync(context, ProblemCodes.Malformed($"More than one trace starts with {id}; give more digits.")),
        });
    }

    /// <summary>One page as JSON lines; with <c>Accept: text/event-stream</c> an endless stream whose event id is the index.</summary>
    private async Task EventsAsync(HttpContext context)
    {
        var isStream = context.Request.Headers.Accept.ToString().Contains("text/event-stream", StringComparison.Ordinal);
        var sinceText = Query(context, "since")
            ?? (isStream && context.Request.Headers.TryGetValue("Last-Event-ID", out var last) ? last.ToString() : "0");
        var wait = TimeSpan.Zero;
        if (!ulong.TryParse(sinceText, NumberStyles.None, CultureInfo.InvariantCulture, out var since))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed($"since: '{sinceText}' is not a log index."));
            return;
        }

        if (Query(context, "wait") is { } waitText && !Durations.TryParse(waitText, out wait))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed($"wait: '{waitText}' is not a duration such as 30s."));
            return;
        }

        if (!TryNumber(context, "limit", DefaultEventLimit, MaxEventLimit, out var limit, out var error))
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed(error!));
            return;
        }

        if (isStream)
        {
            await StreamEventsAsync(context, since);
            return;
        }

        var page = await _node.ReadEventsAsync(since, limit, wait > MaxWait ? MaxWait : wait, context.RequestAborted);
        SetPosition(context);
        context.Response.Headers[ApiNames.NextSinceHeader] = page.NextSince.ToString(CultureInfo.InvariantCulture);
        context.Response.Headers[ApiNames.OldestIndexHeader] = page.OldestIndex.ToString(CultureInfo.InvariantCulture);
        context.Response.ContentType = "application/x-ndjson";
        foreach (var item in page.Events)
        {
            await JsonSerializer.SerializeAsync(
                context.Response.Body, item, ApiJson.Line.JsonElement, context.RequestAborted);
            await context.Response.WriteAsync("\n", context.RequestAborted);
        }
    }

    private async Task StreamEventsAsync(HttpContext context, ulong since)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        await context.Response.Body.FlushAsync(context.RequestAborted);
        while (true)
        {
            var page = await _node.ReadEventsAsync(since, DefaultEventLimit, TimeSpan.FromSeconds(10), context.RequestAborted);
            if (page.Events.Count == 0) await context.Response.WriteAsync(": nothing new\n\n", context.RequestAborted);
            foreach (var item in page.Events)
            {
                var line = JsonSerializer.Serialize(item, ApiJson.Line.JsonElement);
                var index = item.GetProperty("index").GetUInt64();
                await context.Response.WriteAsync($"id: {index}\ndata: {line}\n\n", context.RequestAborted);
            }

            since = page.NextSince;
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }

    /// <returns>Null if the request was malformed; the problem is written then.</returns>
    private async Task<StateView?> ReadViewAsync(HttpContext context)
    {
        ReadConsistency? consistency = Query(context, "consistency") switch
        {
            null or "linearizable" => ReadConsistency.Linearizable,
            "stale" => ReadConsistency.Stale,
            _ => null,
        };
        if (consistency is null)
        {
            await WriteProblemAsync(context, ProblemCodes.Malformed("consistency is linearizable or stale."));
            return null;
        }

        return await _node.ReadStateAsync(consistency.Value, context.RequestAborted);
    }

    private static string? Query(HttpContext context, string name) =>
        context.Request.Query.TryGetValue(name, out var values) && values.Count > 0 ? values[^1] : null;

    private static bool TryNumber(HttpContext context, string name, int otherwise, int max, out int value, out string? error)
    {
        value = otherwise;
        error = null;
        if (Query(context, name) is not { } text) return true;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= 1 && value <= max) return true;
        error = $"{name}: '{text}' is not a number from 1 to {max}.";
        return false;
    }
}
