using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>A node whose directory was put back to an older copy takes no part (design §14.24); one that merely starts again does.</summary>
public sealed class LivesTests
{
    private static readonly RaftCoreOptions Options = new();
    private static readonly int Long = (10 * Options.ElectionTimeoutMaxMs) + (2 * Options.LivesMs);

    [Fact]
    public void Start_BeforePeersConfirmed_NeitherVotesNorAcknowledges()
    {
        var cluster = new CoreCluster(3, hasLives: true) { Loses = message => message.Kind is MessageKind.ClaimReply };
        cluster.Pass(Long);
        Assert.False(cluster[1].IsAdmitted);
        Assert.DoesNotContain(cluster.Sent, message => message.Kind is not (MessageKind.Claim or MessageKind.ClaimReply));
    }

    [Fact]
    public void Start_VoterAlone_LeadsAtOnce()
    {
        var cluster = new CoreCluster(1, hasLives: true);
        Assert.True(cluster[1].IsAdmitted);
        cluster.Elect(1);
    }

    [Fact]
    public void ColdStart_OneDeadForGood_LeadsAfterTheGrace()
    {
        var cluster = Led();
        cluster.Isolate(3);
        for (var id = 1; id <= 3; id++) cluster.Restart(id);
        cluster.Pass(Options.GraceMs / 2);
        Assert.False(cluster[1].IsAdmitted); // The third may know better.
        cluster.Pass(Options.GraceMs + (4 * Options.ElectionTimeoutMaxMs));
        Assert.NotEqual(0, cluster.Leader);
        cluster.Propose(cluster.Leader);
        Assert.Equal(cluster[cluster.Leader].Log.LastIndex, cluster[cluster.Leader].Commit);
    }

    /// <summary>A voter whose process is there may know better, however slow it is; one whose connection has ended is waited for no longer than the dead.</summary>
    [Fact]
    public void ColdStart_OneConnectedAndSilent_IsWaitedForMuchLonger()
    {
        var cluster = Led();
        cluster.Isolate(3);
        for (var id = 1; id <= 3; id++) cluster.Restart(id);
        cluster[1].PeerConnected(Id(3), true);
        cluster[2].PeerConnected(Id(3), true);
        cluster.Pass(Options.GraceMs / 2);
        Assert.Empty(cluster[1].Awaited.Voters); // Not late yet.
        cluster.Pass(4 * Options.GraceMs);
        Assert.Equal([Id(3)], cluster[1].Awaited.Voters);
        Assert.InRange(cluster[1].Awaited.ForMs, 5 * Options.GraceMs, 6 * Options.GraceMs);
        cluster[1].PeerConnected(Id(3), false);
        cluster.Pass(Options.GraceMs / 2);
        Assert.False(cluster[1].IsAdmitted); // It may be there again in a moment.
        cluster.Pass(Options.GraceMs);
        Assert.True(cluster[1].IsAdmitted);
        Assert.Empty(cluster[1].Awaited.Voters);
        Assert.False(cluster[2].IsAdmitted);
        cluster.Pass(5 * Options.GraceMs);
        Assert.NotEqual(0, cluster.Leader);
    }

    /// <summary>Who stood still has not waited: what the others said meanwhile is still to be read.</summary>
    [Fact]
    public void ColdStart_NodesStoodStill_WaitAllTheSame()
    {
        var cluster = Led();
        cluster.Isolate(3);
        for (var id = 1; id <= 3; id++) cluster.Restart(id);
        cluster.Pass(Options.HeartbeatMs);
        cluster.Skip(100 * Options.GraceMs);
        cluster.Pass(Options.HeartbeatMs);
        Assert.False(cluster[1].IsAdmitted || cluster[2].IsAdmitted);
        cluster.Pass(Options.GraceMs);
        Assert.True(cluster[1].IsAdmitted && cluster[2].IsAdmitted);
    }

    /// <summary>A peer that does not know who asks, since its directory is too old to name it, still says that it is old.</summary>
    [Fact]
    public void Claim_ToANodeThatIsOld_IsAnsweredByWhatItIs()
    {
        var cluster = Led();
        BecomesOld(cluster, 3);
        cluster.Sent.Clear();
        cluster.Restart(1);
        cluster.Pass(2 * Options.HeartbeatMs);
        Assert.Contains(cluster.Sent, message => message is { Kind: MessageKind.Claim, Reject: true } && message.From == Id(3) && message.To == Id(1));
    }

    /// <summary>Who is known to be old confirms nobody, so nobody waits for it.</summary>
    [Fact]
    public void ColdStart_TheConnectedOneIsOld_IsNotWaitedFor()
    {
        var cluster = Led();
        BecomesOld(cluster, 3);
        for (var id = 1; id <= 2; id++) cluster.Restart(id);
        cluster[1].PeerConnected(Id(3), true);
        cluster[2].PeerConnected(Id(3), true);
        cluster.Pass(2 * Options.GraceMs);
        Assert.True(cluster[1].IsAdmitted && cluster[2].IsAdmitted);
    }

