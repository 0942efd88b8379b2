using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Raft paper section 6, reference 5.3 rules 6 and 7.</summary>
public sealed class CoreMembershipTests
{
    [Fact]
    public void Learner_AddedAndPromoted_VotesAfterAJointConfigurationThatEndsByItself()
    {
        var cluster = Led(3, spares: 1);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4)));
        Assert.False(cluster[4].Configuration.IsVoter(Id(4)));
        Assert.False(cluster[1].Configuration.IsJoint);
        cluster.Pass(200);
        Assert.Equal(cluster[1].Log.LastIndex, cluster[4].Log.LastIndex);

        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Promote, 4)));
        cluster.Pass(200);
        Configuration[] path = [.. cluster.Nodes[3].Applied.Where(entry => entry.Type == EntryType.Configuration).Select(Decode)];
        Assert.Equal("(1 2 3) learners=(4)", path[0].ToString());
        Assert.Equal("(1 2 3 4)&&(1 2 3)", path[1].ToString());
        Assert.Equal("(1 2 3 4)", path[2].ToString());
        Assert.All(cluster.Nodes, node => Assert.Equal("(1 2 3 4)", node.Core.Configuration.ToString()));
    }

    [Fact]
    public void Change_Joint_NeedsAMajorityOfBothSets()
    {
        var cluster = Led(3, spares: 2);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4), Change(MembershipAction.AddLearner, 5));
        cluster.Pass(200);

        // From (1 2 3) to (1 4 5): a majority of the old one is 1 and 2, of the new one 4 and 5, or 1 and one of them.
        cluster.Isolate(2, 3);
        Assert.Null(cluster.ChangeMembers(
            1, Change(MembershipAction.Promote, 4), Change(MembershipAction.Promote, 5), Change(MembershipAction.Remove, 2),
            Change(MembershipAction.Remove, 3)));
        cluster.Pass(100);
        Assert.True(cluster[1].Configuration.IsJoint);
        Assert.True(cluster[1].Commit < cluster[1].ConfigurationIndex); // 1, 4 and 5 are three of five, and not both majorities.
        cluster.Heal();
        cluster.Pass(300);
        Assert.Equal("(1 4 5)", cluster[1].Configuration.ToString());
        Assert.True(cluster[1].Commit >= cluster[1].ConfigurationIndex);
    }

    [Fact] // Found by reading: the answer that ends the joint configuration came from a slot that then was gone.
    public void Remove_LastMembersAnswerCommitsTheJointConfiguration_LeaderLeadsOn()
    {
        var cluster = Led(3, leader: 2);
        Assert.Null(cluster.ChangeMembers(2, Change(MembershipAction.Remove, 1)));
        cluster.Pass(200);
        Assert.Equal("(2 3)", cluster[2].Configuration.ToString());
        Assert.Equal(2, cluster.Leader);
        cluster.Propose(2);
        Assert.Equal(cluster[2].Log.LastIndex, cluster[2].Commit);
    }

    [Fact] // Raft rule 7, bug 36.
    public void Remove_Leader_CommitsItsRemovalHandsOverAndFollows()
    {
        var cluster = Led(3);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Remove, 1)));
        Assert.Equal(RaftRole.Follower, cluster[1].Role);
        Assert.Contains(cluster.Sent, message => message.Kind == MessageKind.TimeoutNow && message.From == Id(1));
        Assert.True(cluster.Leader is 2 or 3); // Without an election timeout.
        Assert.Equal("(2 3)", cluster[cluster.Leader].Configuration.ToString());
        Assert.True(cluster[cluster.Leader].Commit >= cluster[cluster.Leader].ConfigurationIndex);
        var leader = cluster.Leader;
        var term = cluster[leader].Term;
        cluster.Pass(3000); // It knows no better than to ask for votes, and disturbs nobody (thesis 4.2.3).
        Assert.Equal((leader, term), (cluster.Leader, cluster[leader].Term));
    }

    [Fact]
    public void Demote_Leader_BecomesALearnerAndReceivesTheLog()
    {
        var cluster = Led(3);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Demote, 1)));
        cluster.Pass(1000);
        var leader = cluster.Leader;
        Assert.NotEqual(1, leader);
        cluster.Propose(leader, 9);
        cluster.Pass(100);
        Assert.Equal("(2 3) learners=(1)", cluster[1].Configuration.ToString());
        Assert.Equal(cluster[leader].Commit, cluster[1].Commit);
    }

    [Fact] // Between its removal's append and commit the leader replicates and does not count itself (Raft paper section 6).
    public void Leader_NotInTheNewConfiguration_DoesNotCountItself()
    {
        var cluster = Led(2);
        cluster.Holds = message => message.Kind == MessageKind.AppendReply && cluster[1].Configuration is { IsJoint: false };
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Remove, 1)));
        Assert.Equal("(2)", cluster[1].Configuration.ToString());
        Assert.Equal(RaftRole.Leader, cluster[1].Role);
        Assert.True(cluster[1].Commit < cluster[1].ConfigurationIndex); // It has the entry on its disk, and is nobody.
        cluster.Holds = _ => false;
        cluster.Pass(100);
        Assert.Equal(2, cluster.Leader);
    }

    [Fact] // Bug 11.
    public void Change_Truncated_IsRolledBack()
    {
        var cluster = Led(3, spares: 1);
        cluster.Isolate(1);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4, "gone")));
        Assert.Equal(4, cluster[1].Configuration.Members.Length);
        cluster.Elect(2);
        cluster.Heal();
        cluster.Propose(2);
        cluster.Pass(200);
        Assert.Equal("(1 2 3)", cluster[1].Configuration.ToString());
        Assert.Equal(0ul, cluster[1].ConfigurationIndex);

        // The number was never given as far as the committed log knows.
        Assert.Null(cluster.ChangeMembers(2, Change(MembershipAction.AddLearner, 0, "other")));
        Assert.Equal(4, cluster[2].Configuration.Members[^1].Value);
    }

    [Fact] // Bug 11: in the log is in force, committed or not.
    public void Restart_UncommittedChange_IsInForce()
    {
        var cluster = Led(3, spares: 1);
        cluster.Isolate(1);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        cluster.Restart(1);
        Assert.Equal("(1 2 3) learners=(4)", cluster[1].Configuration.ToString());
        Assert.True(cluster[1].Commit < cluster[1].ConfigurationIndex);
        Assert.Equal("(1 2 3)", cluster[1].ConfigurationAt(cluster[1].Commit).ToString());
    }

    [Fact]
    public void Restart_FromSnapshot_TakesItsConfigurationAndNewerOnesOfTheLog()
    {
        var cluster = Led(3, spares: 2);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        cluster.TakeSnapshot(1);
        cluster.Propose(1);
        cluster.TakeSnapshot(1);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 5));
        Assert.True(cluster[1].Log.Base.Index > 0);
        cluster.Restart(1);
        Assert.Equal("(1 2 3) learners=(4 5)", cluster[1].Configuration.ToString());
        Assert.Equal("(1 2 3) learners=(4)", cluster[1].ConfigurationAt(cluster[1].AppliedIndex).ToString());
    }

    [Fact]
    public void Change_SecondBeforeTheFirstIsDone_IsRefused()
    {
        var cluster = Led(3, spares: 2);
        cluster.Isolate(1);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4)));
        Assert.Contains("under way", cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 5)), StringComparison.Ordinal);
        cluster.Heal();
        cluster.Pass(200);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 5)));

        // Also while a committed joint configuration waits for the entry that ends it.
        cluster.Pass(200);
        cluster.Holds = message => message.Kind == MessageKind.AppendReply && !cluster[1].Configuration.IsJoint;
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Promote, 4)));
        Assert.False(cluster[1].Configuration.IsJoint);
        Assert.Contains("under way", cluster.ChangeMembers(1, Change(MembershipAction.Promote, 5)), StringComparison.Ordinal);
    }

    [Fact] // Ongaro, raft-dev 2015; bug 10.
    public void Change_BeforeACommitInTheOwnTerm_IsRefused()
    {
        var cluster = new CoreCluster(3, spares: 1) { Holds = message => message.Kind == MessageKind.AppendReply };
        cluster.Elect(1);
        Assert.Contains("own term", cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4)), StringComparison.Ordinal);
        Assert.Equal(1ul, cluster[1].Log.LastIndex);
    }

    [Fact]
    public void Promote_LearnerThatLagsOrIsSilent_IsRefused()
    {
        var cluster = Led(3, new RaftCoreOptions { MaxPromotionLag = 2 }, spares: 1);
        cluster.Isolate(4);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        Assert.Contains("does not answer", cluster.ChangeMembers(1, Change(MembershipAction.Promote, 4)), StringComparison.Ordinal);
        cluster.Heal();
        cluster.Pass(200);
        cluster.Loses = message => message is { Kind: MessageKind.Append, To.Value: 4 };
        for (var i = 0; i < 3; i++) cluster.Propose(1);
        cluster.Pass(50);
        Assert.Contains("not caught up", cluster.ChangeMembers(1, Change(MembershipAction.Promote, 4)), StringComparison.Ordinal);
        cluster.Heal();
        cluster.Pass(1000);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.Promote, 4)));
    }

    [Fact]
    public void Change_ThatCannotBe_IsRefusedAndLeavesNothing()
    {
        var cluster = Led(1, spares: 1);
        var last = cluster[1].Log.LastIndex;
        (string Part, MembershipChange[] Changes)[] refused =
        [
            ("one voter", [Change(MembershipAction.Remove, 1)]),
            ("one voter", [Change(MembershipAction.Demote, 1)]),
            ("no member", [Change(MembershipAction.Promote, 7)]),
            ("votes already", [Change(MembershipAction.Promote, 1)]),
            ("a member already", [Change(MembershipAction.AddLearner, 1)]),
            ("changed twice", [Change(MembershipAction.AddLearner, 2), Change(MembershipAction.Promote, 2)]),
            ("nothing to change", []),
            ("may lead", [Change(MembershipAction.Update, 1, priority: 0)]),
            ("too long", [Change(MembershipAction.AddLearner, 2, new string('x', 300))]),
            ("no text", [Change(MembershipAction.Update, 1, "\ud800")]),
        ];
        foreach (var (part, changes) in refused)
            Assert.Contains(part, cluster.ChangeMembers(1, changes), StringComparison.Ordinal);
        Assert.Equal(last, cluster[1].Log.LastIndex);
    }

    [Fact]
    public void Number_OfANodeThatLeft_IsNeverGivenAgain()
    {
        var cluster = Led(1, spares: 2);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 2));
        cluster.ChangeMembers(1, Change(MembershipAction.Remove, 2));
        Assert.Contains("never given again", cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 2)), StringComparison.Ordinal);
        Assert.Null(cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 0)));
        Assert.Equal("(1) learners=(3)", cluster[1].Configuration.ToString());
        Assert.True(cluster[1].Configuration.HasLeft(Id(2)));
    }

    [Fact] // Raft rule 6, bug 30.
    public void Vote_CandidateThatTheVoterDoesNotKnow_IsGranted()
    {
        var cluster = new CoreCluster(3);
        cluster[1].Step(new Message { Kind = MessageKind.PreVote, From = Id(9), To = Id(1), Term = 1 });
        cluster[1].Step(new Message { Kind = MessageKind.Vote, From = Id(9), To = Id(1), Term = 1 });
        var ready = cluster[1].TakeReady();
        Assert.All(ready.Messages, sent => Assert.False(sent.Message.Reject));
        Assert.Equal(2, ready.Messages.Count);
    }

    [Fact] // A joint configuration that a dead leader left is ended by the next one.
    public void Joint_LeaderDies_NextLeaderEndsIt()
    {
        var cluster = Led(3, spares: 1);
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        cluster.Pass(200);
        cluster.Loses = message => message.Kind == MessageKind.AppendReply;
        cluster.ChangeMembers(1, Change(MembershipAction.Promote, 4));
        Assert.True(cluster[2].Configuration.IsJoint);
        cluster.Isolate(1);
        cluster.Elect(2);
        cluster.Pass(200);
        Assert.Equal("(1 2 3 4)", cluster[2].Configuration.ToString());
        Assert.Equal(cluster[2].Log.LastIndex, cluster[2].Commit);
    }

    [Fact] // Votes that were counted in another configuration do not elect.
    public void Candidate_ConfigurationChangesUnderIt_AsksAnew()
    {
        var cluster = Led(3, spares: 1);
        cluster.Loses = message => message is { Kind: MessageKind.Append, To.Value: 3 };
        cluster.ChangeMembers(1, Change(MembershipAction.AddLearner, 4));
        cluster.Skip(1200);
        cluster[3].Tick(cluster.NowMs);
        Assert.Equal(RaftRole.PreCandidate, cluster[3].Role);
        cluster.Heal();
        cluster.Pass(300);
        Assert.Equal(RaftRole.Follower, cluster[3].Role);
        Assert.Equal("(1 2 3) learners=(4)", cluster[3].Configuration.ToString());
    }

    private static CoreCluster Led(int voters, RaftCoreOptions? options = null, int spares = 0, int leader = 1)
    {
        var cluster = new CoreCluster(voters, options, spares);
        cluster.Elect(leader);
        return cluster;
    }

    private static Configuration Decode(LogEntry entry)
    {
        Assert.Null(ConfigurationCodec.TryDecode(entry.Payload.Span, out var configuration));
        return configuration;
    }
}
