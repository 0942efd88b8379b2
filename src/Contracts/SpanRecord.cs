namespace RaftMirror.Contracts;

/// <summary>A finished span as rings keep it and nodes exchange it.</summary>
internal sealed record SpanRecord
{
    /// <summary>32 hex digits.</summary>
    public required string TraceId { get; init; }

    /// <summary>16 hex digits.</summary>
    public required string SpanId { get; init; }

    /// <summary>16 hex digits; null for a root.</summary>
    public string? ParentSpanId { get; init; }

    /// <summary>True if the parent was in another process.</summary>
    public bool RemoteParent { get; init; }

    /// <summary>verb object, such as "move owner".</summary>
    public required string Name { get; init; }

    /// <summary>Node that ran it.</summary>
    public required string Node { get; init; }

    /// <summary>By the node's clock.</summary>
    public required long StartUnixNs { get; init; }

    public required long DurationNs { get; init; }

    /// <summary>ok or error.</summary>
    public required string Status { get; init; }

    public string? StatusMessage { get; init; }

    public IReadOnlyDictionary<string, string> Attributes { get; init; } =
        new SortedDictionary<string, string>(StringComparer.Ordinal);

    public IReadOnlyList<SpanLink> Links { get; init; } = [];

    /// <summary>End by the node's clock.</summary>
    internal long EndUnixNs => StartUnixNs + DurationNs;

    /// <summary>SET/VOLUME that it is about; null if it is about none.</summary>
    internal string? Volume => !Attributes.TryGetValue("volume.name", out var volume) ? null
        : volume.Contains('/') || !Attributes.TryGetValue("diskset.name", out var set) ? volume : $"{set}/{volume}";
}

internal sealed record SpanLink(string TraceId, string SpanId);

/// <summary>Which spans are wanted.</summary>
/// <param name="TraceId">32 hex digits or at least the first 4; "last" for the newest trace; null for all traces.</param>
/// <param name="Volume">Only traces with a span about this SET/VOLUME; null for any.</param>
/// <param name="Limit">Most traces to return, newest first.</param>
internal sealed record SpanQuery(string? TraceId, string? Volume = null, int Limit = 50);

/// <summary>Spans found, by trace (newest first), then start.</summary>
/// <param name="Spans">The spans.</param>
/// <param name="Unreachable">Nodes that did not answer: their spans are missing.</param>
internal sealed record SpanPage(IReadOnlyList<SpanRecord> Spans, IReadOnlyList<string> Unreachable);

/// <summary>One line of <c>trace list</c>.</summary>
internal sealed record TraceSummary(
    string TraceId, string Name, string? Volume, DateTimeOffset Start, double DurationMs, int Spans, IReadOnlyList<string> Nodes, string Status);
