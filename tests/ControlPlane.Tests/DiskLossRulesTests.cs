using System.Collections.Immutable;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>Who goes on without a disk (design §14.21): path is not media.</summary>
public sealed class DiskLossRulesTests
{
    private readonly Bench _bench = Bench.Cluster().WithMirror();

    private SetState Set => _bench.State.Sets["s"];

    [Fact]
    public void ToLose_SomeSeeIt_Nothing()
    {
        Miss("a", "d2");
        Miss("b", "d2");
        Assert.Equal(DiskView.Seen, DiskLossRules.ViewOf(_bench.State, Set, "d2"));
        Assert.Empty(DiskLossRules.ToLose(_bench.State, Set, hasWaited: true).ToArray());
    }

    [Fact]
    public void ToLose_NobodySeesIt_AtOnceIfAllAreThereElseAfterTheWait()
    {
        foreach (var node in Set.Members.Keys) Miss(node, "d2");
        Assert.Equal(["d2"], DiskLossRules.ToLose(_bench.State, Set, hasWaited: false).ToArray());
        _bench.Fence("c", 10);
        Assert.Empty(DiskLossRules.ToLose(_bench.State, Set, hasWaited: false).ToArray());
        Assert.Equal(["d2"], DiskLossRules.ToLose(_bench.State, Set, hasWaited: true).ToArray());
    }

    [Fact] // It sees the disk, and waits for another node's word: for a while.
    public void ToLose_NobodyMayUseItYet_AfterTheWait()
    {
        foreach (var node in Set.Members.Keys)
            _bench.Ok(new ReportDisks("s", node, _bench.State.Nodes[node].Incarnation, [new DiskComplaint("d2", DiskLossReason.Unproven, "not compared yet")]));
        Assert.Empty(DiskLossRules.ToLose(_bench.State, Set, hasWaited: false).ToArray());
        Assert.Equal(["d2"], DiskLossRules.ToLose(_bench.State, Set, hasWaited: true).ToArray());
    }

    [Fact] // What an earlier life said counts for nothing.
    public void ToLose_ComplaintOfAnEarlierIncarnation_DoesNotCount()
    {
        foreach (var node in Set.Members.Keys) Miss(node, "d2");
        _bench.Fence("c", 10);
        _bench.Register("c", 3, 11);
        Assert.Equal(DiskView.MissedSoFar, DiskLossRules.ViewOf(_bench.State, Set, "d2"));
    }

    [Fact] // Whoever misses less goes first; alone, after the wait.
    public void MayEnterFirst_MissesADisk_OnlyIfNobodyMissesFewer()
    {
        Miss("a", "d2");
        Miss("c", "d2");
        Assert.False(DiskLossRules.MayEnterFirst(_bench.State, Set, "a", hasWaited: true));
        Assert.True(DiskLossRules.MayEnterFirst(_bench.State, Set, "b", hasWaited: false));
        Miss("b", "d1", "d2");
        Assert.True(DiskLossRules.MayEnterFirst(_bench.State, Set, "a", hasWaited: false));
        Assert.False(DiskLossRules.MayEnterFirst(_bench.State, Set, "c", hasWaited: false)); // As many as a, which has the lower id.
        _bench.Fence("c", 10); // It may come back and see the disk.
        Assert.False(DiskLossRules.MayEnterFirst(_bench.State, Set, "a", hasWaited: false));
        Assert.True(DiskLossRules.MayEnterFirst(_bench.State, Set, "a", hasWaited: true));
    }

    [Fact]
    public void HasPart_NoDiskInUseCanBeUsed_StaysOut()
    {
        ImmutableArray<DiskComplaint> all = [.. Set.Disks.Keys.Select(static disk => Complaint(disk))];
        Assert.False(DiskLossRules.HasPart(Set, all));
        Assert.True(DiskLossRules.HasPart(Set, all.RemoveAt(0)));
    }

    [Fact] // §14.20, §14.2: not while anybody may have I/O to it, nor before the loss is over, nor while one that serves cannot see it.
    public void MayReturn_NeedsEveryNodeThatServes()
    {
        foreach (var node in Set.Members.Keys) Miss(node, "d2");
        _bench.Ok(new LoseDisk("s", "d2", DiskLossReason.Absent, "gone", "a", 10, _bench.Evidence("a", "b", "c")));
        foreach (var node in Set.Members.Keys) Miss(node);
        Assert.False(MayReturn());
        foreach (var user in Set.Disks["d2"].Users)
            _bench.Ok(new ReportDiskIoEnded("s", "d2", Set.Disks["d2"].LostAtIndex, user.Incarnation, user.Node, user.Incarnation));
        Assert.False(MayReturn());
        foreach (var barrier in _bench.Volume().Barriers)
        {
            foreach (var waiting in barrier.Waiting) _bench.Ok(new ConfirmBarrier("s", "v", barrier.Id, waiting.Node, waiting.Incarnation));
        }

        _bench.Ok(_bench.BeatOf("a"));
        Assert.True(MayReturn());
        Miss("b", "d2");
        Assert.False(MayReturn());
    }

    private bool MayReturn() => DiskLossRules.MayReturn(_bench.State, Set, Set.Disks["d2"]);

    private static DiskComplaint Complaint(string disk) => new(disk, DiskLossReason.Absent, "ENOENT");

    private void Miss(string node, params string[] disks) =>
        _bench.Ok(new ReportDisks("s", node, _bench.State.Nodes[node].Incarnation, [.. disks.Select(Complaint)]));
}
