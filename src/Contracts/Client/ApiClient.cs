using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace RaftMirror.Contracts.Client;

/// <summary>Asks the given nodes in turn until one gives an answer. A command keeps its request id over all attempts, so
/// that it is carried out at most once however often it is sent. One caller at a time.</summary>
internal sealed partial class ApiClient : IDisposable
{
    private const int MaxIds = 3;
    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan ClockLimit = TimeSpan.FromSeconds(1);

    private readonly List<(NodeAddress Address, HttpClient Http)> _nodes;
    private readonly TimeSpan _timeout;

    /// <param name="nodes">In the order to be tried.</param>
    /// <param name="timeout">For one call, all attempts together.</param>
    public ApiClient(IReadOnlyList<NodeAddress> nodes, TimeSpan timeout)
    {
        _nodes = [.. nodes.Select(node => (node, node.CreateClient()))];
        _timeout = timeout;
    }

    /// <summary>Sends a command. One without an id gets one here, with the cluster's time: this host's clock may be wrong.</summary>
    /// <exception cref="ApiException">It was not applied, or nobody knows.</exception>
    public async Task<ApiResult> SubmitAsync(CommandRequest request, CancellationToken cancellationToken)
    {
        if (request.RequestId != Guid.Empty) return await SubmitAsIsAsync(request, _timeout, cancellationToken);
        var clock = Stopwatch.StartNew();
        for (var attempt = 1; ; attempt++)
        {
            var id = await MakeIdAsync(cancellationToken);
            try
            {
                return await SubmitAsIsAsync(request with { RequestId = id }, _timeout - clock.Elapsed, cancellationToken);
            }
            catch (ApiException refused) when (IsForTime(refused) && attempt < MaxIds)
            {
                // Nobody could tell the time, or it was corrected meanwhile. Nothing was applied, and nobody gave this id: another will do.
            }
        }
    }

    /// <summary>An id with the cluster's time; with this host's if no node can tell (then nobody can take the command either, for now).</summary>
    private async Task<Guid> MakeIdAsync(CancellationToken cancellationToken)
    {
        // Where nobody answers at once the command itself will have to wait for a leader, and needs the time.
        var limit = _timeout / 4 < ClockLimit ? _timeout / 4 : ClockLimit;
        var clock = Stopwatch.StartNew();
        foreach (var node in _nodes)
        {
            if (clock.Elapsed > limit) break;
            var (answer, failure) = await SendAsync(
                node, limit, static () => new HttpRequestMessage(HttpMethod.Get, "/v1/clock"), cancellationToken);
            using (answer)
            {
                if (failure is null && answer!.IsSuccessStatusCode && await TimeOfAsync(answer, cancellationToken) is { } time) return RequestIds.At(time);
            }
        }

        return RequestIds.New();
    }

