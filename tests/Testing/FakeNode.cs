using System.Collections.Immutable;
using System.Text.Json;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Http;
using RaftMirror.Node.Status;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Testing;

/// <summary>A node without a cluster: answers what a test tells it to.</summary>
internal sealed class FakeNode(string name) : INodeApi
{
    public string Name => name;

    public ApiPosition Position { get; set; } = new(41, 3, "a");

    public List<string> Unready { get; } = [];

    public List<CommandRequest> Received { get; } = [];

    public Func<CommandRequest, CancellationToken, ValueTask<ApiResult>> OnSubmit { get; set; } =
        (_, _) => ValueTask.FromResult(new ApiResult { Outcome = ApiOutcome.Applied, Index = 42 });

    public Func<StateView>? OnRead { get; set; }

    public List<JsonElement> Events { get; } = [];

    public SpanPage Spans { get; set; } = new([], []);

    public IReadOnlyList<string> UnreadyReasons() => Unready;

    /// <summary>The cluster's time; null: no leader.</summary>
    public Func<long?> RequestTime { get; set; } = static () => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    public ValueTask<long> ReadRequestTimeAsync(CancellationToken cancellationToken) =>
        ValueTask.FromResult(RequestTime() ?? throw new Consensus.NoLeaderException("nobody leads"));

    public ValueTask<ApiResult> SubmitAsync(CommandRequest request, CancellationToken cancellationToken)
    {
        lock (Received) Received.Add(request);
        return OnSubmit(request, cancellationToken);
    }

    public ValueTask<StateView> ReadStateAsync(ReadConsistency consistency, CancellationToken cancellationToken) =>
        ValueTask.FromResult(OnRead?.Invoke() ?? Samples.View(name));

    public ValueTask<EventPage> ReadEventsAsync(ulong since, int limit, TimeSpan wait, CancellationToken cancellationToken)
    {
        var page = Events.Where(item => item.GetProperty("index").GetUInt64() > since).Take(limit).ToList();
        return ValueTask.FromResult(new EventPage(page, page.Count == 0 ? since : page[^1].GetProperty("index").GetUInt64(), 1));
    }

    public ValueTask<RaftPeersDocument> ReadRaftPeersAsync(CancellationToken cancellationToken) =>
        ValueTask.FromResult(new RaftPeersDocument(name, "a", 3, 41, 41, [new RaftPeer("a", 1, "127.0.0.1:1", "leader", true, 41, 0, true)]));

    public ValueTask<ApiResult> TransferLeadershipAsync(string? to, CancellationToken cancellationToken) =>
        ValueTask.FromResult(new ApiResult { Outcome = ApiOutcome.Applied });

    public List<object> Asked { get; } = [];

    public Func<object, ApiResult> OnRaft { get; set; } = _ => new ApiResult { Outcome = ApiOutcome.Applied, Message = "done" };

    public ValueTask<ApiResult> ChangeMembersAsync(MemberRequest request, CancellationToken cancellationToken) => Answer(request);

    public ValueTask<ApiResult> JoinAsync(JoinRequest request, CancellationToken cancellationToken) => Answer(request);

    public ValueTask<ApiResult> ReseedAsync(ReseedBody request, CancellationToken cancellationToken) => Answer(request);

    public ValueTask<RaftLogDocument> ReadRaftLogAsync(ulong from, int count, CancellationToken cancellationToken) =>
        ValueTask.FromResult(new RaftLogDocument(name, 1, 9, 8, [new RaftLogEntry(9, 3, "noop", null, 0, false, null, null, null)]));

    public ValueTask<RaftSnapshotsDocument> ReadSnapshotsAsync(CancellationToken cancellationToken) =>
        ValueTask.FromResult(new RaftSnapshotsDocument(name, [new RaftSnapshot("a", 64, 2)]));

    /// <summary>Its API on a free port of the loopback.</summary>
    /// <param name="socket">Path of a Unix socket as well; null for none.</param>
    public Task<ApiServer> ServeAsync(string? socket = null) =>
        ApiServer.StartAsync(this, new HostPort(System.Net.IPAddress.Loopback, 0), socket, CancellationToken.None);

    private ValueTask<ApiResult> Answer(object request)
    {
        lock (Asked) Asked.Add(request);
        return ValueTask.FromResult(OnRaft(request));
    }

    public ValueTask<SpanPage> ReadSpansAsync(SpanQuery query, CancellationToken cancellationToken) =>
        ValueTask.FromResult(Spans with { Spans = TraceFanIn.Select(Spans.Spans, query) });
}
