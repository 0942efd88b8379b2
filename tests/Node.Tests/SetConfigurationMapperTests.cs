using System.Collections.Immutable;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Sets;
using Xunit;
using DataPlaneMember = RaftMirror.DataPlane.Configuration.MemberPhase;

namespace RaftMirror.Node.Tests;

/// <summary>What a node's data plane is told of the members.</summary>
public sealed class SetConfigurationMapperTests
{
    [Theory]
    [InlineData(NodeStatus.Starting, DataPlaneMember.Up)]
    [InlineData(NodeStatus.Up, DataPlaneMember.Up)]
    [InlineData(NodeStatus.Draining, DataPlaneMember.Up)]
    [InlineData(NodeStatus.Suspect, DataPlaneMember.Suspect)]
    [InlineData(NodeStatus.Fenced, DataPlaneMember.Fenced)]
    [InlineData(NodeStatus.Down, DataPlaneMember.Down)]
    public void Map_MemberOfTheCurrentIncarnation_SaysWhetherItIsGone(NodeStatus status, DataPlaneMember expected)
    {
        var (cluster, set) = StateOf(status, joined: 0);

        var member = Assert.Single(SetConfigurationMapper.Map(cluster, set, "b", 14).Members);

        Assert.Equal(expected, member.State);
        Assert.Equal(14ul, member.Incarnation);
        Assert.False(member.IsJoined);
    }

    /// <summary>Killed twice before it could join: neither joined nor owed a merge, so the member speaks of the starting incarnation.</summary>
    [Fact]
    public void Map_StartingAfterAPredecessorThatNeverJoined_IsNotGone()
    {
        var (cluster, set) = StateOf(NodeStatus.Starting, joined: 0, new PredecessorState(12, PredecessorStatus.Suspect, 0, 90));

        var member = Assert.Single(SetConfigurationMapper.Map(cluster, set, "b", 14).Members);

        Assert.Equal((14ul, DataPlaneMember.Up, false), (member.Incarnation, member.State, member.IsJoined));
    }

    [Fact]
    public void Map_StartingWhilePredecessorIsJoined_SpeaksOfThePredecessor()
    {
        var (cluster, set) = StateOf(NodeStatus.Starting, joined: 12, new PredecessorState(12, PredecessorStatus.Suspect, 0, 90));

        var member = Assert.Single(SetConfigurationMapper.Map(cluster, set, "b", 14).Members);

        Assert.Equal((12ul, DataPlaneMember.Suspect, true), (member.Incarnation, member.State, member.IsJoined));
    }

    private static (ClusterState Cluster, SetState Set) StateOf(NodeStatus status, ulong joined, PredecessorState? predecessor = null)
    {
        var node = new NodeState("b", 2, 14, status, 0, 100, HasServed: false, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", predecessor);
        var member = new MemberState("b", 1, joined, HasLeft: false, 0, null, 0);
        var set = new SetState(
            "t",
            Guid.Empty,
            1,
            1,
            1,
            1,
            16,
            64 << 20,
            FencingKind.Lease,
            null,
            Map("b", member),
            Map<DiskState>(),
            Map<VolumeState>(),
            1);
        return (ClusterState.Empty with { Index = 100, Nodes = Map("b", node), Sets = Map("t", set) }, set);
    }

    private static ImmutableSortedDictionary<string, T> Map<T>() => ImmutableSortedDictionary.Create<string, T>(StringComparer.Ordinal);

    private static ImmutableSortedDictionary<string, T> Map<T>(string key, T value) => Map<T>().Add(key, value);
}
