using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Who may lead: digests, barred nodes, hung disks, priorities, lost connections, small clusters (rules 5, 11 and 12).</summary>
public sealed class CoreDutyTests
{
    [Theory]
    [InlineData(7, 7, 7, true, 7)]
    [InlineData(9, 7, 7, true, 7)] // Also against the leader.
    [InlineData(7, 9, 7, true, 7)]
    [InlineData(1, 2, 3, false, 0)]
    public void Digest_Majority_Decides(ulong one, ulong two, ulong three, bool isAgreed, ulong value)
    {
        var cluster = Led(3);
        cluster[1].ReportDigest(1, one);
        cluster[2].ReportDigest(1, two);
        cluster[3].ReportDigest(1, three);
        cluster.Pass(400);
        Assert.All(cluster.Nodes, node => Assert.Equal(new DigestVerdict(1, value, isAgreed), Assert.Single(Verdicts(node))));
    }

    [Fact]
    public void Digest_SilentVoter_IsNeitherAgreementNorInTheWay()
    {
        var cluster = Led(3);
        cluster.Isolate(3);
        cluster[1].ReportDigest(1, 7);
        cluster.Pass(200);
        Assert.Empty(Verdicts(cluster.Nodes[0]));
        cluster[2].ReportDigest(1, 7);
        cluster.Pass(500);
        Assert.Equal(new DigestVerdict(1, 7, true), Assert.Single(Verdicts(cluster.Nodes[0])));
    }

    [Fact]
    public void Digest_TwoNodesDiffer_NobodyIsRight()
    {
        var cluster = Led(2);
        cluster[1].ReportDigest(1, 7);
        cluster[2].ReportDigest(1, 8);
        cluster.Pass(200);
        Assert.False(Assert.Single(Verdicts(cluster.Nodes[0])).IsAgreed);
    }

