using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Events;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>Activations, beats and closing beats as the state knows them (design §14.19).</summary>
public sealed class ActivationTests
{
    private static SetState Set(Bench bench) => bench.State.Sets["s"];

    private static ulong StampOn(Bench bench, string disk) => Stamps.CompletedOf(Set(bench).Disks[disk]).Number;

    /// <summary>All are killed, fenced and back; nobody has joined.</summary>
    private static Bench KilledWhole()
    {
        var bench = Bench.Cluster().WithMirror();
        for (ushort i = 0; i < 3; i++) bench.Register(((char)('a' + i)).ToString(), (ushort)(i + 1), 20);
        foreach (var node in new[] { "a", "b", "c" }) bench.Fence(node, 10);
        foreach (var node in new[] { "a", "b", "c" }) bench.Ok(bench.MergeOf(node, 10, Duties.MergeDuty(bench.State, "s", node)!.Name));
        return bench;
    }

    [Fact]
    public void Activation_AfterEverybodyWasKilled_StampsBeforeAnybodyServes()
    {
        var bench = KilledWhole();
        var before = Set(bench);
        bench.No(new JoinSet("s", "a", 20), "notActive");
        var number = bench.Ok(new StartActivation("s", "a", 20)).Data!.Generation!.Value;
        Assert.Equal((before.Activation + 1, before.NextStamp!.Number + 1), (number, Set(bench).NextStamp!.Number));
        bench.No(new JoinSet("s", "a", 20), "notActive");
        bench.No(new CompleteActivation("s", number, "a", 20, []), "noDisk");
        bench.Ok(new CompleteActivation("s", number, "a", 20, ["d1", "d2", "d3"]));
        Assert.Equal(["ActivationCompleted", "NodeJoinedSet"], bench.Types.Take(2));
        Assert.Equal(before.NextStamp.Number + 1, StampOn(bench, "d1"));
        Assert.Equal((number, before.NextStamp.Number + 2), (Set(bench).NextStamp!.Activation, Set(bench).NextStamp!.Number));
        bench.Ok(new JoinSet("s", "b", 20));
    }

    [Fact]
    public void Activation_UntilItIsCompleted_OldAndNewStampAreCurrent()
    {
        var bench = KilledWhole();
        var completed = Stamps.CompletedOf(Set(bench).Disks["d1"]);
        bench.Ok(new StartActivation("s", "a", 20));
        Assert.Equal(completed, Stamps.CompletedOf(Set(bench).Disks["d1"]));
        Assert.Equal(Set(bench).NextStamp, Stamps.NewestOf(Set(bench), Set(bench).Disks["d1"]));
    }

    [Fact]
    public void Activation_ItsNodeDies_AnotherTakesANumberOfItsOwn()
    {
        var bench = KilledWhole();
        var first = bench.Ok(new StartActivation("s", "a", 20)).Data!.Generation!.Value;
        bench.No(new StartActivation("s", "b", 20), "busy");
        bench.Ok(new SuspectNode("a", 20, "silent"));
        bench.No(new StartActivation("s", "b", 20), "busy");
        bench.Fence("a", 20);
        var second = bench.Ok(new StartActivation("s", "b", 20)).Data!.Generation!.Value;
        Assert.Equal(first + 1, second);
        bench.Ok(new CompleteActivation("s", second, "b", 20, ["d1", "d2", "d3"]));
        bench.Register("a", 1, 21);
        bench.No(new CompleteActivation("s", first, "a", 21, ["d1", "d2", "d3"]), "staleActivation");
    }

    [Fact] // It is up, and so bars the others, until it says that it cannot.
    public void Activation_ItsNodeGivesUp_AnotherMayTry()
    {
        var bench = KilledWhole();
        var first = bench.Ok(new StartActivation("s", "a", 20)).Data!.Generation!.Value;
        Assert.False(Stamps.IsEnterable(bench.State, Set(bench), "b", 20));
        var refused = new DiskComplaint("d1", DiskLossReason.Unreachable, "EIO");
        var giveUp = new GiveUpActivation("s", first, "a", 20, "no disk took the label", [refused]);
        bench.No(giveUp with { Activation = first + 1 }, "staleActivation");
        bench.No(giveUp with { Node = "b" }, "staleActivation");
        bench.No(giveUp with { Why = "" }, "badDetail");
        bench.Ok(giveUp);
        Assert.Equal(["ActivationGivenUp", "DisksReported"], bench.Types);
        Assert.Equal(refused, Set(bench).Members["a"].ComplaintOf("d1", 20));
        bench.No(giveUp, "staleActivation");
        Assert.True(Stamps.IsEnterable(bench.State, Set(bench), "b", 20));

        // The label of the first one may be on a disk: the next number is a later one, and both are known.
        var opened = Set(bench).NextStamp!;
        var second = bench.Ok(new StartActivation("s", "b", 20)).Data!.Generation!.Value;
        Assert.Equal(first + 1, second);
        Assert.Contains(opened, Set(bench).OpenedStamps);
        bench.No(new CompleteActivation("s", first, "a", 20, ["d1", "d2", "d3"]), "staleActivation");
        bench.Ok(new CompleteActivation("s", second, "b", 20, ["d1", "d2", "d3"]));
    }