    [Fact]
    public void Restart_DirectoryAsItWas_TakesPartAgain()
    {
        var cluster = Led();
        for (var round = 0; round < 3; round++)
        {
            cluster.Propose(1);
            cluster.Restart(2);
            cluster.Pass(Long);
        }

        AssertNobodyIsOld(cluster);
        Assert.Equal(cluster[cluster.Leader].Commit, cluster[2].Commit);
    }

    /// <summary>What was never acknowledged may be lost in a crash.</summary>
    [Fact]
    public void Restart_TornTailThatWasNotAcknowledged_IsNotOld()
    {
        var cluster = Led();
        cluster.Nodes[1].Flushes = false;
        cluster.Propose(1);
        cluster.Propose(1);
        Assert.True(cluster.Nodes[1].Last.Index < cluster[2].Log.LastIndex);
        cluster.Nodes[1].Flushes = true;
        cluster.Restart(2);
        cluster.Pass(Long);
        AssertNobodyIsOld(cluster);
        Assert.Equal(cluster[1].Log.LastIndex, cluster[2].Log.LastIndex);
    }

    /// <summary>A log that a later leader made shorter is not an older one.</summary>
    [Fact]
    public void Restart_TailCutByALaterLeader_IsNotOld()
    {
        var cluster = Led();
        cluster.Loses = message => message.To == Id(3) || message.From == Id(3) || message.Kind == MessageKind.AppendReply;
        for (var i = 0; i < 5; i++) cluster.Propose(1); // On 1 and 2, durable, committed by nobody.
        cluster.Pass(Options.LivesMs);
        cluster.Isolate(1);
        cluster.Pass(Long);
        cluster.Heal();
        cluster.Pass(Long);
        for (var id = 1; id <= 3; id++)
        {
            cluster.Restart(id);
            cluster.Pass(Long);
        }

        AssertNobodyIsOld(cluster);
    }

    [Theory]
    [InlineData(1)] // The leader itself.
    [InlineData(2)]
    public void PutBack_ToBeforeItsLastStart_IsFoundByAnyPeerThatSawIt(int id)
    {
        var cluster = Led();
        var copy = cluster.Nodes[id - 1].CopyDisk();
        cluster.Restart(id);
        cluster.Pass(Long);
        cluster.Elect(1);
        cluster.Isolate(3); // It saw the start, and nothing of what was acknowledged since.
        cluster.Propose(1);
        cluster.Isolate(3 - id);
        cluster.PutBack(id, copy);
        cluster.Pass(Long);
        Assert.NotNull(cluster[id].Old);
        Assert.True(cluster[id].Old!.IsOtherLife);
        Assert.Equal(0, Leaders(cluster, id, 3));
        cluster.Heal();
        cluster.Pass(Long);
        Assert.NotEqual(id, cluster.Leader);
        Assert.False(cluster[id].IsAdmitted);
    }

    [Fact]
    public void PutBack_ToAPointWithinItsLife_IsFoundByWhatItHadPromised()
    {
        var cluster = Led();
        var copy = cluster.Nodes[1].CopyDisk();
        cluster.Propose(1);
        cluster.Pass(2 * Options.LivesMs);
        cluster.Nodes[1].Crash();
        cluster.PutBack(2, copy);
        cluster.Pass(Long);
        Assert.False(cluster[2].Old!.IsOtherLife);
        Assert.True(cluster[2].Old!.Known.Promised.Index > copy.Last.Index);
    }

    [Fact]
    public void PutBack_AgainAndStartedAgain_StaysOld()
    {
        var cluster = Led();
        var copy = cluster.Nodes[1].CopyDisk();
        cluster.Restart(2);
        cluster.Pass(Long);
        cluster.PutBack(2, copy);
        for (var starts = 0; starts < 3; starts++)
        {
            cluster.Pass(Long);
            Assert.NotNull(cluster[2].Old);
            cluster.Restart(2);
        }

        cluster.PutBack(2, copy);
        cluster.Pass(Long);
        Assert.NotNull(cluster[2].Old);
    }

    [Fact]
    public void PutBack_TwoOfThreeAndTheThirdKnows_NobodyLeads()
    {
        var cluster = Led();
        CoreNode[] copies = [.. cluster.Nodes.Take(2).Select(node => node.CopyDisk())];
        for (var id = 1; id <= 3; id++) cluster.Restart(id);
        cluster.Pass(Long);
        cluster.Loses = message => true;
        for (var id = 1; id <= 2; id++) cluster.PutBack(id, copies[id - 1]);
        cluster.Heal();
        cluster.Pass(Long);
        Assert.NotNull(cluster[1].Old);
        Assert.NotNull(cluster[2].Old);
        Assert.Null(cluster[3].Old);
        Assert.Equal(0, Leaders(cluster, 1, 2, 3));
    }