    [Fact]
    public void Digest_LearnersWord_DoesNotCount()
    {
        var cluster = Led(2, spares: 1);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 3));
        cluster[1].ReportDigest(1, 7);
        cluster[2].ReportDigest(1, 8);
        cluster[3].ReportDigest(1, 7);
        cluster.Pass(200);
        Assert.False(Assert.Single(Verdicts(cluster.Nodes[0])).IsAgreed);
    }

    [Fact]
    public void Barred_Leader_HandsOverAndNeverLeadsAgain()
    {
        var cluster = Led(3);
        cluster.Pass(100);
        cluster[1].Bar();
        cluster.Pass(50);
        var next = cluster.Leader;
        Assert.NotEqual(1, next);
        Assert.Null(cluster[next].TransferLeadership(Id(1)));
        cluster.Pass(1000);
        Assert.Equal(next, cluster.Leader); // It does not take over when asked to,
        cluster.Isolate(next);
        cluster.Pass(3000);
        Assert.Equal(5 - next, cluster.Leader); // and votes for the third.
        Assert.Equal(cluster[cluster.Leader].Term, cluster[1].Term);
    }

    [Fact] // Found by reading: grants that came after it was barred made it a leader.
    public void Barred_WhileItCampaigns_DoesNotLead()
    {
        var cluster = new CoreCluster(3) { Holds = message => message.To == Id(1) };
        cluster.Skip(1200);
        cluster[1].Tick(cluster.NowMs);
        cluster.Settle();
        cluster[1].Bar();
        foreach (var message in cluster.Held.ToArray()) cluster.Deliver(message);
        cluster.Settle();
        Assert.Equal((RaftRole.Follower, 0ul), (cluster[1].Role, cluster[1].Term));
    }

    [Fact] // Bug 31.
    public void HungDisk_OfTheLeader_HandsOver()
    {
        var cluster = Led(3);
        cluster.Pass(100);
        cluster.Nodes[0].Flushes = false;
        cluster.Propose(1);
        Assert.Equal(cluster[1].Log.LastIndex, cluster[1].Commit); // The others' disks are enough.
        cluster.Pass(900);
        Assert.Equal(1, cluster.Leader);
        cluster.Pass(300);
        Assert.NotEqual(1, cluster.Leader);
        Assert.Contains(cluster.Sent, message => message.Kind == MessageKind.TimeoutNow && message.From == Id(1));
        Assert.True(cluster[1].IsDiskStalled);
    }

    [Fact]
    public void HungDisk_NobodyToHandOverTo_StepsDownAndDoesNotCampaign()
    {
        var cluster = Led(1);
        cluster.Nodes[0].Flushes = false;
        cluster.Propose(1);
        cluster.Pass(2000);
        Assert.Equal(RaftRole.Follower, cluster[1].Role);
        var term = cluster[1].Term;
        cluster.Pass(3000);
        Assert.Equal((RaftRole.Follower, term), (cluster[1].Role, cluster[1].Term));
        cluster.Nodes[0].Flushes = true;
        cluster.Pass(2000);
        Assert.Equal(RaftRole.Leader, cluster[1].Role);
    }

    [Fact] // Raft rule 12.
    public void Priority_Higher_IsHandedLeadershipOnceThingsAreCalm()
    {
        var cluster = new CoreCluster(3, new RaftCoreOptions { PriorityStableMs = 1000 }, priorities: [50, 100, 200]);
        cluster.Elect(1);
        cluster.Pass(900);
        Assert.Equal(1, cluster.Leader);
        cluster.Pass(300);
        Assert.Equal(3, cluster.Leader);
        cluster.Pass(5000);
        Assert.Equal(3, cluster.Leader);
    }

    [Fact]
    public void Priority_Zero_LeadsOnlyIfNobodyElseCan()
    {
        var cluster = new CoreCluster(3, priorities: [0, 0, 100]);
        cluster.Pass(2000);
        Assert.Equal(3, cluster.Leader);
        Assert.NotNull(cluster[3].TransferLeadership(null));

        // 4 x 600 ms without a leader, and only then a campaign.
        cluster.Isolate(3);
        cluster.Pass(2300);
        Assert.Equal(0, cluster.Leader);
        Assert.Equal(1ul, cluster[1].Term);
        cluster.Pass(3000);
        Assert.InRange(cluster.Leader, 1, 2);

        cluster.Heal();
        cluster.Pass(8000);
        Assert.Equal(3, cluster.Leader);
    }

    [Fact] // Design §14.23: a node whose clock is wrong does not lead.
    public void Avoided_Leader_HandsOverAndIsNotChosenAgain()
    {
        var cluster = Led(3);
        cluster.Pass(6000);
        foreach (var node in cluster.Nodes) node.Core.Avoid([Id(1)]);
        cluster.Pass(200);
        var next = cluster.Leader;
        Assert.InRange(next, 2, 3);
        Assert.Null(cluster[next].TransferLeadership(null));
        cluster.Pass(500);
        Assert.Equal(5 - next, cluster.Leader); // Not the one that is avoided.
        cluster.Pass(8000);
        Assert.NotEqual(1, cluster.Leader);
        cluster.Nodes[0].Core.Avoid([]);
        cluster.Nodes[1].Core.Avoid([]);
        cluster.Nodes[2].Core.Avoid([]);
        Assert.Null(cluster[cluster.Leader].TransferLeadership(Id(1)));
        cluster.Pass(8000);
        Assert.Equal(1, cluster.Leader);
    }

    [Fact] // It may be alone with what is committed.
    public void Avoided_NobodyElseCan_Leads()
    {
        var cluster = Led(3);
        cluster.Pass(6000);
        cluster.Isolate(3);
        cluster.Propose(1);
        cluster.Pass(100);
        cluster[2].Avoid([Id(2)]);
        cluster.Isolate(1);
        cluster.Pass(6000);
        Assert.Equal(2, cluster.Leader); // Node 3 lacks an entry, so it gets no vote.
    }

    [Fact]
    public void Avoided_Everybody_ChangesNothing()
    {
        var cluster = Led(3);
        cluster.Pass(6000);
        foreach (var node in cluster.Nodes) node.Core.Avoid([Id(1), Id(2), Id(3)]);
        cluster.Pass(8000);
        Assert.Equal(1, cluster.Leader);
    }

    [Fact]
    public void PeerLost_TheLeaderDied_IsReplacedWithinTwoHeartbeats()
    {
        var cluster = Led(3);
        cluster.Pass(100);
        cluster.Isolate(1);
        cluster[2].PeerLost(Id(1));
        cluster[3].PeerLost(Id(1));
        cluster.Pass(200);
        Assert.NotEqual(1, cluster.Leader);
    }

    [Fact]
    public void PeerLost_OneConnectionOnly_DeposesNobody()
    {
        var cluster = Led(3);
        cluster.Pass(100);
        var term = cluster[1].Term;
        for (var i = 0; i < 20; i++)
        {
            cluster[2].PeerLost(Id(1));
            cluster.Pass(100);
        }

        Assert.Equal((1, term), (cluster.Leader, cluster[1].Term));
        Assert.Equal(Id(1), cluster[2].Leader);
    }

    [Fact]
    public void PeerLost_LeasesAreOn_WaitsAsPromised()
    {
        var cluster = new CoreCluster(3, new RaftCoreOptions { LeaseReads = true });
        cluster.Elect(1);
        cluster.Pass(100);
        cluster[2].PeerLost(Id(1));
        Assert.Equal(Id(1), cluster[2].Leader);
    }

    [Fact]
    public void SingleNode_LeadsCommitsAndReadsAlone()
    {
        var cluster = Led(1);
        cluster.Propose(1);
        cluster[1].Read(5);
        cluster.Settle();
        Assert.Equal(new ReadState(5, 2, ProposalRefusal.None), Assert.Single(cluster.Nodes[0].Reads));
        cluster.Restart(1);
        cluster.Pass(1000);
        Assert.Equal((RaftRole.Leader, 3ul), (cluster[1].Role, cluster[1].Commit));
    }

    [Fact] // Raft rule 2: also alone, a commit is durable.
    public void SingleNode_UnfinishedWrite_CommitsNothing()
    {
        var cluster = Led(1);
        cluster.Nodes[0].Flushes = false;
        cluster.Propose(1);
        Assert.Equal(1ul, cluster[1].Commit);
        cluster.Restart(1);
        Assert.Equal(1ul, cluster[1].Log.LastIndex);
    }

    [Fact]
    public void Transfer_ToALearnerStrangerOrDuringAnother_IsRefused()
    {
        var cluster = Led(3, spares: 1);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        cluster.Pass(100);
        Assert.NotNull(cluster[1].TransferLeadership(Id(4)));
        Assert.NotNull(cluster[1].TransferLeadership(Id(9)));
        Assert.NotNull(cluster[2].TransferLeadership(Id(1)));
        cluster.Isolate(3);
        Assert.Null(cluster[1].TransferLeadership(Id(3)));
        Assert.NotNull(cluster[1].TransferLeadership(Id(2)));
        Assert.Contains("handed over", cluster[1].ChangeMembers([Change(MembershipAction.Remove, 2)], out _), StringComparison.Ordinal);
    }

    [Fact] // Found by reading: what was never counted was taken off.
    public void Bound_OnUncommittedBytes_HoldsAfterAnElection()
    {
        var cluster = new CoreCluster(3, new RaftCoreOptions { MaxUncommittedBytes = 1000 });
        cluster.Elect(1);
        cluster.Isolate(1);
        Assert.Equal(ProposalRefusal.None, cluster[1].Propose([(default, new byte[5000])], null, out _));
        Assert.Equal(ProposalRefusal.TooMuchPending, cluster[1].Propose([(default, new byte[1])], null, out _));
        cluster.Settle();
        cluster.Heal();
        cluster.Holds = message => message is { Kind: MessageKind.AppendReply, Reject: false };
        cluster.Elect(1); // With 5000 bytes of an earlier term.
        cluster.Propose(1, bytes: 900);
        cluster.Propose(1, bytes: 900);
        foreach (var message in cluster.Held.Where(message => message.Log.Index == cluster[1].FirstOwnIndex).ToArray()) cluster.Deliver(message);
        Assert.Equal(cluster[1].FirstOwnIndex, cluster[1].Commit);
        Assert.Equal(ProposalRefusal.TooMuchPending, cluster[1].Propose([(default, new byte[1])], null, out _));
    }

    private static CoreCluster Led(int voters, int spares = 0)
    {
        var cluster = new CoreCluster(voters, spares: spares);
        cluster.Elect(1);
        return cluster;
    }

    private static List<DigestVerdict> Verdicts(CoreNode node) =>
        [.. node.Applied.Where(entry => entry.Type == EntryType.Digest).Select(entry => DigestVerdict.Decode(entry.Payload.Span))];
}
