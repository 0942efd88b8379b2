using System.Diagnostics;
using RaftMirror.Contracts;

namespace RaftMirror.Node.Telemetry;

/// <summary>Spans of the control plane. Names and attributes: verb object, by domain (docs/architecture.md). Any thread.</summary>
internal static class Tracing
{
    public const string SourceName = "RaftMirror";

    public static ActivitySource Source { get; } = new(SourceName);

    /// <summary>Starts a span in a trace of its own, whatever the ambient span is.</summary>
    /// <remarks>The framework takes the ambient span as parent even if told a default context, so it is put aside for the
    /// call. The new span is the ambient one afterwards, until it is disposed.</remarks>
    /// <returns>Null if nobody listens.</returns>
    public static Activity? StartRoot(string name, ActivityKind kind = ActivityKind.Internal, IEnumerable<ActivityLink>? links = null)
    {
        Activity.Current = null;
        return Source.StartActivity(kind, name: name, links: links);
    }

    /// <summary>Starts a span as child of a stored or received W3C traceparent; a root if that is missing or malformed.</summary>
    public static Activity? StartChild(string name, string? traceParent, ActivityKind kind = ActivityKind.Internal)
    {
        if (!TryParse(traceParent, out var parent)) return StartRoot(name, kind);
        Activity.Current = null;
        return Source.StartActivity(name, kind, parent);
    }

    /// <summary>Parses a W3C traceparent; the context is marked as remote.</summary>
    public static bool TryParse(string? traceParent, out ActivityContext context)
    {
        context = default;
        return traceParent is not null && ActivityContext.TryParse(traceParent, null, isRemote: true, out context);
    }

    /// <summary>The traceparent to store or send, so that others continue this span's trace; null for no span.</summary>
    public static string? TraceParentOf(Activity? span) =>
        span is null ? null : TraceContext.Format(span.Context);

    /// <summary>Ends a span as failed.</summary>
    public static void Fail(Activity? span, string errorType, string message)
    {
        span?.SetTag("error.type", errorType);
        span?.SetStatus(ActivityStatusCode.Error, message);
    }
}
