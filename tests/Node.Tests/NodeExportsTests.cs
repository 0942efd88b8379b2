using System.Collections.Immutable;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Node.Sets;
using RaftMirror.Node.State;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What a node says of its exports before and while it serves them (design §14.26).</summary>
public sealed class NodeExportsTests
{
    private static readonly NodeIdentity Self = new("b", new NodeId(2), 14);

    [Fact]
    public void Look_OwnRegistrationNotSeen_KnowsNothing()
    {
        var exports = ExportsOf(StateOf(incarnation: 13));
        Assert.Equal(ExportStanding.Undecided, exports.Look("t/v").Standing);
        Assert.Equal(ExportStanding.Undecided, exports.Look("t/none").Standing);
        Assert.Null(exports.List().Names);
        Assert.False(exports.List().IsFinal);
    }

    [Theory]
    [InlineData("t/v", ExportStanding.NotServed)]
    [InlineData("t/none", ExportStanding.None)]
    [InlineData("none/v", ExportStanding.None)]
    [InlineData("t", ExportStanding.None)]
    [InlineData("t/v/v", ExportStanding.None)]
    [InlineData("", ExportStanding.None)]
    public void Look_NoDataPlaneYet_TellsConfiguredFromUnknown(string name, ExportStanding expected) =>
        Assert.Equal(expected, ExportsOf(StateOf()).Look(name).Standing);

    [Fact]
    public void List_NotServed_NamesTheVolumesOfItsSets()
    {
        Assert.Equal(["t/v"], ExportsOf(StateOf()).List().Names!.Select(listing => listing.Name));
        Assert.Empty(ExportsOf(StateOf(hasLeft: true)).List().Names!);
        Assert.Empty(ExportsOf(StateOf(member: "a")).List().Names!);
    }

    [Theory]
    [InlineData(true, "b", "has left disk set 't'")]
    [InlineData(false, "a", "nodes a serve disk set 't', and this node is not one of them")]
    public void Look_NeverServedHere_SaysWhy(bool hasLeft, string member, string reason)
    {
        var look = ExportsOf(StateOf(hasLeft: hasLeft, member: member)).Look("t/v");
        Assert.Equal(ExportStanding.NeverServed, look.Standing);
        Assert.Contains(reason, look.Reason, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(NodeStatus.Up, 0ul, false, "has not joined")]
    [InlineData(NodeStatus.Suspect, 14ul, false, "this node is suspect")]
    [InlineData(NodeStatus.Starting, 12ul, true, "former life")]
    public void Look_DataPlaneNotReady_NamesTheCauseThatTheStateKnows(NodeStatus status, ulong joined, bool predecessor, string reason)
    {
        var state = StateOf(status: status, joined: joined, predecessor: predecessor ? new PredecessorState(12, PredecessorStatus.Suspect, 0, 90) : null);
        var look = ExportsOf(state, new ExportLookup(ExportStanding.NotServed, "no lease", new OneExport())).Look("t/v");
        Assert.Equal(ExportStanding.NotServed, look.Standing);
        Assert.Contains(reason, look.Reason, StringComparison.Ordinal);
        Assert.NotNull(look.Export); // A session may be opened while it waits.
    }

    [Fact]
    public void Look_NothingInTheState_SaysWhatTheDataPlaneLacks()
    {
        Assert.Equal("no lease", ExportsOf(StateOf(), new ExportLookup(ExportStanding.NotServed, "no lease")).Look("t/v").Reason);
        Assert.Equal(ExportStanding.Served, ExportsOf(StateOf(), new ExportLookup(ExportStanding.Served)).Look("t/v").Standing);
    }

    [Fact]
    public void Barred_Node_NeitherListsNorServes()
    {
        var exports = ExportsOf(StateOf(), new ExportLookup(ExportStanding.Served), new ServiceBar.Bar(NodeStandings.Quarantined, "differs"));
        Assert.Equal((ExportStanding.NeverServed, "this node is quarantined"), (exports.Look("t/v").Standing, exports.Look("t/v").Reason));
        Assert.True(exports.List() is { Names: null, IsFinal: true });
    }

    [Fact]
    public async Task Changed_StateOrService_IsTold()
    {
        var feed = new StateFeed(StateOf());
        var exports = new NodeExports(Self, feed, (_, _) => null, () => null, _ => default);
        var first = exports.Changed;
        Assert.False(first.IsCompleted);
        feed.Publish(StateOf());
        await first.WaitAsync(TimeSpan.FromSeconds(20));
        var second = exports.Changed;
        Assert.False(second.IsCompleted);
        exports.ServiceChanged();
        await second.WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact] // Without a majority nobody can say what is configured: asked again until somebody can.
    public async Task CatchUp_NoLeader_AsksAgainUntilTheBarrierPasses()
    {
        var asked = 0;
        var exports = new NodeExports(Self, new StateFeed(StateOf()), (_, _) => null, () => null, _ =>
            ++asked < 3 ? throw new NoLeaderException("nobody leads") : ValueTask.FromResult(new LogPosition(1)));
        await exports.CatchUpAsync(CancellationToken.None);
        Assert.Equal(3, asked);
        asked = int.MinValue;
        using var stop = new CancellationTokenSource(50);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => exports.CatchUpAsync(stop.Token));
    }

    private static NodeExports ExportsOf(ClusterState state, ExportLookup? served = null, ServiceBar.Bar? bar = null) =>
        new(Self, new StateFeed(state), (_, _) => served, () => bar, _ => default);

    private static ClusterState StateOf(
        ulong incarnation = 14, NodeStatus status = NodeStatus.Up, ulong joined = 14, bool hasLeft = false, string member = "b",
        PredecessorState? predecessor = null)
    {
        var node = new NodeState("b", 2, incarnation, status, 0, 100, HasServed: false, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", predecessor);
        var set = new SetState(
            "t", Guid.Empty, 1, 1, 1, 1, 16, 64 << 20, FencingKind.Lease, null,
            Map(member, new MemberState(member, 1, joined, hasLeft, 0, null, 0)), Map<DiskState>(), Map<VolumeState>("v", null!), 2);
        return ClusterState.Empty with { Index = 100, Nodes = Map("b", node), Sets = Map("t", set) };
    }

    private static ImmutableSortedDictionary<string, T> Map<T>() => ImmutableSortedDictionary.Create<string, T>(StringComparer.Ordinal);

    private static ImmutableSortedDictionary<string, T> Map<T>(string key, T value) => Map<T>().Add(key, value);

    private sealed class OneExport : IExport
    {
        public ExportInfo Info => null!;

        public IExportSession Open(string client) => throw new NotSupportedException();
    }
}
