using System.Diagnostics;
using System.Globalization;
using RaftMirror.Contracts;

namespace RaftMirror.Node.Telemetry;

/// <summary>The newest spans of one node, bounded: <c>trace show</c> needs no collector. Fed by an
/// <see cref="ActivityListener"/>, which also makes every control-plane span recorded. Any thread.</summary>
/// <remarks>Finished spans are handed to <see cref="ISpanSink"/> first, in order, so that a sink on disk can keep them across
/// a crash; <see cref="Restore"/> takes them back at start.</remarks>
internal sealed class SpanRing : IDisposable
{
    public const int DefaultCapacity = 4096;

    private readonly string _node;
    private readonly ISpanSink? _sink;
    private readonly SpanRecord[] _spans;
    private readonly Lock _gate = new();
    private readonly ActivityListener _listener;
    private long _count;

    /// <param name="node">Name that spans carry.</param>
    /// <param name="capacity">Most spans kept.</param>
    /// <param name="sink">Where finished spans go too; null for nowhere.</param>
    /// <param name="accepts">Which spans are this node's; null for all. Only tests run several nodes in one process.</param>
    public SpanRing(string node, int capacity = DefaultCapacity, ISpanSink? sink = null, Func<Activity, bool>? accepts = null)
    {
        _node = node;
        _sink = sink;
        _spans = new SpanRecord[capacity];
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == Tracing.SourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                if (accepts is null || accepts(activity)) Add(ToRecord(activity, _node));
            },
        };
        ActivitySource.AddActivityListener(_listener);
    }

    /// <summary>Takes in a span; the oldest gives way.</summary>
    public void Add(SpanRecord span)
    {
        lock (_gate)
        {
            _sink?.Write(span);
            _spans[_count++ % _spans.Length] = span;
        }
    }

    /// <summary>Takes back spans that a sink kept, oldest first, before the node runs.</summary>
    public void Restore(IEnumerable<SpanRecord> spans)
    {
        lock (_gate)
        {
            foreach (var span in spans) _spans[_count++ % _spans.Length] = span;
        }
    }

    /// <summary>Spans that match, by trace (newest first), then start.</summary>
    public IReadOnlyList<SpanRecord> Read(SpanQuery query)
    {
        SpanRecord[] all;
        lock (_gate)
        {
            all = _spans[..(int)Math.Min(_count, _spans.Length)];
        }

        return TraceFanIn.Select(all, query);
    }

    public void Dispose() => _listener.Dispose();

    private static SpanRecord ToRecord(Activity activity, string node)
    {
        var attributes = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in activity.EnumerateTagObjects())
        {
            if (value is not null) attributes[key] = Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
        }

        var links = new List<SpanLink>();
        foreach (var link in activity.EnumerateLinks())
            links.Add(new SpanLink(link.Context.TraceId.ToHexString(), link.Context.SpanId.ToHexString()));
        return new SpanRecord
        {
            TraceId = activity.TraceId.ToHexString(),
            SpanId = activity.SpanId.ToHexString(),
            ParentSpanId = activity.ParentSpanId == default ? null : activity.ParentSpanId.ToHexString(),
            RemoteParent = activity.HasRemoteParent,
            Name = activity.DisplayName,
            Node = node,
            StartUnixNs = (activity.StartTimeUtc - DateTime.UnixEpoch).Ticks * 100,
            DurationNs = activity.Duration.Ticks * 100,
            Status = activity.Status == ActivityStatusCode.Error ? "error" : "ok",
            StatusMessage = activity.StatusDescription,
            Attributes = attributes,
            Links = links,
        };
    }
}

/// <summary>Where a ring's spans go as well, called in order under the ring's lock: return soon.</summary>
internal interface ISpanSink
{
    void Write(SpanRecord span);
}
