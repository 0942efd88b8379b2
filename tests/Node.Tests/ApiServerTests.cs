using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;
using RaftMirror.Node.Http;
using RaftMirror.Node.Telemetry;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>The HTTP API: where it listens, what each answer carries, what it refuses.</summary>
public sealed class ApiServerTests
{
    [Fact]
    public async Task Start_OffLoopback_IsRefused() => await Assert.ThrowsAsync<ArgumentException>(() =>
        ApiServer.StartAsync(new FakeNode("a"), new HostPort(IPAddress.Any, 0), null, CancellationToken.None));

    [Fact]
    public async Task Answers_CarryWhoAndWhere()
    {
        await using var server = await new FakeNode("b").ServeAsync();
        using var http = Http(server);
        using var answer = await http.GetAsync("/v1/status");
        Assert.Equal("41", answer.Headers.GetValues(ApiNames.IndexHeader).Single());
        Assert.Equal("3", answer.Headers.GetValues(ApiNames.TermHeader).Single());
        Assert.Equal("b", answer.Headers.GetValues(ApiNames.AnsweredByHeader).Single());
        Assert.Equal("a", answer.Headers.GetValues(ApiNames.LeaderHeader).Single());
    }

    [Fact]
    public async Task Health_TellsLiveFromReady()
    {
        var node = new FakeNode("a");
        node.Unready.Add("no leader");
        await using var server = await node.ServeAsync();
        using var http = Http(server);
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/livez")).StatusCode);
        using var ready = await http.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Equal("no leader\n", await ready.Content.ReadAsStringAsync());
    }

    [Fact] // DNS rebinding and cross-site posts: a browser on the host must not be able to give commands.
    public async Task WebPages_AreKeptOut()
    {
        var node = new FakeNode("a");
        await using var server = await node.ServeAsync();
        using var http = Http(server);
        using var foreignHost = new HttpRequestMessage(HttpMethod.Get, "/v1/status");
        foreignHost.Headers.Host = "evil.example";
        Assert.Equal(HttpStatusCode.BadRequest, (await http.SendAsync(foreignHost)).StatusCode);
        using var plain = new StringContent("{}", Encoding.UTF8, "text/plain");
        Assert.Equal(HttpStatusCode.BadRequest, (await http.PostAsync("/v1/commands", plain)).StatusCode);
        Assert.Empty(node.Received);
    }

    [Fact]
    public async Task NoLeader_IsAProblemThatSaysNotApplied()
    {
        var node = new FakeNode("a") { OnRead = () => throw new Consensus.NoLeaderException("no leader for 1 s") };
        await using var server = await node.ServeAsync();
        using var http = Http(server);
        using var answer = await http.GetAsync("/v1/status");
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType!.MediaType);
        var problem = await answer.Content.ReadFromJsonAsync(ApiJson.Default.Problem);
        Assert.Equal((503, "noLeader", "no", true), (problem!.Status, problem.Code, problem.Applied, problem.Retryable));
    }

    [Fact]
    public async Task Command_BadRequestId_IsRefusedBeforeTheNode()
    {
        var node = new FakeNode("a");
        await using var server = await node.ServeAsync();
        using var http = Http(server);
        using var answer = await http.PostAsJsonAsync("/v1/commands", Request(Guid.NewGuid()), ApiJson.Default.CommandRequest);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Empty(node.Received);
    }

    [Fact]
    public async Task Command_WithTraceParent_ContinuesThatTrace()
    {
        var node = new FakeNode("a");
        using var ring = new SpanRing("a");
        await using var server = await node.ServeAsync();
        using var http = Http(server);
        var parent = TraceContext.NewTraceParent(out var traceId);
        using var message = new HttpRequestMessage(HttpMethod.Post, "/v1/commands")
        {
            Content = JsonContent.Create(Request(RequestIds.New()), ApiJson.Default.CommandRequest),
        };
        message.Headers.Add("traceparent", parent);
        using var answer = await http.SendAsync(message);
        var result = await answer.Content.ReadFromJsonAsync(ApiJson.Default.ApiResult);
        Assert.Equal(traceId, result!.TraceId);
        Assert.Contains(traceId, node.Received.Single().TraceParent!, StringComparison.Ordinal);
        Assert.NotEqual(parent, node.Received.Single().TraceParent);
        Assert.True(ring.Read(new SpanQuery(traceId)).Single().RemoteParent);
    }

    [Fact]
    public async Task Events_ArePagedAndResumable()
    {
        var node = new FakeNode("a");
        for (var i = 1; i <= 5; i++) node.Events.Add(JsonSerializer.Deserialize<JsonElement>($$"""{"index":{{i}},"seq":0,"at":0,"type":"NodeUp"}"""));
        await using var server = await node.ServeAsync();
        using var http = Http(server);
        using var answer = await http.GetAsync("/v1/events?since=1&limit=2");
        Assert.Equal("3", answer.Headers.GetValues(ApiNames.NextSinceHeader).Single());
        Assert.Equal(2, (await answer.Content.ReadAsStringAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal(HttpStatusCode.BadRequest, (await http.GetAsync("/v1/events?since=x")).StatusCode);

        using var stream = new HttpRequestMessage(HttpMethod.Get, "/v1/events");
        stream.Headers.Add("Accept", "text/event-stream");
        stream.Headers.Add("Last-Event-ID", "4");
        using var sse = await http.SendAsync(stream, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await sse.Content.ReadAsStreamAsync());
        Assert.Equal("id: 5", await reader.ReadLineAsync());
    }

    private static CommandRequest Request(Guid id) => new()
    {
        Type = CommandTypes.JoinSet,
        Body = JsonSerializer.SerializeToElement(new SetMemberOperation("s", "a"), OperationJson.Default.SetMemberOperation),
        RequestId = id,
        By = "test",
    };

    private static HttpClient Http(ApiServer server) => new NodeAddress("", new Uri($"http://{server.Endpoint}"), null).CreateClient();
}
