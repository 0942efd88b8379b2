using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Disks that know what directories have forgotten (design §14.24, docs/adr/0023).</summary>
public sealed class TestimonyTests
{
    private static readonly RaftCoreOptions Options = new();
    private static readonly int Long = (10 * Options.ElectionTimeoutMaxMs) + (2 * Options.LivesMs);

    [Fact]
    public void Encode_AsManyLivesAsFit_ReadsBackTheSame()
    {
        var lives = Enumerable.Range(1, 30).Select(id => new KnownLife(Id(id), (ulong)id * 3, 1UL << id, new Promised(7, (ulong)id), new Promised(1, 2)));
        var testimony = new Testimony(Guid.NewGuid(), Id(9), new EntryId(5, 77), [.. lives]);
        var bytes = testimony.Encode();
        Assert.InRange(bytes.Length, 1, Testimony.MaxBytes);
        var read = Testimony.TryDecode(bytes)!;
        Assert.Equal((testimony.Cluster, testimony.Writer, testimony.Committed), (read.Cluster, read.Writer, read.Committed));
        Assert.Equal(testimony.Lives.Take(Testimony.MaxLives), read.Lives);
        Assert.True(Testimony.MaxLives >= MembershipRules.MaxVoters);
    }

    [Fact]
    public void TryDecode_AnyByteChangedOrCutOff_IsNone()
    {
        var bytes = new Testimony(Guid.NewGuid(), Id(1), new EntryId(5, 77), [new KnownLife(Id(1), 1, 2, new Promised(3, 4))]).Encode();
        for (var i = 0; i < bytes.Length; i++)
        {
            Assert.Null(Testimony.TryDecode(bytes.AsSpan(0, i)));
            bytes[i] ^= 0x10;
            Assert.Null(Testimony.TryDecode(bytes));
            bytes[i] ^= 0x10;
        }

        Assert.NotNull(Testimony.TryDecode(bytes));
        Assert.Null(Testimony.TryDecode(new byte[4096]));
    }

    /// <summary>Nobody who is up remembers: without the disks two of three would go on.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void MajorityPutBack_OnlyTheDisksKnow_NobodyLeads(bool areDisksAsked)
    {
        var cluster = Led();
        CoreNode[] copies = [.. cluster.Nodes.Take(2).Select(node => node.CopyDisk())];
        for (var id = 1; id <= 3; id++) Restart(cluster, id);
        cluster.Pass(Long);
        var disk = TestimonyOf(cluster, cluster.Leader);
        cluster.Loses = _ => true;
        for (var id = 1; id <= 2; id++) cluster.PutBack(id, copies[id - 1]);
        cluster.Isolate(3);
        for (var id = 1; id <= 2; id++) Ask(cluster, id, areDisksAsked ? [disk] : []);
        cluster.Pass(Long);
        Assert.Equal(areDisksAsked, cluster[1].Old is { Disk: "d0" } && cluster[2].Old is { Disk: "d0" });
        Assert.Equal(areDisksAsked ? 0 : 1, cluster.Nodes.Count(node => node.Id != Id(3) && node.Core.Role == RaftRole.Leader));
    }

    /// <summary>Where lives tell nothing, the entry does: both are behind, so that neither leads before the third is back.</summary>
    [Fact]
    public void MajorityLacksWhatADiskSaysIsCommitted_NobodyLeadsUntilOneHasIt()
    {
        var cluster = Led();
        cluster.Isolate(2);
        var last = cluster.Propose(1);
        cluster.Pass(2 * Options.LivesMs);
        var disk = TestimonyOf(cluster, 1) with { Lives = [] };
        Assert.Equal(last, disk.Committed);
        CoreNode behind = cluster.Nodes[1].CopyDisk();
        cluster.Loses = _ => true;
        cluster.Nodes[2].PutBack(behind); // As old as 2, which was merely away.
        cluster.Nodes[2].Starts.Clear();
        cluster.Nodes[2].Starts.Add(777);
        cluster.Nodes[1].PutBack(behind);
        for (var id = 2; id <= 3; id++) Restart(cluster, id, disk);
        cluster.Isolate(1);
        foreach (var (id, peer) in ((int, int)[])[(2, 3), (3, 2)]) Confirm(cluster, id, peer);
        cluster.Pass(Long);
        Assert.All((int[])[2, 3], id => Assert.NotEqual(RaftRole.Leader, cluster[id].Role));
        Assert.All((int[])[2, 3], id => Assert.Equal(last, cluster[id].MissingByDisks!.Value.Committed));
    }

    [Fact]
    public void MerelyBehind_DiskSaysMoreIsCommitted_VotesForWhoHasItAndIsFed()
    {
        var cluster = Led();
        cluster.Isolate(3);
        cluster.Propose(1);
        cluster.Propose(1);
        cluster.Pass(2 * Options.LivesMs);
        var disk = TestimonyOf(cluster, 2);
        cluster.Loses = _ => true;
        for (var id = 1; id <= 3; id++) Restart(cluster, id, disk);
        cluster.Isolate(1); // 2 needs the vote of 3.
        cluster.Pass(Long);
        Assert.Equal(2, cluster.Leader);
        Assert.All(cluster.Nodes, node => Assert.Null(node.Core.Old));
        Assert.Null(cluster[3].MissingByDisks);
        Assert.True(cluster[3].Commit >= disk.Committed.Index);
    }

