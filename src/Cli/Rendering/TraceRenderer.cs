using System.Globalization;
using System.Text;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

/// <summary>Shows traces to people: a waterfall of spans over nodes.</summary>
internal static class TraceRenderer
{
    private const int Cells = 40;

    /// <summary>One trace.</summary>
    public static void Write(Terminal terminal, SpanPage page)
    {
        var order = Walk(page.Spans);
        var start = page.Spans.Min(span => span.StartUnixNs);
        var total = Math.Max(1, page.Spans.Max(span => span.EndUnixNs) - start);
        var top = order[0].Span;
        var about = (page.Spans.FirstOrDefault(span => span.Volume is not null) ?? top).Volume;
        terminal.Out.WriteLine(
            $"{top.Name}{(about is null ? "" : "  " + about)}   {(page.Spans.Any(span => span.Status == "error") ? "failed" : "completed")} "
            + $"in {Milliseconds(total)} ms   trace {top.TraceId}");
        if (page.Unreachable.Count > 0)
            terminal.Out.WriteLine($"spans of {string.Join(", ", page.Unreachable)} are missing: not reachable");
        terminal.Out.WriteLine();

        var nodeWidth = Math.Max(4, page.Spans.Max(span => span.Node.Length));
        var nameWidth = Math.Max(24, order.Max(item => (item.Depth * 2) + item.Span.Name.Length));
        var scale = "0 ms" + Milliseconds(total).PadLeft(Cells - 4);
        terminal.Out.WriteLine($" {"NODE".PadRight(nodeWidth)} {"SPAN".PadRight(nameWidth)} {"START",8} {"TIME",8}  {scale}");
        foreach (var (span, depth) in order)
        {
            var branch = depth == 0 ? "" : new string(' ', (depth - 1) * 2) + (terminal.HasUnicode ? "└ " : "` ");
            var line = $" {span.Node.PadRight(nodeWidth)} {(branch + span.Name).PadRight(nameWidth)} "
                + $"{Milliseconds(span.StartUnixNs - start),8} {Milliseconds(span.DurationNs),8}  "
                + $"{Bar(terminal, span.StartUnixNs - start, span.DurationNs, total)}{Notes(span)}";
            terminal.Out.WriteLine(line.TrimEnd());
        }
    }

    /// <summary>One line for each trace, newest first.</summary>
    public static void WriteList(Terminal terminal, IReadOnlyList<TraceSummary> traces)
    {
        var table = new Table("TRACE", "WHEN", "WHAT", "ABOUT", ">MS", ">SPANS", "NODES", "STATUS");
        foreach (var trace in traces)
        {
            table.AddPainted(
                7, trace.Status, trace.TraceId[..16],
                trace.Start.ToLocalTime().ToString("yyyy-MM-dd HH:mm:ss.fff zzz", CultureInfo.InvariantCulture),
                trace.Name, trace.Volume ?? "-", trace.DurationMs.ToString("0.0", CultureInfo.InvariantCulture),
                trace.Spans.ToString(CultureInfo.InvariantCulture), string.Join(' ', trace.Nodes), trace.Status);
        }

        table.Write(terminal);
    }

    /// <summary>Summaries of the traces in a page, in the page's order.</summary>
    public static IReadOnlyList<TraceSummary> Summarize(SpanPage page) =>
    [
        .. page.Spans.GroupBy(span => span.TraceId, StringComparer.Ordinal).Select(trace =>
        {
            var spans = trace.ToList();
            var start = spans.Min(span => span.StartUnixNs);
            return new TraceSummary(
                trace.Key,
                Walk(spans)[0].Span.Name,
                spans.Select(span => span.Volume).FirstOrDefault(volume => volume is not null),
                DateTimeOffset.UnixEpoch.AddTicks(start / 100),
                (spans.Max(span => span.EndUnixNs) - start) / 1e6,
                spans.Count,
                [.. spans.Select(span => span.Node).Distinct().Order(StringComparer.Ordinal)],
                spans.Any(span => span.Status == "error") ? "error" : "ok");
        }),
    ];

    /// <summary>Depth-first, children by start. A span whose parent is not known here (another process's, or dropped from a
    /// ring) stands at the top; a cycle, which no honest node makes, ends with its first span.</summary>
    internal static IReadOnlyList<(SpanRecord Span, int Depth)> Walk(IReadOnlyList<SpanRecord> spans)
    {
        var byId = new HashSet<string>(spans.Select(span => span.SpanId), StringComparer.Ordinal);
        var children = spans.Where(span => span.ParentSpanId is not null)
            .ToLookup(span => span.ParentSpanId!, StringComparer.Ordinal);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var result = new List<(SpanRecord, int)>();
        foreach (var root in Ordered(spans.Where(span => span.ParentSpanId is null || !byId.Contains(span.ParentSpanId)))) Visit(root, 0);
        foreach (var rest in Ordered(spans)) Visit(rest, 0);
        return result;

        void Visit(SpanRecord span, int depth)
        {
            if (!seen.Add(span.SpanId)) return;
            result.Add((span, depth));
            foreach (var child in Ordered(children[span.SpanId])) Visit(child, depth + 1);
        }
    }

    private static IEnumerable<SpanRecord> Ordered(IEnumerable<SpanRecord> spans) =>
        spans.OrderBy(span => span.StartUnixNs).ThenBy(span => span.SpanId, StringComparer.Ordinal);

    private static string Bar(Terminal terminal, long startNs, long durationNs, long totalNs)
    {
        var from = (int)Math.Clamp(startNs * (double)Cells / totalNs, 0, Cells - 1);
        var to = (int)Math.Clamp(Math.Ceiling((startNs + durationNs) * (double)Cells / totalNs), from + 1, Cells);
        return new string(' ', from) + new string(terminal.HasUnicode ? '█' : '#', to - from) + new string(' ', Cells - to);
    }

    private static string Notes(SpanRecord span)
    {
        var notes = new StringBuilder();
        if (span.Attributes.TryGetValue("raft.log.index", out var index)) notes.Append(CultureInfo.InvariantCulture, $"  index {index}");
        if (span.Attributes.TryGetValue("region.count", out var regions)) notes.Append(CultureInfo.InvariantCulture, $"  {regions} regions");
        if (span.Attributes.TryGetValue("owner.epoch", out var epoch)) notes.Append(CultureInfo.InvariantCulture, $"  epoch {epoch}");
        if (span.Status == "error") notes.Append(CultureInfo.InvariantCulture, $"  FAILED {span.StatusMessage}");
        return notes.ToString();
    }

    private static string Milliseconds(long nanoseconds) => (nanoseconds / 1e6).ToString("0.0", CultureInfo.InvariantCulture);
}
