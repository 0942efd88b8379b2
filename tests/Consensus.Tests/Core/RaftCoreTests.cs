using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Node 1 of three, stepped by hand. Sections are the Raft paper's; bugs are those of docs/testing.md.</summary>
public sealed class RaftCoreTests
{
    private static readonly NodeId One = new(1);
    private static readonly NodeId Two = new(2);
    private static readonly NodeId Three = new(3);

    [Fact] // 5.4.1, bug 8.
    public void Vote_CandidateLogBehind_AdoptsTermAndRefuses()
    {
        var core = Core(3, [Entry(1, 1), Entry(3, 2)]);
        core.Step(Vote(term: 4, log: new EntryId(2, 9))); // Longer, but of an older term.
        var reply = Assert.Single(core.TakeReady().Messages).Message;
        Assert.True(reply.Reject);
        Assert.Equal(4ul, reply.Term);
        Assert.Equal(4ul, core.Term);
    }

    [Fact] // Bug 3: the reply waits for the write that holds the vote.
    public void Vote_Granted_IsGatedOnItsWrite()
    {
        var core = Core(0, []);
        core.Step(Vote(term: 1, log: default));
        var ready = core.TakeReady();
        Assert.Equal(new HardState(1, Two, 0), ready.Write!.HardState);
        var reply = Assert.Single(ready.Messages);
        Assert.False(reply.Message.Reject);
        Assert.Equal(ready.Write.Sequence, reply.ReleaseAfter);
        core.Step(Vote(term: 1, log: default) with { From = Three });
        Assert.True(Assert.Single(core.TakeReady().Messages).Message.Reject);
    }

    [Fact] // Found by simulation seed 55: a repeated request meets a pre-candidate of the same term.
    public void Vote_AskedAgainOfAPreCandidate_IsGrantedAgain()
    {
        var core = Core(0, []);
        core.Step(Vote(term: 1, log: default));
        core.Tick(10_000);
        Assert.Equal(RaftRole.PreCandidate, core.Role);
        core.TakeReady();
        core.Step(Vote(term: 1, log: default));
        Assert.Contains(core.TakeReady().Messages, sent => sent.Message is { Kind: MessageKind.VoteReply, Reject: false });
        Assert.Equal(RaftRole.Follower, core.Role);
    }

    [Fact] // Thesis 4.2.3, 9.6, bug 28.
    public void Vote_WhileALeaderIsFresh_IsIgnored()
    {
        var core = Core(1, []);
        core.Step(Append(term: 1, previous: default));
        core.TakeReady();
        core.Step(Vote(term: 9, log: new EntryId(8, 8)) with { From = Three });
        Assert.Empty(core.TakeReady().Messages);
        Assert.Equal(1ul, core.Term);
        core.Step(Vote(term: 9, log: new EntryId(8, 8)) with { From = Three, IsTransfer = true });
        Assert.Equal(9ul, core.Term);
    }

    [Fact] // Bug 29: a refused pre-vote teaches the higher term.
    public void PreVoteReply_RefusedWithHigherTerm_IsAdopted()
    {
        var core = Core(1, []);
        core.Tick(10_000);
        core.Step(new Message { Kind = MessageKind.PreVoteReply, From = Two, To = One, Term = 5, Reject = true });
        Assert.Equal(5ul, core.Term);
    }

    [Fact] // Raft rule 1, bug 2.
    public void Append_Acknowledgement_WaitsForItsWrite()
    {
        var core = Core(1, []);
        core.Step(Append(term: 1, previous: default, Entry(1, 1)));
        var ready = core.TakeReady();
        var reply = Assert.Single(ready.Messages);
        Assert.Equal(1ul, reply.Message.Log.Index);
        Assert.Equal(ready.Write!.Sequence, reply.ReleaseAfter);

        // A repeated append changes nothing, and its answer still waits for the same write.
        core.Step(Append(term: 1, previous: default, Entry(1, 1)));
        Assert.Equal(ready.Write.Sequence, Assert.Single(core.TakeReady().Messages).ReleaseAfter);
    }

