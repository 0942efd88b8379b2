using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Raft paper section 7, raft rule 13, bugs 12, 13 and 33.</summary>
public sealed class CoreSnapshotTests
{
    private static readonly NodeId One = new(1);
    private static readonly NodeId Two = new(2);
    private static readonly Configuration Three = new([One, Two, new NodeId(3)]);

    [Fact]
    public void Follower_BehindTheLog_GetsTheSnapshotThenTheRest()
    {
        var cluster = Compacted(out var snapshot);
        cluster.Heal();
        cluster.Pass(1500);
        Assert.Equal(snapshot, Assert.Single(cluster.Nodes[2].Installed));
        Assert.Equal(cluster[1].Log.LastId, cluster[3].Log.LastId);
        Assert.Equal(cluster[1].Commit, cluster[3].Commit);
        Assert.Equal(snapshot.Last, cluster.Nodes[2].Start);
        Assert.Equal(ProgressState.Replicate, cluster[1].ProgressOf(Id(3))!.State);
        cluster.Restart(3);
        Assert.Equal(cluster[1].Commit, cluster[3].Log.LastIndex);
    }

    [Fact] // Bug 33: also when the leader's log is empty behind the snapshot.
    public void Follower_LeadersLogIsEmpty_GetsTheSnapshot()
    {
        var snapshot = new SnapshotMeta(new EntryId(3, 9), Three, 100, 7);
        var core = new RaftCore(One, Three, new RaftCoreOptions(), new HardState(3, default, 9), snapshot.Last, [], snapshot, new Xoshiro(1), 0);
        core.Tick(10_000);
        core.Step(new Message { Kind = MessageKind.PreVoteReply, From = Two, To = One, Term = 4 });
        core.WriteDone(core.TakeReady().Write!.Sequence);
        core.Step(new Message { Kind = MessageKind.VoteReply, From = Two, To = One, Term = 4 });
        core.TakeReady();
        core.Step(new Message
        {
            Kind = MessageKind.AppendReply,
            From = Two,
            To = One,
            Term = 4,
            Reject = true,
            Log = snapshot.Last,
            Hint = default,
        });
        var offer = Assert.Single(core.TakeReady().Messages, sent => sent.Message.To == Two).Message;
        Assert.Equal((MessageKind.InstallSnapshot, snapshot.Last, 100ul, 7ul), (offer.Kind, offer.Log, offer.Round, offer.Hint.Index));
    }

    [Fact] // The offer, the fetch or the answer may be lost: nothing stays stuck.
    public void Offer_Lost_IsMadeAgain()
    {
        var cluster = Compacted(out _);
        cluster.Loses = message => message.Kind == MessageKind.InstallSnapshot;
        cluster.Pass(1500);
        Assert.True(cluster.Sent.Count(message => message.Kind == MessageKind.InstallSnapshot) >= 2);
        cluster.Heal();
        cluster.Pass(1500);
        Assert.Equal(cluster[1].Commit, cluster[3].Commit);
    }