    private static async Task<long?> TimeOfAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        try
        {
            return (await ReadAsync(answer, ApiJson.Default.ClockDocument, cancellationToken)).RequestTimeMs;
        }
        catch (JsonException)
        {
            return null; // No node of ours: the command will tell.
        }
    }

    private static bool IsForTime(ApiException refused) =>
        refused.Problem is { Code: ProblemCodes.TooOld or ProblemCodes.ClockAhead, Applied: "no" };

    private async Task<ApiResult> SubmitAsIsAsync(CommandRequest request, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var traceParent = TraceContext.NewTraceParent(out var traceId);
        var clock = Stopwatch.StartNew();
        var mayBeApplied = false;
        var failures = new List<string>();
        ApiException? unavailable = null;
        do
        {
            failures.Clear();
            for (var i = 0; i < _nodes.Count; i++)
            {
                var remaining = timeout - clock.Elapsed;
                if (remaining <= TimeSpan.Zero) break;
                var share = Share(remaining, _nodes.Count - i);
                var body = request with { TimeoutMs = (int)Math.Max(1, share.TotalMilliseconds) };
                var (answer, failure) = await SendAsync(
                    _nodes[i], share + TimeSpan.FromSeconds(1),
                    () => Post("/v1/commands", JsonSerializer.SerializeToUtf8Bytes(body, ApiJson.Default.CommandRequest), traceParent),
                    cancellationToken);
                using (answer)
                {
                    if (failure is { } lost)
                    {
                        failures.Add($"{_nodes[i].Address.Text}: {lost.Reason}");
                        mayBeApplied |= lost.MayHaveArrived;
                        continue;
                    }

                    if (answer!.IsSuccessStatusCode) return await ReadAsync(answer, ApiJson.Default.ApiResult, cancellationToken);
                    var refused = new ApiException(await ReadProblemAsync(answer, cancellationToken));
                    if (refused.Kind == ProblemKind.OutcomeUnknown) mayBeApplied = true;
                    else if (mayBeApplied && IsForTime(refused)) continue; // It says nothing about the attempt whose answer was lost.
                    else if (refused.Kind == ProblemKind.Unavailable) unavailable = refused;
                    else throw refused; // A refusal is the first and only result of this id, wherever it is asked again.
                    failures.Add($"{_nodes[i].Address.Text}: {refused.Message}");
                }
            }

            // "Not applied" by one node proves nothing about an attempt through another that was cut off.
            if (!mayBeApplied || clock.Elapsed + RetryPause >= timeout) break;
            await Task.Delay(RetryPause, cancellationToken);
        }
        while (true);

        if (mayBeApplied)
        {
            throw new ApiException(new Problem
            {
                Title = "The outcome is unknown",
                Status = (int)HttpStatusCode.GatewayTimeout,
                Detail = "The command was sent, but no node could say in time whether it was applied. " + string.Join("; ", failures),
                Code = ProblemCodes.OutcomeUnknown,
                Applied = "unknown",
                Retryable = true,
                RequestId = request.RequestId,
                TraceId = traceId,
                Help = "Repeat the command with the same request id: it is carried out at most once.",
            });
        }

        throw unavailable ?? NoNode(failures);
    }

    public Task<StatusDocument> StatusAsync(string? set, string? volume, bool stale, CancellationToken cancellationToken)
    {
        var path = "/v1/status" + (set is null ? "" : "/" + set) + (volume is null ? "" : "/" + volume);
        return GetAsync(path + (stale ? "?consistency=stale" : ""), ApiJson.Default.StatusDocument, cancellationToken);
    }

    public Task<IReadOnlyList<SubmirrorMap>> MapAsync(string set, string volume, CancellationToken cancellationToken) =>
        GetAsync($"/v1/disksets/{set}/volumes/{volume}/map", ApiJson.Default.IReadOnlyListSubmirrorMap, cancellationToken);

    public Task<RaftPeersDocument> PeersAsync(CancellationToken cancellationToken) =>
        GetAsync("/v1/raft/peers", ApiJson.Default.RaftPeersDocument, cancellationToken);

    public Task<SpanPage> TracesAsync(string? volume, int limit, CancellationToken cancellationToken) => GetAsync(
        $"/v1/traces?limit={limit}{(volume is null ? "" : "&volume=" + Uri.EscapeDataString(volume))}",
        ApiJson.Default.SpanPage, cancellationToken);

    public Task<SpanPage> TraceAsync(string id, string? volume, CancellationToken cancellationToken) => GetAsync(
        $"/v1/traces/{id}{(volume is null ? "" : "?volume=" + Uri.EscapeDataString(volume))}",
        ApiJson.Default.SpanPage, cancellationToken);

    /// <summary>Hands Raft leadership over; asking twice is harmless, so every node may be tried.</summary>
    public Task<ApiResult> TransferLeadershipAsync(string? to, CancellationToken cancellationToken)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(new TransferLeadershipRequest(to), ApiJson.Default.TransferLeadershipRequest);
        return CallAsync(
            () => Post("/v1/raft/transfer", body, TraceContext.NewTraceParent(out _)), TimeSpan.Zero,
            (answer, token) => ReadAsync(answer, ApiJson.Default.ApiResult, token), cancellationToken, isChange: true);
    }

    /// <summary>Events above an index; waits for the first one up to <paramref name="wait"/>.</summary>
    public Task<EventPage> EventsAsync(ulong since, TimeSpan wait, CancellationToken cancellationToken)
    {
        var path = string.Create(CultureInfo.InvariantCulture, $"/v1/events?since={since}&wait={(long)wait.TotalMilliseconds}ms");
        return CallAsync(() => new HttpRequestMessage(HttpMethod.Get, path), wait, ReadEventsAsync, cancellationToken);
    }

    public void Dispose()
    {
        foreach (var (_, http) in _nodes) http.Dispose();
    }

    private Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken) => CallAsync(
        () => new HttpRequestMessage(HttpMethod.Get, path), TimeSpan.Zero,
        (answer, token) => ReadAsync(answer, type, token), cancellationToken);

    /// <summary>A call that may be repeated freely. One that changes something may have done so although nobody answered.</summary>
    private async Task<T> CallAsync<T>(
        Func<HttpRequestMessage> request,
        TimeSpan serverWait,
        Func<HttpResponseMessage, CancellationToken, Task<T>> read,
        CancellationToken cancellationToken,
        bool isChange = false)
    {
        var mayBeApplied = false;
        var clock = Stopwatch.StartNew();
        var failures = new List<string>();
        ApiException? unavailable = null;
        for (var i = 0; i < _nodes.Count; i++)
        {
            var remaining = _timeout - clock.Elapsed;
            if (remaining <= TimeSpan.Zero) break;
            var (answer, failure) = await SendAsync(
                _nodes[i], serverWait + Share(remaining, _nodes.Count - i), request, cancellationToken);
            using (answer)
            {
                if (failure is { } lost)
                {
                    failures.Add($"{_nodes[i].Address.Text}: {lost.Reason}");
                    mayBeApplied |= isChange && lost.MayHaveArrived;
                    continue;
                }

                if (answer!.IsSuccessStatusCode) return await read(answer, cancellationToken);
                var refused = new ApiException(await ReadProblemAsync(answer, cancellationToken));
                if (refused.Kind != ProblemKind.Unavailable) throw refused;
                unavailable = refused;
            }
        }

        if (mayBeApplied)
        {
            throw new ApiException(new Problem
            {
                Title = "The outcome is unknown",
                Status = (int)HttpStatusCode.GatewayTimeout,
                Detail = "The change was asked for, but no node could say in time whether it was made. " + string.Join("; ", failures),
                Code = ProblemCodes.OutcomeUnknown,
                Applied = "unknown",
                Retryable = true,
                Help = "Look: raftmirror raft peers. Asked for again, a change that was made is found made.",
            });
        }

        throw unavailable ?? NoNode(failures);
    }

    /// <summary>Time for one node: a hung one must leave some for the others.</summary>
    private static TimeSpan Share(TimeSpan remaining, int nodesLeft)
    {
        var share = remaining / nodesLeft;
        var least = TimeSpan.FromSeconds(2);
        return share < least ? remaining < least ? remaining : least : share;
    }

    private static HttpRequestMessage Post(string path, byte[] body, string traceParent)
    {
        var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        var message = new HttpRequestMessage(HttpMethod.Post, path) { Content = content };
        message.Headers.Add("traceparent", traceParent);
        return message;
    }

    private static async Task<(HttpResponseMessage? Answer, (string Reason, bool MayHaveArrived)? Failure)> SendAsync(
        (NodeAddress Address, HttpClient Http) node, TimeSpan limit, Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        using var timer = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timer.CancelAfter(limit);
        using var message = request();
        try
        {
            return (await node.Http.SendAsync(message, HttpCompletionOption.ResponseContentRead, timer.Token), null);
        }
        catch (HttpRequestException failure)
        {
            return (null, (failure.InnerException?.Message ?? failure.Message, failure.HttpRequestError is not
                (HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError)));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, ($"no answer within {limit.TotalSeconds:0.#} s", true));
        }
    }

    private static async Task<T> ReadAsync<T>(HttpResponseMessage answer, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        await using var stream = await answer.Content.ReadAsStreamAsync(cancellationToken);
        return await JsonSerializer.DeserializeAsync(stream, type, cancellationToken)
            ?? throw new JsonException("The node answered null.");
    }

    private static async Task<EventPage> ReadEventsAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        var text = await answer.Content.ReadAsStringAsync(cancellationToken);
        var events = text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonSerializer.Deserialize(line, ApiJson.Default.JsonElement)).ToList();
        return new EventPage(events, Header(ApiNames.NextSinceHeader), Header(ApiNames.OldestIndexHeader));

        ulong Header(string name) =>
            ulong.Parse(answer.Headers.GetValues(name).Single(), NumberStyles.None, CultureInfo.InvariantCulture);
    }

    private static async Task<Problem> ReadProblemAsync(HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        var text = await answer.Content.ReadAsStringAsync(cancellationToken);
        try
        {
            if (JsonSerializer.Deserialize(text, ApiJson.Default.Problem) is { } problem) return problem;
        }
        catch (JsonException)
        {
            // Not our server's words: told below.
        }

        return new Problem
        {
            Title = "Unexpected answer",
            Status = (int)answer.StatusCode,
            Detail = $"HTTP {(int)answer.StatusCode} without a problem document. Is this a raftmirror node?",
            Code = ProblemCodes.InternalError,
            Applied = answer.RequestMessage?.Method == HttpMethod.Get ? "no" : "unknown",
        };
    }

    private ApiException NoNode(List<string> failures) => ApiException.Unreachable(
        $"None of {_nodes.Count} {(_nodes.Count == 1 ? "node" : "nodes")} could be reached. {string.Join("; ", failures)}",
        $"Start a node, or name others with --node or {NodeAddress.EnvironmentVariable}.");
}
