using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.ControlPlane.Tests;

/// <summary>Seeded random commands; invariants after each.</summary>
public sealed class RandomStreamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void Stream_AnyCommands_KeepsTheInvariantsAndReplaysEqually(ulong seed)
    {
        var random = new Xoshiro(seed);
        var bench = Bench.Cluster();
        var applied = 0;
        for (var i = 0; i < 600; i++)
        {
            var before = bench.State;
            if (bench.Do(Draw(bench, random)).Outcome == CommandOutcome.Applied) applied++;
            Check(before, bench.State, $"seed {seed}, step {i}");
        }

        Assert.True(applied > 100, $"Only {applied} commands were applied.");
        Heal(bench);

        // I-DET: the same log, with the state taken through JSON now and then, gives the same state.
        var state = ClusterState.Empty;
        for (var i = 0; i < bench.Log.Count; i++)
        {
            state = ControlPlaneMachine.Step(state, (ulong)i + 1, bench.Log[i]).State;
            if (i % 50 == 0) state = StateCodec.Decode(StateCodec.Encode(state));
        }

        Assert.Equal(bench.State.ChainHash, state.ChainHash);
        Assert.Equal(StateCodec.Hash(bench.State), StateCodec.Hash(state));
    }

    internal static CommandBody Draw(Bench bench, Xoshiro random)
    {
        var state = bench.State;
        string[] names = ["a", "b", "c"];
        var node = state.Nodes[names[random.Next(3)]];
        var other = state.Nodes[names[random.Next(3)]];
        var name = $"v{random.Next(3)}";
        var volume = state.Volume("s", name);
        var member = state.Sets["s"].Members[node.Name];
        var owner = volume?.Owner.Node is { } o ? o : node.Name;
        var ownerIncarnation = volume?.Owner.Incarnation ?? 0;
        var disk = state.Sets["s"].Disks.Values.ElementAt(random.Next(3));
        switch (random.Next(22))
        {
            case 18:
                return new LoseDisk("s", disk.Name, DiskLossReason.Unreachable, "drawn", node.Name, node.Incarnation, bench.Evidence(names));
            case 19:
                return new ReturnDisk("s", disk.Name, random.Chance(0.2), "drawn", node.Name, node.Incarnation, bench.Evidence(names));
            case 20:
                var user = disk.Users.Where(user => user.Node == node.Name).Select(static user => user.Incarnation).FirstOrDefault();
                return new ReportDiskIoEnded("s", disk.Name, disk.LostAtIndex, user, node.Name, node.Incarnation);
            case 21:
                return new ReportDisks("s", node.Name, node.Incarnation,
                    random.Chance(0.3) ? [new DiskComplaint(disk.Name, DiskLossReason.Absent, "drawn")] : []);

            case 0: return new RegisterNode(node.Name, node.Id, node.Incarnation + 1, "x", "y", "z");
            case 1: return new SuspectNode(node.Name, node.Incarnation, "drawn");
            case 2: return new ClearSuspicion(node.Name, node.Incarnation);
            case 3 or 4:
                var victim = node.Predecessor?.Incarnation ?? node.Incarnation;
                return new FenceNode(node.Name, victim, bench.Receipt(node.Name, victim));
            case 5:
                if (state.Sets["s"].Activating is { } activating && random.Chance(0.7))
                    return new CompleteActivation("s", activating.Number, activating.Node, activating.Incarnation, Stamps.DisksToStamp(state.Sets["s"]), true);
                return Stamps.NeedsActivation(state.Sets["s"]) && random.Chance(0.9)
                    ? new StartActivation("s", node.Name, node.Incarnation, true)
                    : new JoinSet("s", node.Name, node.Incarnation, true);
            case 6: return new OpenSlot("s", node.Name, node.Incarnation, PlacementRules.ChooseLogDisks(state.Sets["s"], member, node.Incarnation));
            case 7 or 8:
                return new MergeDirtyLog("s", node.Name, member.Slot?.Incarnation ?? 0, other.Name, other.Incarnation, state.Index,
                    random.Chance(0.1), null, [new VolumeMarks(1, [new RegionRun(random.Next(4), 1)])]);
            case 9 or 10:
                return new CreateMirror("s", name, (1 + random.Next(40)) << 20, [.. state.Sets["s"].Disks.Keys.Take(1 + random.Next(3))],
                    Writers: random.Chance(0.5) ? WriterMode.One : WriterMode.All);
            case 11: return new DeleteMirror("s", name);
            case 12: return new MoveOwner("s", name, other.Name, other.Incarnation, TransferReason.Write);
            case 13:
                return new ReleaseOwner("s", name, owner, ownerIncarnation, volume?.Transfer?.Epoch ?? volume?.Owner.Epoch ?? 0, []);
            case 14: return new CancelTransfer("s", name, volume?.Transfer?.Epoch ?? 0, "drawn");
            case 15: return new FinishResync("s", name, volume?.Owner.Epoch ?? 0, owner, ownerIncarnation, state.Index, 1, 1, 1);
            case 16:
                return new FailSubmirror("s", name, $"{name}-{random.Next(2)}", node.Name, node.Incarnation, "drawn");
            default:
                var barrier = volume?.Barriers.FirstOrDefault()?.Id ?? 0;
                return random.Chance(0.3)
                    ? bench.BeatOf(node.Name)
                    : random.Chance(0.2)
                        ? new StopNode(node.Name, node.Incarnation)
                        : new ConfirmBarrier("s", name, barrier, node.Name, node.Incarnation);
        }
    }

    private static void Check(ClusterState before, ClusterState after, string where)
    {
        Assert.True(after.LogTimeMs > before.LogTimeMs, where);
        var set = after.Sets["s"];
        var extents = set.Volumes.Values.SelectMany(static v => v.Submirrors).SelectMany(static s => s.Extents).ToList();
        for (var i = 0; i < extents.Count; i++)
        {
            for (var j = i + 1; j < extents.Count; j++)
            {
                Assert.False(
                    extents[i].Disk == extents[j].Disk && new ByteRange(extents[i].DiskOffsetBytes, extents[i].LengthBytes)
                        .Overlaps(new ByteRange(extents[j].DiskOffsetBytes, extents[j].LengthBytes)),
                    $"{where}: extents overlap");
            }
        }

        foreach (var (name, volume) in set.Volumes)
        {
            Assert.Contains(volume.Submirrors, static s => s.IsReadable);
            if (volume.Owner.Node is { } owner)
            {
                // I-OWN, I-FENCE: an owner is an incarnation that has joined and is not fenced.
                Assert.True(set.Members[owner].JoinedIncarnation == volume.Owner.Incarnation, $"{where}: {name}'s owner has not joined");
            }

            foreach (var leg in volume.Submirrors)
            {
                // What the others are owed now, one that is away is owed later.
                if (leg is not { Status: LegState.Offline, IsEverythingKept: false } || volume.Resync is not { } resync) continue;
                Assert.True(
                    RegionRuns.Union(leg.KeptRuns, resync.OwedRuns).SequenceEqual(leg.KeptRuns), $"{where}: {leg.Name} is not kept what is owed");
            }

            if (before.Volume("s", name) is not { } old || old.Number != volume.Number) continue;
            Assert.True(volume.Owner.Epoch >= old.Owner.Epoch, where);
            if (volume.Owner == old.Owner) continue;
            Assert.True(volume.Owner.Epoch > old.Owner.Epoch, $"{where}: the owner changed within an epoch");
            Assert.True(volume.Owner.Node is null || !set.IsMergeOwed, $"{where}: granted while a merge is owed");
        }
    }

    /// <summary>I-LIVE: with everybody restarted and fenced, merges, barriers and nodes all come to an end.</summary>
    private static void Heal(Bench bench)
    {
        foreach (var name in new[] { "a", "b", "c" })
        {
            bench.Register(name, bench.State.Nodes[name].Id, bench.State.Nodes[name].Incarnation + 1);
            if (bench.State.Nodes[name].Predecessor is { Status: PredecessorStatus.Suspect } old) bench.Fence(name, old.Incarnation);
        }

        foreach (var name in new[] { "a", "b", "c" })
        {
            if (bench.State.Sets["s"].Members[name] is not { IsMergeOwed: true, Slot: { } slot }) continue;
            var duty = Duties.MergeDuty(bench.State, "s", name);
            Assert.NotNull(duty);
            bench.Ok(bench.MergeOf(name, slot.Incarnation, duty.Name));
        }

        Assert.All(bench.State.Nodes.Values, static n => Assert.Equal(NodeStatus.Up, n.Status));
        foreach (var node in bench.State.Nodes.Values)
        {
            if (Stamps.NeedsActivation(bench.State.Sets["s"])) bench.Activate(node.Name);
            else bench.Ok(new JoinSet("s", node.Name, node.Incarnation, true));
        }

        foreach (var node in bench.State.Nodes.Values) bench.Ok(new ReportDisks("s", node.Name, node.Incarnation, []));
        foreach (var disk in bench.State.Sets["s"].Disks.Values)
        {
            foreach (var user in disk.Users)
                bench.Ok(new ReportDiskIoEnded("s", disk.Name, disk.LostAtIndex, user.Incarnation, user.Node, bench.State.Nodes[user.Node].Incarnation));
        }

        bench.Ok(bench.BeatOf(Duties.SetDuty(bench.State, bench.State.Sets["s"])!.Name));
        Assert.All(bench.State.Sets["s"].Volumes.Values, static v =>
        {
            Assert.Empty(v.Barriers);
            Assert.True(v.Resync is null || v.Owner.Node is not null, "An owed resync has an owner.");
        });
    }
}