    [Fact] // Raft rule 4, bug 7.
    public void Append_ShorterThanTheLog_TruncatesNothing()
    {
        var core = Core(1, [Entry(1, 1), Entry(1, 2), Entry(1, 3)]);
        core.Step(Append(term: 1, previous: default, Entry(1, 1)));
        Assert.Equal(3ul, core.Log.LastIndex);
        core.Step(Append(term: 2, previous: new EntryId(1, 1), Entry(2, 2)));
        Assert.Equal([new EntryId(1, 1), new EntryId(2, 2)], [core.Log[1].Id, core.Log[2].Id]);
        Assert.Equal(2ul, core.Log.LastIndex);
    }

    [Fact] // Raft rule 3, bug 15.
    public void Append_CommitBeyondWhatMatches_CommitsOnlyTheMatch()
    {
        var core = Core(1, [Entry(1, 1), Entry(1, 2)]);
        core.Step(Append(term: 2, previous: new EntryId(1, 1)) with { Commit = 2 });
        Assert.Equal(1ul, core.Commit);
    }

    [Fact] // 5.4.2 figure 8, bug 1.
    public void Leader_OlderTermEntryOnAMajority_CommitsItOnlyUnderItsOwn()
    {
        var core = Leader(Core(1, [Entry(1, 1)]));
        core.Step(Ack(core.Term, Two, 1));
        Assert.Equal(0ul, core.Commit);
        core.Step(Ack(core.Term, Two, 2));
        Assert.Equal(2ul, core.Commit);
    }

    [Fact] // Raft rule 2: the leader's own copy counts when it is flushed.
    public void Leader_OwnWriteUnfinished_DoesNotCount()
    {
        var core = Leader(Core(0, []), flush: false);
        core.TakeReady();
        Assert.Equal(0ul, core.Commit);
        core.Step(Ack(core.Term, Two, 1));
        Assert.Equal(0ul, core.Commit);
        core.Step(Ack(core.Term, Three, 1));
        Assert.Equal(1ul, core.Commit); // Without the leader's disk.
    }

    [Fact] // Raft rule 1, bug 14: a completion proves nothing about what replaced the entries.
    public void WriteDone_ForTruncatedEntries_ProvesNothing()
    {
        var core = Core(1, []);
        core.Step(Append(term: 1, previous: default, Entry(1, 1), Entry(1, 2)));
        var first = core.TakeReady().Write!.Sequence;
        core.Step(Append(term: 2, previous: new EntryId(1, 1), Entry(2, 2)) with { From = Three });
        var second = core.TakeReady().Write!.Sequence;
        core.WriteDone(first);
        Assert.Equal(1ul, core.DurableIndex);
        core.WriteDone(second);
        Assert.Equal(2ul, core.DurableIndex);
    }

    [Fact] // Thesis 6.4, bugs 16 and 17.
    public void Read_OnANewLeader_WaitsForItsFirstCommitAndARoundSentLater()
    {
        var core = Leader(Core(1, [Entry(1, 1)]));
        core.TakeReady();
        core.Read(77);
        Assert.Empty(core.TakeReady().Reads);
        core.Step(Ack(core.Term, Two, 2));
        core.Step(Echo(core.Term, Two, round: 1)); // An echo of the round sent before the read.
        Assert.Empty(core.TakeReady().Reads);
        core.Step(Echo(core.Term, Three, round: 2));
        var read = Assert.Single(core.TakeReady().Reads);
        Assert.Equal(new ReadState(77, 2, ProposalRefusal.None), read);
    }

    [Fact] // Bug 36: reads are answered when leadership ends.
    public void Read_LeadershipLost_IsRefused()
    {
        var core = Leader(Core(1, []));
        core.Read(5);
        core.Step(Append(term: 9, previous: default));
        Assert.Equal(ProposalRefusal.NotLeader, Assert.Single(core.TakeReady().Reads).Refusal);
    }

    [Fact] // Check-quorum, thesis 6.2.
    public void Leader_WithoutAMajority_StepsDown()
    {
        var core = Leader(Core(1, []));
        core.Tick(20_000);
        Assert.Equal(RaftRole.Follower, core.Role);
    }