    [Fact] // To serve without a disk that is ahead of the state would be to go back in time, whoever found it.
    public void Activation_DiskNewerByAnothersWord_IsRefused()
    {
        var bench = KilledWhole();
        bench.Ok(new ReportDisks("s", "b", 20, [new DiskComplaint("d2", DiskLossReason.Newer, "stamp 9")]));
        var number = bench.Ok(new StartActivation("s", "a", 20)).Data!.Generation!.Value;
        var complete = new CompleteActivation("s", number, "a", 20, ["d1", "d3"])
        {
            Complaints = [new DiskComplaint("d2", DiskLossReason.Absent, "ENOENT")],
        };
        bench.No(complete, "diskNewer");
        bench.Ok(new ReportDisks("s", "b", 20, []));
        bench.Ok(complete);
    }

    [Fact]
    public void Activation_RepeatedByTheSameIncarnation_IsTheSame()
    {
        var bench = KilledWhole();
        var first = bench.Ok(new StartActivation("s", "a", 20)).Data!.Generation;
        Assert.Equal(first, bench.Ok(new StartActivation("s", "a", 20)).Data!.Generation);
        Assert.Empty(bench.LastEvents);
    }

    [Fact]
    public void Join_OnlySilentNodesServe_WaitsForTheirEnd()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new StopNode("c", 10));
        bench.Register("c", 3, 11);
        bench.Ok(new SuspectNode("a", 10, "silent"));
        bench.Ok(new SuspectNode("b", 10, "silent"));
        Assert.False(Stamps.IsEnterable(bench.State, Set(bench), "c", 11));
        Assert.True(bench.No(new JoinSet("s", "c", 11), "busy").IsRetryable);
        bench.Ok(new ClearSuspicion("a", 10));
        Assert.True(Stamps.IsEnterable(bench.State, Set(bench), "c", 11));
        bench.Ok(new JoinSet("s", "c", 11));
    }

    [Fact]
    public void Beat_DiskThatWasNotReached_KeepsItsOlderStamp()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(bench.BeatOf("a"));
        var old = StampOn(bench, "d2");
        var beat = bench.BeatOf("a", "d1", "d3");
        bench.Ok(beat);
        Assert.Equal((beat.Stamp, old), (StampOn(bench, "d1"), StampOn(bench, "d2")));
        bench.Ok(beat);
        Assert.Empty(bench.LastEvents);
        bench.No(bench.BeatOf("b"), "notDuty");
        bench.No(bench.BeatOf("a") with { Stamp = beat.Stamp + 2 }, "badStamp");
        bench.No(bench.BeatOf("a", "d9"), "diskNotOkay");
    }

    [Fact]
    public void Beat_EachOpensANumberWithANonceOfItsOwn()
    {
        var bench = Bench.Cluster().WithMirror();
        var seen = new HashSet<(ulong, Guid)>();
        for (var i = 0; i < 5; i++)
        {
            Assert.True(seen.Add((Set(bench).NextStamp!.Number, Set(bench).NextStamp!.Nonce)));
            bench.Ok(bench.BeatOf("a"));
        }

        Assert.Equal(5, seen.Select(stamp => stamp.Item2).Distinct().Count());
    }

    [Fact] // It would push what matters out of the bounded history within a day.
    public void Beat_Event_IsNotKept()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(bench.BeatOf("a"));
        Assert.IsType<BeatCompleted>(Assert.Single(bench.LastEvents).Event);
        Assert.DoesNotContain(bench.Machine.History.Read(0, int.MaxValue, out _), record => record.Event is BeatCompleted);
    }

    [Fact]
    public void Close_LastNode_OwesAClosingBeat()
    {
        var bench = Bench.Cluster().WithMirror();
        bench.Ok(new StopNode("a", 10));
        bench.Ok(new LeaveSet("s", "b", 10));
        Assert.True(bench.No(new StopNode("c", 10), "closingBeatOwed").IsRetryable);
        bench.No(new LeaveSet("s", "c", 10), "closingBeatOwed");
        bench.Ok(bench.BeatOf("c"));
        bench.Ok(new StopNode("c", 10, ["s"]));
        Assert.True(Stamps.NeedsActivation(Set(bench)));
    }

    [Fact] // Design §14.10 wants it on the disks that will be read, and on no other.
    public void FailSubmirror_GenerationOnADiskThatHasNoLeg_DoesNotEndTheBarrier()
    {
        var bench = Bench.Cluster().WithMirror();
        var barrier = bench.Ok(new FailSubmirror("s", "v", "v-1", "a", 10, "EIO")).Data!.Barrier!.Value;
        foreach (var node in new[] { "a", "b", "c" }) bench.Ok(new ConfirmBarrier("s", "v", barrier, node, 10));
        bench.Ok(bench.BeatOf("a", "d3"));
        Assert.Single(bench.Volume().Barriers);
        bench.Ok(bench.BeatOf("a", "d1"));
        Assert.Empty(bench.Volume().Barriers);
        Assert.DoesNotContain("d2", Stamps.DisksToStamp(Set(bench)));
    }

    [Fact]
    public void JoinSet_ByOperator_NobodyServes_LetsTheNodeComeBackByItself()
    {
        var bench = Bench.Cluster().WithMirror();
        foreach (var node in new[] { "a", "b", "c" }) bench.Ok(new LeaveSet("s", node, 10, IsClosed: true));
        bench.No(new StartActivation("s", "a", 10), "leftByOperator");
        bench.Ok(new JoinSet("s", "a", 10, IsByOperator: true));
        Assert.Equal(["NodeReturned"], bench.Types);
        bench.Activate("a");
        Assert.Equal(10UL, Set(bench).Members["a"].JoinedIncarnation);
    }
}