    /// <summary>Seeded with an entry that a majority without it has, it votes for nobody who lacks that.</summary>
    [Fact]
    public void Seeded_VotesOnlyForWhoHasTheMark()
    {
        var cluster = Led();
        BecomesOld(cluster, 2);
        var behind = cluster[3].Log.LastId;
        Assert.True(cluster[1].AppendMark(out var mark));
        cluster.Settle();
        Assert.True(cluster[1].Commit >= mark.Index);

        cluster.Loses = _ => true; // It has nothing yet.
        cluster.Nodes[1].Clear(new HardState(mark.Term, default, 0));
        cluster.Nodes[1].Seeded = (new Promised(mark.Term, mark.Index), mark);
        cluster.Restart(2);
        foreach (var peer in (int[])[1, 3]) Confirm(cluster, 2, peer);
        cluster.Skip(Long);
        Assert.True(Grants(cluster, 2, mark));
        Assert.False(Grants(cluster, 2, behind));

        cluster.Heal();
        cluster.Pass(Long);
        AssertNobodyIsOld(cluster);
        Assert.Equal(cluster[cluster.Leader].Commit, cluster[2].Commit);
    }

    [Fact]
    public void Append_OtherEntryWhereOneIsCommitted_AllInvolvedStop()
    {
        var cluster = Led();
        cluster.Propose(1);
        cluster.Pass(Long);
        var core = cluster[2];
        var (commit, last) = (core.Commit, core.Log.LastIndex);
        var other = new LogEntry(new EntryId(core.Term + 1, commit), EntryType.Noop, default, default);
        cluster.Sent.Clear();
        cluster.Deliver(new Message
        {
            Kind = MessageKind.Append,
            From = Id(3),
            To = Id(2),
            Term = core.Term + 1,
            Log = new EntryId(core.Log.TermAt(commit - 1), commit - 1),
            Commit = commit,
            Entries = new[] { other },
        });
        cluster.Settle();
        Assert.Equal(commit, core.Conflict!.Own.Index);
        Assert.Equal([Id(3)], core.Conflict.Peers);
        Assert.Equal(last, core.Log.LastIndex); // Nothing was cut.
        Assert.DoesNotContain(cluster.Sent, message => message is { Kind: MessageKind.AppendReply, Reject: false } && message.From == Id(2));
        Assert.Contains(cluster.Sent, message => message.Kind == MessageKind.Committed && message.To == Id(1) && message.Log == core.Conflict.Own);
        Assert.Null(cluster[1].Conflict); // It has the same entry there.
        Assert.False(core.IsAdmitted);

        // The other one hears of it and stops too.
        var involved = cluster[3];
        cluster.Deliver(new Message { Kind = MessageKind.Committed, From = Id(2), To = Id(3), Term = 9, Log = new EntryId(77, involved.Commit) });
        Assert.NotNull(involved.Conflict);
    }

    /// <summary>A node is put back to before its last start, and finds out.</summary>
    private static void BecomesOld(CoreCluster cluster, int id)
    {
        var copy = cluster.Nodes[id - 1].CopyDisk();
        cluster.Restart(id);
        cluster.Pass(Long);
        cluster.PutBack(id, copy);
        cluster.Pass(Long);
        Assert.NotNull(cluster[id].Old);
    }

    private static CoreCluster Led()
    {
        var cluster = new CoreCluster(3, hasLives: true);
        cluster.Pass(50);
        cluster.Elect(1);
        cluster.Propose(1);
        cluster.Pass(2 * Options.LivesMs);
        Assert.Equal(1, cluster.Leader);
        return cluster;
    }

    private static void Confirm(CoreCluster cluster, int id, int peer)
    {
        var start = cluster.Nodes[id - 1].Starts[0];
        cluster[id].Step(new Message { Kind = MessageKind.ClaimReply, From = Id(peer), To = Id(id), Term = 0, Round = start });
    }

    private static bool Grants(CoreCluster cluster, int id, EntryId last)
    {
        cluster.Sent.Clear();
        var ask = new Message { Kind = MessageKind.PreVote, From = Id(1), To = Id(id), Term = cluster[id].Term + 1, Log = last };
        cluster[id].Step(ask);
        cluster.Settle();
        return cluster.Sent.Any(message => message is { Kind: MessageKind.PreVoteReply, Reject: false } && message.From == Id(id));
    }

    private static int Leaders(CoreCluster cluster, params int[] ids) => ids.Count(id => cluster[id].Role == RaftRole.Leader);

    private static void AssertNobodyIsOld(CoreCluster cluster) => Assert.All(cluster.Nodes, node =>
    {
        Assert.Null(node.Core.Old);
        Assert.Null(node.Core.Conflict);
    });
}