    [Fact] // Thesis 3.10, bug 35.
    public void Transfer_TargetBehind_WaitsAndBlocksProposalsUntilTheTimeout()
    {
        var core = Leader(Core(1, []));
        core.Step(Ack(core.Term, Three, 1));
        core.TakeReady();
        Assert.Null(core.TransferLeadership(Two));
        Assert.DoesNotContain(core.TakeReady().Messages, sent => sent.Message.Kind == MessageKind.TimeoutNow);
        Assert.Equal(ProposalRefusal.TransferInProgress, core.Propose([(default, new byte[1])], null, out _));
        core.Step(Ack(core.Term, Two, 1));
        Assert.Contains(core.TakeReady().Messages, sent => sent.Message.Kind == MessageKind.TimeoutNow && sent.Message.To == Two);
        for (var now = 10_050; now <= 10_700; now += 50)
        {
            core.AdvanceClock(now);
            core.Step(Echo(core.Term, Two, 1));
            core.Tick(now);
        }

        Assert.Equal(ProposalRefusal.None, core.Propose([(default, new byte[1])], null, out _));
    }

    [Theory] // Bug 5: silent voters count in the majority.
    [InlineData(new ulong[] { 5, 0, 0 }, 0)]
    [InlineData(new ulong[] { 5, 4, 0 }, 4)]
    [InlineData(new ulong[] { 5, 4, 3, 0 }, 3)]
    [InlineData(new ulong[] { 5, 4, 3, 2, 1 }, 3)]
    [InlineData(new ulong[] { 7 }, 7)]
    [InlineData(new ulong[] { 7, 3 }, 3)]
    public void Quorum_Reached_IsTheMajoritysValue(ulong[] values, ulong expected)
    {
        var configuration = new Configuration(Enumerable.Range(1, values.Length).Select(id => new NodeId((ushort)id)));
        Assert.Equal(expected, Quorum.Reached(configuration, values));
    }

    [Fact] // Section 6, bug 9: a joint quorum is a majority of each set, not of the union.
    public void Quorum_Joint_NeedsBothMajorities()
    {
        var configuration = new Configuration([One, Two, Three], [new NodeId(4), new NodeId(5), new NodeId(6)], [new NodeId(7)]);
        Assert.Equal(0ul, Quorum.Reached(configuration, [9, 9, 9, 9, 0, 0, 9]));
        Assert.Equal(8ul, Quorum.Reached(configuration, [9, 9, 0, 8, 8, 0, 0]));
        Assert.Equal(VoteResult.Pending, Quorum.Vote(configuration, [1, 1, 1, 1, 0, 0, 1]));
        Assert.Equal(VoteResult.Lost, Quorum.Vote(configuration, [1, 1, 1, 1, -1, -1, 1]));
        Assert.Equal(VoteResult.Won, Quorum.Vote(configuration, [1, 1, 0, 1, 1, 0, 0]));
    }

    private static RaftCore Core(ulong term, LogEntry[] entries) => new(
        One, new Configuration([One, Two, Three]), new RaftCoreOptions(), new HardState(term, default, 0), entries, new Xoshiro(1), 0);

    private static RaftCore Leader(RaftCore core, bool flush = true)
    {
        core.Tick(10_000);
        core.Step(new Message { Kind = MessageKind.PreVoteReply, From = Two, To = One, Term = core.Term + 1 });
        core.WriteDone(core.TakeReady().Write!.Sequence);
        core.Step(new Message { Kind = MessageKind.VoteReply, From = Two, To = One, Term = core.Term });
        Assert.Equal(RaftRole.Leader, core.Role);
        if (flush) core.WriteDone(core.TakeReady().Write!.Sequence);
        return core;
    }

    private static Message Vote(ulong term, EntryId log) =>
        new() { Kind = MessageKind.Vote, From = Two, To = One, Term = term, Log = log };

    private static Message Append(ulong term, EntryId previous, params LogEntry[] entries) =>
        new() { Kind = MessageKind.Append, From = Two, To = One, Term = term, Log = previous, Entries = entries };

    private static Message Ack(ulong term, NodeId from, ulong match) =>
        new() { Kind = MessageKind.AppendReply, From = from, To = One, Term = term, Log = new EntryId(0, match) };

    private static Message Echo(ulong term, NodeId from, ulong round) =>
        new() { Kind = MessageKind.HeartbeatReply, From = from, To = One, Term = term, Round = round };

    private static LogEntry Entry(ulong term, ulong index) => new(new EntryId(term, index), EntryType.Command, default, new byte[] { 1 });
}
