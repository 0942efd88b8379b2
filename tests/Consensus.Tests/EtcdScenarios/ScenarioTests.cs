using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.EtcdScenarios;

/// <summary>What the scenarios brought to light, and the tools that run them; needs no data of others.</summary>
public sealed class ScenarioTests
{
    // The answer that commits the joint configuration makes the leader append the final one, whose slots are others.
    [Theory]
    [InlineData("r1")]
    [InlineData("r2")]
    [InlineData("r3")]
    public void AppendReply_ThatCommitsTheRemovalOfAMember_IsHandledToItsEnd(string operation)
    {
        var scenario = Run(
            $"""
            add-nodes 3 voters=(1,2,3) index=2
            ----

            campaign 1
            ----

            stabilize
            ----

            propose-conf-change 1
            {operation}
            ----

            stabilize
            ----
            """);
        Assert.Null(scenario.Heal());
        var leader = scenario.Nodes.Single(node => node.Core.Role == RaftRole.Leader).Core;
        Assert.Equal(2, leader.Configuration.Voters.Length);
        Assert.DoesNotContain(new NodeId(ushort.Parse(operation[1..])), leader.Configuration.Members);
    }

    // Thesis 4.2.2 and figure 4.6: a server that is not part of its own latest configuration still starts elections, as long as that is not
    // committed. Here only the removed leader has the final configuration, and node 1 cannot win without its vote.
    [Fact]
    public void RemovedLeader_WhoseLastConfigurationReachedNobody_StillCampaigns()
    {
        var scenario = Run(
            """
            add-nodes 2 voters=(1,2) index=2
            ----

            campaign 2
            ----

            stabilize
            ----

            propose-conf-change 2
            r2
            ----

            process-ready 2
            ----

            deliver-msgs 1
            ----

            process-ready 1
            ----

            deliver-msgs 2
            ----

            process-ready 2
            ----

            deliver-msgs drop=(1)
            ----

            tick-election 2
            ----

            tick-election 2
            ----
            """);
        Assert.Equal(RaftRole.Follower, scenario.Node(2).Core.Role);
        Assert.True(scenario.Node(2).Core.Log.LastIndex > scenario.Node(1).Core.Log.LastIndex);
        Assert.Null(scenario.Heal());
        Assert.Equal(RaftRole.Leader, scenario.Node(1).Core.Role);
        Assert.Equal([new NodeId(1)], scenario.Node(1).Core.Configuration.Members);
    }

    [Fact]
    public void Parse_CommentsArgumentsAndInput_AreReadOrRefused()
    {
        string[] text = ["# comment", "", "committed cfg=(1, 2) x=y 7", "in", "----", "out", "", "zero", "----"];
        var cases = DataDriven.Parse("f", text);
        Assert.Equal([("committed", 3), ("zero", 8)], cases.Select(one => (one.Command, one.Line)));
        Assert.Equal(["1", "2"], cases[0].Values("cfg")!);
        Assert.Equal(["y"], cases[0].Values("x")!);
        Assert.Equal([7], cases[0].Nodes.Select(node => (int)node));
        Assert.Equal(["in"], cases[0].Input);
        Assert.Equal(["out"], cases[0].Expected);
        Assert.Empty(cases[1].Expected);
        Assert.Throws<FormatException>(() => DataDriven.Parse("f", ["committed", "no end"]));
        Assert.Throws<FormatException>(() => DataDriven.Parse("f", ["committed cfg=(1", "----"]));
    }

    [Fact]
    public void Execute_UnknownCommand_Throws() =>
        Assert.Throws<FormatException>(() => Run("make-coffee\n----"));

    private static Scenario Run(string text)
    {
        var scenario = new Scenario();
        foreach (var command in DataDriven.Parse("scenario", text.Split('\n'))) scenario.Execute(command);
        return scenario;
    }
}
