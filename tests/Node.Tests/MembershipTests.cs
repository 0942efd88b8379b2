using System.Text.Json;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Membership;
using RaftMirror.Node.Peers;
using Xunit;
using MemberStatus = RaftMirror.Consensus.Model.MemberStatus;

namespace RaftMirror.Node.Tests;

/// <summary>When a member may leave, be removed or join, and what a node remembers of the others.</summary>
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

    private static MemberStatus Member(ushort id, string name, bool isVoter = true, bool isActive = true) =>
        new(new NodeId(id), $"127.0.0.1:{id}", isVoter, 0, isActive, name);

    /// <summary>"1 2l 3x": numbers; l for a learner, x for one that is silent. 1 leads.</summary>
    private static LogStatus Status(string members) => new(
        new NodeId(1), true, 3, new NodeId(1), new LogPosition(9), new LogPosition(9), new LogPosition(9),
        [.. members.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text =>
            Member(ushort.Parse(text.TrimEnd('l', 'x')), "", !text.Contains('l'), !text.Contains('x')))]);
}