    [Fact]
    public void Offer_OfWhatIsCommittedHere_IsAcknowledgedAndNotFetched()
    {
        var core = Follower([.. Enumerable.Range(1, 5).Select(index => Entry(1, (ulong)index))]);
        core.Step(Append(new EntryId(1, 5)) with { Commit = 4 });
        core.TakeReady();
        core.Step(Offer(new EntryId(1, 3)));
        var ready = core.TakeReady();
        Assert.Null(ready.Offer);
        Assert.Equal(4ul, Assert.Single(ready.Messages).Message.Log.Index);
        Assert.False(core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 3), Three, 1, 1))); // Bug 13: an older one, fetched before.
        Assert.Equal(5ul, core.Log.LastIndex);
        Assert.Equal(4ul, core.Commit);
    }

    [Fact] // What the log has beyond the snapshot may be committed on this node's word.
    public void Install_LogHasTheEntry_KeepsTheLogAndCommits()
    {
        var core = Follower([.. Enumerable.Range(1, 5).Select(index => Entry(1, (ulong)index))]);
        core.Step(Offer(new EntryId(1, 3)));
        Assert.Equal(3ul, core.Commit);
        Assert.Null(core.TakeReady().Offer);
        Assert.False(core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 4), Three, 1, 1)));
        Assert.Equal((4ul, 5ul), (core.Commit, core.Log.LastIndex));
        Assert.Equal(4ul, core.TakeReady().Committed.Single().Index);
    }

    [Fact] // Raft rule 1.
    public void Install_Acknowledgement_WaitsForTheReset()
    {
        var core = Follower([Entry(1, 1)]);
        core.Step(Offer(new EntryId(1, 9)));
        core.TakeReady();
        Assert.True(core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 9), Three, 1, 1)));
        var ready = core.TakeReady();
        Assert.True(ready.Write!.IsReset);
        Assert.Equal(new EntryId(1, 9), ready.Write.Previous);
        Assert.Equal(9ul, ready.Write.HardState.Commit);
        Assert.NotNull(ready.Installed);
        var ack = Assert.Single(ready.Messages);
        Assert.Equal((9ul, ready.Write.Sequence), (ack.Message.Log.Index, ack.ReleaseAfter));
        Assert.Equal(0ul, core.DurableIndex);
        core.WriteDone(ready.Write.Sequence);
        Assert.Equal(9ul, core.DurableIndex);
    }

    [Fact] // Bug 14 across a reset.
    public void Install_WritesInFlight_ProveNothingAboutTheNewLog()
    {
        var core = Follower([]);
        core.Step(Append(default, Entry(1, 1), Entry(1, 2), Entry(1, 3)));
        var old = core.TakeReady().Write!.Sequence;
        Assert.True(core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 9), Three, 1, 1)));
        core.WriteDone(old);
        Assert.Equal(0ul, core.DurableIndex);
        core.WriteDone(core.TakeReady().Write!.Sequence);
        Assert.Equal(9ul, core.DurableIndex);
    }

    [Fact] // Bug 13: appends that come while the snapshot is fetched.
    public void Install_OvertakenByAppends_ChangesNothing()
    {
        var core = Follower([]);
        core.Step(Offer(new EntryId(1, 2)));
        core.TakeReady();
        core.Step(Append(default, Entry(1, 1), Entry(1, 2), Entry(1, 3)) with { Commit = 3 });
        core.TakeReady();
        Assert.False(core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 2), Three, 1, 1)));
        Assert.Null(core.TakeReady().Installed);
        Assert.Equal(3ul, core.Log.LastIndex);
    }

    [Fact] // Bug 13, the other way round: appends that were sent before the snapshot was needed.
    public void Append_FromBeforeTheInstalledSnapshot_IsAcknowledgedUpToCommit()
    {
        var core = Follower([]);
        core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 5), Three, 1, 1));
        core.TakeReady();
        core.Step(Append(new EntryId(1, 2), Entry(1, 3), Entry(1, 4)));
        var ack = core.TakeReady().Messages.Single().Message;
        Assert.Equal((false, 5ul), (ack.Reject, ack.Log.Index));
        Assert.Equal(new EntryId(1, 5), core.Log.LastId);
        core.Step(Append(new EntryId(1, 5), Entry(1, 6)));
        Assert.Equal(6ul, core.Log.LastIndex);
    }

    [Fact] // Conflicting entries of a dead leader, with a configuration among them (bug 12).
    public void Install_OverConflictingEntries_TakesTheSnapshotsConfiguration()
    {
        var foreign = new Configuration([One, Two], [One, Two, new NodeId(3)]);
        var core = Follower([
            Entry(1, 1), new LogEntry(new EntryId(1, 2), EntryType.Configuration, default, ConfigurationCodec.Encode(foreign)), Entry(1, 3),
        ]);
        Assert.True(core.Configuration.IsJoint);
        core.Step(Offer(new EntryId(2, 3)) with { Term = 2 });
        Assert.NotNull(core.TakeReady().Offer);
        Assert.True(core.InstallSnapshot(new SnapshotMeta(new EntryId(2, 3), Three, 1, 1)));
        Assert.Equal((Three.ToString(), 3ul), (core.Configuration.ToString(), core.ConfigurationIndex));
        Assert.Equal(new EntryId(2, 3), core.Log.LastId);
        Assert.Empty(core.TakeReady().Committed);
    }

    [Fact]
    public void Install_Twice_IsInstalledOnce()
    {
        var core = Follower([]);
        var snapshot = new SnapshotMeta(new EntryId(1, 5), Three, 1, 1);
        Assert.True(core.InstallSnapshot(snapshot));
        Assert.False(core.InstallSnapshot(snapshot));
        Assert.False(core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 4), Three, 1, 1)));
    }

    [Fact] // A follower that is a little behind needs no snapshot.
    public void Compaction_KeepsWhatTheLastSnapshotButOneDoesNotCover()
    {
        var cluster = new CoreCluster(3);
        cluster.Elect(1);
        for (var i = 0; i < 4; i++) cluster.Propose(1);
        var first = cluster.TakeSnapshot(1);
        Assert.Equal(0ul, cluster[1].Log.Base.Index);
        cluster.Pass(50);
        cluster.Isolate(3);
        cluster.Propose(1);
        cluster.TakeSnapshot(1);
        Assert.Equal(first.Last, cluster[1].Log.Base);
        Assert.Equal(first.Last, cluster.Nodes[0].Start); // On disk too.
        cluster.Heal();
        cluster.Pass(1000);
        Assert.Empty(cluster.Nodes[2].Offers);
        Assert.Equal(cluster[1].Commit, cluster[3].Commit);
    }

    [Fact]
    public void Compaction_OverBudget_KeepsNothingForAnybody()
    {
        var cluster = new CoreCluster(3, new RaftCoreOptions { MaxRetainedBytes = 1000 });
        cluster.Elect(1);
        cluster.Propose(1, bytes: 2000);
        var snapshot = cluster.TakeSnapshot(1);
        Assert.Equal(snapshot.Last, cluster[1].Log.Base);
    }

    [Fact]
    public void SnapshotTaken_OlderThanTheInstalledOne_ChangesNothing()
    {
        var core = Follower([Entry(1, 1), Entry(1, 2)]);
        core.Step(Append(new EntryId(1, 2)) with { Commit = 2 });
        core.TakeReady();
        core.Applied(2);
        core.InstallSnapshot(new SnapshotMeta(new EntryId(1, 8), Three, 1, 1));
        core.SnapshotTaken(new SnapshotMeta(new EntryId(1, 2), Three, 2, 2)); // Its writing had begun before.
        Assert.Equal(8ul, core.Snapshot!.Last.Index);
        Assert.Equal(0ul, core.TakeReady().CompactTo);
    }

    [Fact] // A new member starts from nothing.
    public void Learner_NewToACompactedCluster_IsBroughtUpBySnapshot()
    {
        var cluster = new CoreCluster(1, spares: 1);
        cluster.Elect(1);
        for (var i = 0; i < 2; i++)
        {
            cluster.Propose(1);
            cluster.TakeSnapshot(1);
        }

        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 2)));
        cluster.Pass(1500);
        Assert.Single(cluster.Nodes[1].Installed);
        Assert.Equal("(1) learners=(2)", cluster[2].Configuration.ToString());
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Promote, 2)));
        cluster.Pass(200);
        Assert.Equal("(1 2)", cluster[2].Configuration.ToString());
    }

    private static CoreCluster Compacted(out SnapshotMeta snapshot)
    {
        var cluster = new CoreCluster(3);
        cluster.Elect(1);
        cluster.Isolate(3);
        snapshot = null!;
        for (var i = 0; i < 3; i++)
        {
            cluster.Propose(1);
            cluster.Propose(1);
            snapshot = cluster.TakeSnapshot(1);
        }

        cluster.Propose(1);
        Assert.True(cluster[1].Log.Base.Index > cluster[3].Log.LastIndex);
        return cluster;
    }

    private static RaftCore Follower(LogEntry[] entries) => new(
        One, Three, new RaftCoreOptions(), new HardState(1, default, 0), entries, new Xoshiro(1), 0);

    private static LogEntry Entry(ulong term, ulong index) => new(new EntryId(term, index), EntryType.Command, default, new byte[] { 1 });

    private static Message Append(EntryId previous, params LogEntry[] entries) =>
        new() { Kind = MessageKind.Append, From = Two, To = One, Term = 1, Log = previous, Entries = entries };

    private static Message Offer(EntryId last) =>
        new() { Kind = MessageKind.InstallSnapshot, From = Two, To = One, Term = 1, Log = last, Commit = last.Index, Round = 1, Hint = new EntryId(0, 1) };
}
