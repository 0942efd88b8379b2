using System.Text.Json;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Membership;
using RaftMirror.Node.Peers;
using Xunit;
using MemberStatus = RaftMirror.Consensus.Model.MemberStatus;

namespace RaftMirror.Cli.Tests;

/// <summary>Who takes part: what is refused, what is kept, what is told.</summary>
public sealed class MembershipTests
{
    [Fact]
    public async Task NodeRun_NoDataDirectoryAndNoCluster_IsToldBothWays()
    {
        var (code, _, error) = await CommandLineTests.RunAsync(
            "node run --name a --data /nowhere --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3");
        Assert.Equal(ExitCode.Usage, code);
        Assert.Contains("--join", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("raft add d --peer nowhere")]
    [InlineData("raft add d --peer 127.0.0.1:0")]
    [InlineData("raft add D! --peer 127.0.0.1:1")]
    [InlineData("raft set d")]
    [InlineData("raft set d --priority 256")]
    [InlineData("raft log --count 0")]
    [InlineData("raft recover --data /tmp --to /nowhere")]
    [InlineData("raft reseed d --dry-run")]
    [InlineData("node run --name a --data /nosuch/x --api 127.0.0.1:1 --peer 127.0.0.1:2 --nbd 127.0.0.1:3 --cluster a=127.0.0.1:2 --join 127.0.0.1:9")]
    public async Task Raft_BadInput_Exits2AndAsksNobody(string line)
    {
        var node = new FakeNode("a");
        await using var server = await node.ServeAsync();
        var (code, output, _) = await CommandLineTests.RunAsync($"{line} --node {server.Endpoint}");
        Assert.Equal(ExitCode.Usage, code);
        Assert.Empty(output);
        Assert.Empty(node.Asked);
    }

    [Theory]
    [InlineData("raft add d --peer 127.0.0.1:9 --learner --priority 3", "add")]
    [InlineData("raft promote d", "promote")]
    [InlineData("raft demote d", "demote")]
    [InlineData("raft remove d", "remove")]
    [InlineData("raft set d --address 127.0.0.1:9", "set")]
    public async Task Raft_Verbs_AskForTheChange(string line, string action)
    {
        var node = new FakeNode("a");
        await using var server = await node.ServeAsync();
        var (code, output, error) = await CommandLineTests.RunAsync($"{line} --node {server.Endpoint}");
        Assert.True(code == ExitCode.Ok, error);
        var request = Assert.IsType<MemberRequest>(Assert.Single(node.Asked));
        Assert.Equal((action, "d"), (request.Action, request.Name));
        Assert.StartsWith("done", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RaftAdd_ToVote_PromotesOnceItHasCaughtUp()
    {
        var tries = 0;
        var node = new FakeNode("a");
        node.OnRaft = request => request is MemberRequest { Action: "promote" } && ++tries < 3
            ? new ApiResult { Outcome = ApiOutcome.Rejected, Rejection = RejectionKind.Precondition, Code = "notCaughtUp", Message = "not yet" }
            : new ApiResult { Outcome = ApiOutcome.Applied, Message = "done" };
        await using var server = await node.ServeAsync();
        var (code, output, error) = await CommandLineTests.RunAsync($"raft add d --peer 127.0.0.1:9 --node {server.Endpoint}");
        Assert.True(code == ExitCode.Ok, error);
        Assert.Equal(["add", "promote", "promote", "promote"], node.Asked.Cast<MemberRequest>().Select(request => request.Action));
        Assert.Equal("done\n", output);
        Assert.Contains("waiting", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("raft log", "\"entries\"")]
    [InlineData("raft snapshot list", "\"snapshots\"")]
    [InlineData("raft peers", "\"peers\"")]
    public async Task Raft_Reads_PrintTextAndJsonWithNumbers(string line, string member)
    {
        await using var server = await new FakeNode("a").ServeAsync();
        var (textCode, text, _) = await CommandLineTests.RunAsync($"{line} --node {server.Endpoint}");
        Assert.Equal(ExitCode.Ok, textCode);
        Assert.DoesNotContain(text.Split('\n'), row => row.EndsWith(' '));
        var (code, output, _) = await CommandLineTests.RunAsync($"{line} -o json --node {server.Endpoint}");
        Assert.Equal(ExitCode.Ok, code);
        Assert.Contains(member, output, StringComparison.Ordinal);
        using var document = JsonDocument.Parse(output);
        foreach (var property in Numbers(document.RootElement))
            Assert.True(property.Value.ValueKind is JsonValueKind.Number or JsonValueKind.Null, $"{property.Name} is no number");

        static IEnumerable<JsonProperty> Numbers(JsonElement element) => element.ValueKind switch
        {
            JsonValueKind.Object => element.EnumerateObject().SelectMany(property =>
                (property.Name is "index" or "term" or "id" or "match" or "lagEntries" or "priority" or "bytes" or "first" or "last" or "commit"
                    ? [property] : Enumerable.Empty<JsonProperty>()).Concat(Numbers(property.Value))),
            JsonValueKind.Array => element.EnumerateArray().SelectMany(Numbers),
            _ => [],
        };
    }

    [Fact]
    public async Task RaftVerify_NoDirectoryAndNoNode_AreToldApart()
    {
        Assert.Equal(ExitCode.NotFound, (await CommandLineTests.RunAsync("raft verify --data /nowhere")).Code);
        var data = Directory.CreateTempSubdirectory("raftmirror-empty-").FullName;
        try
        {
            var (code, _, error) = await CommandLineTests.RunAsync($"raft verify --data {data}");
            Assert.Equal(ExitCode.Refused, code);
            Assert.Contains("node.json", error, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }
}
