using System.Diagnostics;

namespace RaftMirror.Contracts;

/// <summary>W3C trace contexts as text.</summary>
internal static class TraceContext
{
    /// <summary>The traceparent of a context.</summary>
    public static string Format(ActivityContext context) =>
        $"00-{context.TraceId.ToHexString()}-{context.SpanId.ToHexString()}-{(int)context.TraceFlags:x2}";

    /// <summary>A traceparent of a new trace, always sampled: made by a client that keeps no spans itself.</summary>
    public static string NewTraceParent(out string traceId)
    {
        var context = new ActivityContext(
            ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.Recorded);
        traceId = context.TraceId.ToHexString();
        return Format(context);
    }
}
