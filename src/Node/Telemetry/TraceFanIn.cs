using RaftMirror.Contracts;

namespace RaftMirror.Node.Telemetry;

/// <summary>Traces from the rings of several nodes.</summary>
internal static class TraceFanIn
{
    /// <summary>Asks every node at once, waits for each at most <paramref name="timeout"/>, joins what came.</summary>
    /// <param name="query">What is wanted; "last" is resolved over all nodes, then that trace is fetched whole.</param>
    /// <param name="nodes">Node name and how to ask its ring (this node's own included).</param>
    /// <param name="timeout">Most time for each of at most two rounds.</param>
    /// <param name="cancellationToken">Ends the whole.</param>
    public static async ValueTask<SpanPage> ReadAsync(
        SpanQuery query,
        IReadOnlyList<(string Node, Func<SpanQuery, CancellationToken, ValueTask<IReadOnlyList<SpanRecord>>> Read)> nodes,
        TimeSpan timeout,
        CancellationToken cancellationToken)
    {
        var page = await AskAsync(query, nodes, timeout, cancellationToken);
        if (query.TraceId != "last" || page.Spans.Count == 0) return page;

        // Each node gave its own newest trace; only one of them is the cluster's, and others may hold more of it.
        var newest = Select(page.Spans, query)[0].TraceId;
        return await AskAsync(new SpanQuery(newest), nodes, timeout, cancellationToken);
    }

    /// <summary>Spans that match, each once, by trace (newest first), then start, then id.</summary>
    public static IReadOnlyList<SpanRecord> Select(IEnumerable<SpanRecord> spans, SpanQuery query)
    {
        var traces = spans
            .DistinctBy(span => (span.TraceId, span.SpanId))
            .GroupBy(span => span.TraceId, StringComparer.Ordinal)
            .Where(trace => query.TraceId is null or "last" || trace.Key.StartsWith(query.TraceId, StringComparison.OrdinalIgnoreCase))
            .Where(trace => query.Volume is null || trace.Any(span => span.Volume == query.Volume))
            .OrderByDescending(trace => trace.Min(span => span.StartUnixNs))
            .ThenBy(trace => trace.Key, StringComparer.Ordinal)
            .Take(query.TraceId == "last" ? 1 : query.Limit);
        return
        [
            .. traces.SelectMany(trace => trace
                .OrderBy(span => span.StartUnixNs)
                .ThenBy(span => span.SpanId, StringComparer.Ordinal)),
        ];
    }

    private static async Task<SpanPage> AskAsync(
        SpanQuery query,
        IReadOnlyList<(string Node, Func<SpanQuery, CancellationToken, ValueTask<IReadOnlyList<SpanRecord>>> Read)> nodes,
        TimeSpan timeout,
        CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        var answers = await Task.WhenAll(nodes.Select(node => AskOneAsync(node.Read, query, limit.Token)));
        cancellationToken.ThrowIfCancellationRequested();
        var missing = nodes.Zip(answers).Where(pair => pair.Second is null).Select(pair => pair.First.Node);
        return new SpanPage(
            Select(answers.SelectMany(answer => answer ?? []), query),
            [.. missing.Order(StringComparer.Ordinal)]);
    }

    private static async Task<IReadOnlyList<SpanRecord>?> AskOneAsync(
        Func<SpanQuery, CancellationToken, ValueTask<IReadOnlyList<SpanRecord>>> read, SpanQuery query, CancellationToken limit)
    {
        try
        {
            return await read(query, limit);
        }
        catch (Exception failure) when (failure is Consensus.PeerUnreachableException or OperationCanceledException)
        {
            return null; // Named as unreachable in the page.
        }
    }
}
