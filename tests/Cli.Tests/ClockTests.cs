using System.Globalization;
using System.Text.Json;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Status;
using Xunit;

namespace RaftMirror.Cli.Tests;

/// <summary>Clients whose clock is wrong, and wrong clocks in status (design §14.23).</summary>
public sealed class ClockTests
{
    private const long Year2001 = 1_000_000_000_000;
    private const string Create = "set create s --nodes a";

    [Fact] // Whoever asks from a host with a wrong clock notices nothing.
    public async Task Submit_NoIdGiven_TakesTheClustersTime()
    {
        var node = new FakeNode("a") { RequestTime = () => Year2001 };
        Assert.Equal(ExitCode.Ok, (await RunAsync(node, Create)).Code);
        Assert.Equal(Year2001, RequestId.TimeMs(Assert.Single(node.Received).RequestId));
    }

    [Fact]
    public async Task Submit_IdGiven_IsLeftAlone()
    {
        var node = new FakeNode("a") { RequestTime = () => throw new InvalidOperationException("was asked") };
        var id = Guid.CreateVersion7();
        Assert.Equal(ExitCode.Ok, (await RunAsync(node, $"{Create} --request-id {id}")).Code);
        Assert.Equal(id, Assert.Single(node.Received).RequestId);
    }

    [Theory]
    [InlineData(RequestRules.TooOld)]
    [InlineData(RequestRules.ClockAhead)]
    public async Task Submit_OwnIdRefusedForItsTime_IsMadeAnew(string code)
    {
        // Nobody leads when the time is asked for, so it is this host's; then the leader is there, and its time is another.
        long? time = null;
        var node = new FakeNode("a") { RequestTime = () => time };
        node.OnSubmit = (request, _) =>
        {
            time = Year2001;
            return ValueTask.FromResult(RequestId.TimeMs(request.RequestId) == Year2001
                ? new ApiResult { Outcome = ApiOutcome.Applied, Index = 42 }
                : Refused(code));
        };
        var (exit, _, error) = await RunAsync(node, Create);
        Assert.Equal((ExitCode.Ok, ""), (exit, error));
        Assert.Equal(2, node.Received.Count);
    }

    [Fact] // "Use a new id" is for those who gave one.
    public async Task Submit_GivenIdRefusedForItsTime_IsToldOnce()
    {
        var node = new FakeNode("a") { OnSubmit = static (_, _) => ValueTask.FromResult(Refused(RequestRules.TooOld)) };
        var (exit, _, error) = await RunAsync(node, $"{Create} --request-id {Guid.CreateVersion7()}");
        Assert.Equal(ExitCode.Refused, exit);
        Assert.Single(node.Received);
        Assert.Contains(RequestRules.TooOld, error, StringComparison.Ordinal);
    }

    [Fact] // The refusal says nothing about the attempt whose answer was lost.
    public async Task Submit_RefusedForItsTimeAfterALostAnswer_IsUnknown()
    {
        var node = new FakeNode("a");
        node.OnSubmit = (_, _) => ValueTask.FromResult(node.Received.Count == 1
            ? new ApiResult { Outcome = ApiOutcome.Unknown, Code = "outcomeUnknown", Message = "lost" }
            : Refused(RequestRules.ClockAhead));
        var (exit, _, error) = await RunAsync(node, $"{Create} --timeout 1s");
        Assert.Equal(ExitCode.OutcomeUnknown, exit);
        Assert.Contains(node.Received[0].RequestId.ToString(), error, StringComparison.Ordinal);
        Assert.All(node.Received, request => Assert.Equal(node.Received[0].RequestId, request.RequestId));
    }

