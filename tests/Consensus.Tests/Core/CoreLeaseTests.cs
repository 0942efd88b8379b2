using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Thesis 6.4.1, raft rule 9, bugs 18 and 19.</summary>
public sealed class CoreLeaseTests
{
    private static readonly RaftCoreOptions Options = new() { LeaseReads = true };

    /// <summary>Shortest election timeout less twice the drift.</summary>
    private static readonly int LeaseMs = Options.ElectionTimeoutMinMs * (1000 - (2 * Options.ClockDriftPermille)) / 1000;

    [Fact]
    public void Lease_Held_AnswersReadsAtOnceWithItsEnd()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster[1].Read(5);
        var read = Assert.Single(cluster[1].TakeReady().Reads);
        Assert.Equal(new ReadState(5, cluster[1].Commit, ProposalRefusal.None, cluster.NowMs + LeaseMs), read);
    }

    [Fact] // Bug 16.
    public void Lease_BeforeTheFirstOwnCommit_AnswersNothing()
    {
        var cluster = new CoreCluster(3, Options) { Holds = message => message.Kind == MessageKind.AppendReply };
        cluster.Elect(1);
        Assert.True(cluster[1].LeaseUntilMs > cluster.NowMs);
        cluster[1].Read(5);
        Assert.Empty(cluster[1].TakeReady().Reads);
    }

    [Fact] // Bug 19.
    public void Lease_CountsFromTheSendingOfItsRound()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster.Holds = message => message.Kind == MessageKind.HeartbeatReply;
        var sentMs = cluster.NowMs;
        cluster.Pass(50);
        Assert.Equal(sentMs + LeaseMs, cluster[1].LeaseUntilMs); // Of the round before.
        cluster.Skip(200);
        foreach (var message in cluster.Held) cluster.Deliver(message);
        Assert.Equal(sentMs + 50 + LeaseMs, cluster[1].LeaseUntilMs);
    }

    [Fact]
    public void Lease_WithoutAMajoritysEchoes_Ends()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster.Isolate(1);
        cluster.Skip(LeaseMs);
        cluster[1].Read(5);
        Assert.Empty(cluster[1].TakeReady().Reads);
    }

    [Fact] // Bug 18.
    public void Lease_TransferUnderWay_IsVoid()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster.Loses = message => message.Kind == MessageKind.TimeoutNow;
        Assert.Null(cluster[1].TransferLeadership(Id(2)));
        Assert.Equal(0, cluster[1].LeaseUntilMs);
    }

    [Fact] // Found by reading: the transfer was given up, its TimeoutNow was on the way still, and the lease was there again.
    public void Lease_LateTimeoutNow_NeverMeetsALease()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster.Holds = message => message.Kind == MessageKind.TimeoutNow;
        Assert.Null(cluster[1].TransferLeadership(Id(2)));
        cluster.Pass(Options.ElectionTimeoutMaxMs + 200);
        Assert.Null(cluster[1].TransferTarget);
        cluster.Deliver(cluster.Held[0]);
        cluster.Isolate(1);
        cluster.Settle();
        Assert.Equal(RaftRole.Leader, cluster[2].Role);
        Assert.Equal(RaftRole.Leader, cluster[1].Role); // It cannot know.
        Assert.Equal(0, cluster[1].LeaseUntilMs);
        cluster[1].Read(5);
        Assert.Empty(cluster[1].TakeReady().Reads);

        // The next leadership has leases again.
        cluster.Heal();
        cluster.Pass(100);
        Assert.True(cluster[2].LeaseUntilMs > cluster.NowMs);
    }

    [Fact] // Found by reading: a late answer that carries a later term made a follower forget its promise.
    public void Follower_LearnsALaterTerm_KeepsItsPromise()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster[2].Step(new Message { Kind = MessageKind.PreVoteReply, From = Id(3), To = Id(2), Term = 7, Reject = true });
        Assert.Equal(7ul, cluster[2].Term);
        cluster[2].TakeReady();
        var vote = new Message { Kind = MessageKind.Vote, From = Id(3), To = Id(2), Term = 7, Log = new EntryId(6, 9) };
        cluster[2].Step(vote);
        cluster[2].Step(vote with { Term = 8 });
        Assert.Empty(cluster[2].TakeReady().Messages);
        Assert.Equal(default, cluster[2].Vote);
        cluster.Skip(Options.ElectionTimeoutMinMs);
        cluster[2].Step(vote);
        Assert.Equal(Id(3), cluster[2].Vote);
    }

    [Fact]
    public void Voter_JustRestarted_KeepsItsPredecessorsPromise()
    {
        var cluster = Led();
        cluster.Pass(50);
        cluster.Restart(2);
        var vote = new Message { Kind = MessageKind.Vote, From = Id(3), To = Id(2), Term = 7, Log = new EntryId(6, 9) };
        cluster[2].Step(vote);
        Assert.Equal(Id(1), cluster[2].Vote);
        cluster.Skip(Options.ElectionTimeoutMinMs);
        cluster[2].Step(vote);
        Assert.Equal(Id(3), cluster[2].Vote);
    }

    [Fact]
    public void Lease_Off_IsNeverHeld()
    {
        var cluster = new CoreCluster(3);
        cluster.Elect(1);
        cluster.Pass(200);
        Assert.Equal(0, cluster[1].LeaseUntilMs);
        cluster[1].Read(5);
        Assert.Empty(cluster[1].TakeReady().Reads);
    }

    private static CoreCluster Led()
    {
        var cluster = new CoreCluster(3, Options);
        cluster.Elect(1);
        return cluster;
    }
}
