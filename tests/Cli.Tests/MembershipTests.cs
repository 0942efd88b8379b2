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
    [Theory]
    [InlineData("1", 1, true, "lastVoter")]
    [InlineData("1 2", 2, false, null)] // One is left, and it is the leader itself.
    [InlineData("1 2 3", 3, false, null)]
    [InlineData("1 2 3x", 2, false, "wouldLoseQuorum")] // 1 and 3 would remain, and 3 is silent.
    [InlineData("1 2 3x", 3, false, null)] // The silent one may go.
    [InlineData("1 2 3 4x 5x", 3, false, "wouldLoseQuorum")]
    [InlineData("1 2 3 4x 5x", 4, false, null)]
    [InlineData("1 2 3l 4xl", 4, true, null)] // Learners count for nothing.
    public void Leaving_VotersThatAnswer_RefusedIfTheRestHasNoMajority(string members, ushort leaves, bool isRemoved, string? code)
    {
        var status = Status(members);
        var refusal = MembershipGuards.OfLeaving(
            status, status.Members.Single(member => member.Id.Value == leaves), isRemoved, ClusterState.Empty, member => $"n{member.Id}", 3520);
        Assert.Equal(code, refusal?.Code);
        Assert.True(refusal is null || (refusal.Outcome == ApiOutcome.Rejected && refusal.Help is not null));
    }

    [Theory]
    [InlineData(ControlPlane.Model.NodeStatus.Up, 7UL, 2, "nodeServes")]
    [InlineData(ControlPlane.Model.NodeStatus.Suspect, 7UL, 2, "notFenced")]
    [InlineData(ControlPlane.Model.NodeStatus.Fenced, 0UL, 2, null)]
    [InlineData(ControlPlane.Model.NodeStatus.Up, 0UL, 2, null)] // It left every set.
    [InlineData(ControlPlane.Model.NodeStatus.Up, 7UL, 9, null)] // Another number: the one that serves is a former node's successor.
    public void Removing_NodeThatServes_RefusedUntilItIsProvenNotTo(
        ControlPlane.Model.NodeStatus state, ulong joined, ushort number, string? code)
    {
        var sample = Samples.View().State;
        var set = sample.Sets["demo"];
        var cluster = sample with
        {
            Nodes = sample.Nodes.SetItem("b", sample.Nodes["b"] with { Status = state, Id = number }),
            Sets = sample.Sets.SetItem("demo", set with { Members = set.Members.SetItem("b", set.Members["b"] with { JoinedIncarnation = joined }) }),
        };
        var status = Status("1 2 3");
        var member = status.Members.Single(member => member.Id.Value == 2);
        Assert.Equal(code, MembershipGuards.OfLeaving(status, member, true, cluster, _ => "b", 3520)?.Code);
        Assert.Null(MembershipGuards.OfLeaving(status, member, false, cluster, _ => "b", 3520));
    }

    [Theory]
    [InlineData(false, 0UL, 4, "127.0.0.1:9", null)]
    [InlineData(true, 0UL, 4, "127.0.0.1:9", "hasTakenPart")] // It votes: its votes are lost with its data.
    [InlineData(false, 5UL, 4, "127.0.0.1:9", "hasTakenPart")]
    [InlineData(false, 0UL, 2, "127.0.0.1:9", "hasTakenPart")] // It has registered under this number.
    [InlineData(false, 0UL, 4, "127.0.0.1:8", "otherAddress")]
    public void Joining_EmptyDirectory_OnlyIfTheNumberNeverTookPart(bool isVoter, ulong match, ushort number, string address, string? code)
    {
        var member = new MemberStatus(new NodeId(number), address, isVoter, match, false, "b");
        Assert.Equal(code, MembershipGuards.OfJoining(new JoinRequest("b", "127.0.0.1:9", false), member, Samples.View().State)?.Code);
    }

    [Fact]
    public void Directory_Configuration_IsFollowedAndSelfIsKept()
    {
        var directory = new NodeDirectory(
            new FirstStart("x", null, [new FirstMember("a", 1, "127.0.0.1:1"), new FirstMember("b", 2, "127.0.0.1:2")]), "b");
        Assert.Equal(["a", "b"], directory.Names);
        directory.Take(Status("") with { Members = [] });
        Assert.Equal(["a", "b"], directory.Names);

        // The first members of an old cluster have no names in the log: those of the first start count.
        directory.Take(Status("1 4") with { Members = [Member(1, ""), Member(4, "d")] });
        Assert.Equal(["a", "b", "d"], directory.Names);
        Assert.Equal("a", directory.NameOf(new NodeId(1)));
        Assert.Equal(new NodeId(4), directory.IdOf("d"));
        directory.Take(Status("4") with { Members = [Member(4, "d"), Member(5, "a")] });
        Assert.Null(directory.NameOf(new NodeId(1)));
        Assert.Equal(new NodeId(5), directory.IdOf("a"));
        Assert.Equal(new NodeId(2), directory.Self);
    }

    [Fact]
    public void FirstStart_Kept_IsReadBackAndTheOldListToo()
    {
        var data = Directory.CreateTempSubdirectory("raftmirror-first-").FullName;
        try
        {
            Assert.False(FirstStart.Exists(data));
            var cluster = Guid.NewGuid();
            new FirstStart("x", cluster, [new FirstMember("d", 4, "127.0.0.1:4")], 7).Save(data);
            var read = FirstStart.Load(data);
            Assert.Equal(("x", cluster, 7UL), (read.ClusterName, read.JoinedClusterId, read.AfterIncarnation));
            Assert.Equal(new FirstMember("d", 4, "127.0.0.1:4"), Assert.Single(read.Members));
            File.WriteAllText(Path.Combine(data, FirstStart.FileName), """[{"name":"a","id":1,"peer":"127.0.0.1:1"}]""");
            Assert.Equal("a", Assert.Single(FirstStart.Load(data).Members).Name);
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }

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
        await using var server = await CommandLineTests.StartAsync(node);
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
        await using var server = await CommandLineTests.StartAsync(node);
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
        await using var server = await CommandLineTests.StartAsync(node);
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
        await using var server = await CommandLineTests.StartAsync(new FakeNode("a"));
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

    private static MemberStatus Member(ushort id, string name, bool isVoter = true, bool isActive = true) =>
        new(new NodeId(id), $"127.0.0.1:{id}", isVoter, 0, isActive, name);

    /// <summary>"1 2l 3x": numbers; l for a learner, x for one that is silent. 1 leads.</summary>
    private static LogStatus Status(string members) => new(
        new NodeId(1), true, 3, new NodeId(1), new LogPosition(9), new LogPosition(9), new LogPosition(9),
        [.. members.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text =>
            Member(ushort.Parse(text.TrimEnd('l', 'x')), "", !text.Contains('l'), !text.Contains('x')))]);
}