    [Fact]
    public async Task Clock_Asked_TellsTimeOrThatNobodyLeads()
    {
        long? time = Year2001;
        var node = new FakeNode("a") { RequestTime = () => time };
        await using var server = await node.ServeAsync();
        using var http = new HttpClient();
        var text = await http.GetStringAsync(new Uri($"http://{server.Endpoint}/v1/clock"));
        Assert.Equal(Year2001, JsonDocument.Parse(text).RootElement.GetProperty("requestTimeMs").GetInt64());
        time = null;
        using var refused = await http.GetAsync(new Uri($"http://{server.Endpoint}/v1/clock"));
        Assert.Equal(503, (int)refused.StatusCode);
    }

    [Theory]
    [InlineData(90_000_000, "25:00:00 h ahead of")]
    [InlineData(-3500, "3.5 s behind")]
    public void Status_WrongClock_NamesNodeOffsetAndRemedy(long aheadMs, string says)
    {
        var live = Samples.Live(null);
        var nodes = new Dictionary<string, NodeLive>(live.Nodes) { ["b"] = new(true, 0, 0) { ClockAheadMs = aheadMs, ClockWrong = true } };
        var document = StatusBuilder.Build(Samples.View(live: live with { Nodes = nodes }));
        Assert.Equal((aheadMs, true), (document.Nodes[1].ClockAheadMs, document.Nodes[1].ClockWrong));
        Assert.Equal("warning", document.Disksets[0].Health);
        var cause = Assert.Single(document.Disksets[0].Causes);
        Assert.Equal(("RM1501 CLOCK_WRONG", "demo:b"), (cause.Code, cause.Object));
        Assert.Contains(says, cause.Cause, StringComparison.Ordinal);
        Assert.Contains("set the clock of b right", cause.Action, StringComparison.Ordinal);

        // Also where no set has the node.
        var text = Render(document with { Disksets = [] });
        Assert.Contains($"the clock of b is {says}", text, StringComparison.Ordinal);
        Assert.Contains("WARNING", text, StringComparison.Ordinal);
        Assert.Contains(says.Replace(" of", "", StringComparison.Ordinal), text.Split('\n').First(line => line.Contains(" b ", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void Peers_WrongClock_SaysWhyItDoesNotLead()
    {
        var document = new RaftPeersDocument("a", "a", 3, 41, 41, [new RaftPeer("b", 2, "127.0.0.1:1", "follower", true, 41, 0, true) { ClockAheadMs = 60_000, ClockWrong = true }]);
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        RaftRenderer.WritePeers(new Terminal(text, TextWriter.Null, false, false, true), document);
        Assert.Contains("the clock of b is 0:01:00 h ahead of a majority of the voters': b does not lead", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Status_ClocksApart_SaysThatNobodyCanTell()
    {
        var live = Samples.Live(null);
        var nodes = new Dictionary<string, NodeLive>(live.Nodes)
        {
            ["a"] = new(true, 0, 0) { ClockAheadMs = 0 },
            ["b"] = new(true, 0, 0) { ClockAheadMs = 86_400_000 },
        };
        var document = StatusBuilder.Build(Samples.View(live: live with { Nodes = nodes, ClocksApart = true }));
        Assert.True(document.ClocksApart);
        Assert.Equal("warning", document.Disksets[0].Health);
        Assert.Equal("RM1502 CLOCKS_APART", Assert.Single(document.Disksets[0].Causes).Code);
        Assert.Contains("a 0.0 s, b +86400.0 s", Render(document), StringComparison.Ordinal);
    }

    private static ApiResult Refused(string code) => new()
    {
        Outcome = ApiOutcome.Rejected,
        Rejection = RejectionKind.Precondition,
        Code = code,
        Message = "the time in the id is wrong",
    };

    private static string Render(StatusDocument document)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture);
        StatusRenderer.Write(new Terminal(text, TextWriter.Null, false, false, true), document);
        return text.ToString();
    }

    private static async Task<(ExitCode Code, string Output, string Error)> RunAsync(FakeNode node, string line)
    {
        await using var server = await node.ServeAsync();
        return await CommandLineTests.RunAsync($"{line} --node {server.Endpoint}");
    }
}