    /// <summary>The writer has given that history up since, as this node knows: it must not keep anybody from leading.</summary>
    [Fact]
    public void CommittedByAHistoryThatWasGivenUp_CountsNoMore()
    {
        var testimonies = new DiskTestimonies();
        testimonies.Hear("d0", new Testimony(Guid.Empty, Id(2), new EntryId(5, 50), []));
        testimonies.Hear("d1", new Testimony(Guid.Empty, Id(3), new EntryId(4, 90), []));
        Assert.Equal(new EntryId(5, 50), testimonies.Furthest(_ => default).Committed);
        Assert.Equal(new EntryId(4, 90), testimonies.Furthest(node => node == Id(2) ? new Promised(5, 50) : default).Committed);
    }

    [Fact]
    public void Hear_OlderCopyOfADisk_TakesNothingBack()
    {
        var testimonies = new DiskTestimonies();
        testimonies.Hear("d0", new Testimony(Guid.Empty, Id(2), new EntryId(5, 50), []));
        testimonies.Hear("d0", new Testimony(Guid.Empty, Id(2), new EntryId(5, 40), []));
        Assert.Equal(50u, testimonies.Furthest(_ => default).Committed.Index);
    }

    [Fact]
    public void Contradiction_SeveralDisks_TellsTheLastLifeAndTheFurthestPromise()
    {
        var testimonies = new DiskTestimonies();
        testimonies.Hear("d0", new Testimony(Guid.Empty, Id(2), default, [new KnownLife(Id(1), 9, 90, new Promised(3, 10))]));
        testimonies.Hear("d1", new Testimony(Guid.Empty, Id(2), default, [new KnownLife(Id(1), 8, 80, new Promised(4, 5))]));
        var (known, disk) = testimonies.Contradiction(Id(1), new NodeLife(3, [30], default))!.Value;
        Assert.Equal((9UL, 90UL, new Promised(4, 5), "d0"), (known.Incarnation, known.Start, known.Promised, disk));
        Assert.Null(testimonies.Contradiction(Id(1), new NodeLife(10, [100, 90, 80], new Promised(4, 6))));
        Assert.Null(testimonies.Contradiction(Id(1), new NodeLife(10, [100], default, new Promised(4, 6)))); // Seeded anew since.
        Assert.Null(testimonies.Contradiction(Id(2), new NodeLife(1, [1], default)));
    }

    [Fact]
    public void HeldBack_DisksNotAskedYet_ConfirmsNobodyAndTakesNoPart()
    {
        var cluster = Led();
        cluster.AsksDisks = true;
        cluster.Restart(2);
        cluster.Sent.Clear();
        cluster.Pass(Long);
        Assert.False(cluster[2].IsAdmitted);
        Assert.DoesNotContain(cluster.Sent, message => message.From == Id(2) && message.Kind != MessageKind.Claim);
        cluster[2].DisksWereAsked();
        cluster.Pass(Long);
        Assert.True(cluster[2].IsAdmitted);
    }

    /// <summary>What a disk says must never be more than what survives a crash.</summary>
    [Fact]
    public void LivesForDisks_TermNotDurableYet_SaysNothing()
    {
        var cluster = Led();
        cluster.Nodes[1].Flushes = false;
        cluster.Deliver(new Message { Kind = MessageKind.Heartbeat, From = Id(1), To = Id(2), Term = cluster[2].Term + 5 });
        cluster.Settle();
        Assert.Null(cluster[2].LivesForDisks());
        cluster.Nodes[1].Flushes = true;
        cluster.Settle();
        Assert.Equal(cluster[2].Term, cluster[2].LivesForDisks()![0].Promised.Term);
    }

    [Fact]
    public void Leader_HearsOfALaterCommit_LeadsNoMore()
    {
        var cluster = Led();
        cluster[1].DisksSaid([("d0", new Testimony(Guid.Empty, Id(2), new EntryId(cluster[1].Term + 1, 900), []))]);
        Assert.Equal(RaftRole.Follower, cluster[1].Role);
        Assert.Null(cluster[1].Old);
    }

    private static CoreCluster Led()
    {
        var cluster = new CoreCluster(3, hasLives: true);
        cluster.Pass(50);
        cluster.Elect(1);
        cluster.Propose(1);
        cluster.Pass(2 * Options.LivesMs);
        return cluster;
    }

    private static Testimony TestimonyOf(CoreCluster cluster, int id)
    {
        var core = cluster[id];
        return Testimony.TryDecode(
            new Testimony(Guid.Empty, Id(id), new EntryId(core.Log.TermAt(core.AppliedIndex), core.AppliedIndex), core.LivesForDisks()!).Encode())!;
    }

    private static void Restart(CoreCluster cluster, int id, params Testimony[] disks)
    {
        cluster.AsksDisks = true;
        cluster.Restart(id);
        Ask(cluster, id, disks);
    }

    private static void Ask(CoreCluster cluster, int id, Testimony[] disks)
    {
        cluster[id].DisksSaid(disks.Select(static (said, i) => ($"d{i}", said)));
        cluster[id].DisksWereAsked();
        cluster.Settle();
    }

    private static void Confirm(CoreCluster cluster, int id, int peer)
    {
        var start = cluster.Nodes[id - 1].Starts[0];
        cluster[id].Step(new Message { Kind = MessageKind.ClaimReply, From = Id(peer), To = Id(id), Term = 0, Round = start });
    }
}
