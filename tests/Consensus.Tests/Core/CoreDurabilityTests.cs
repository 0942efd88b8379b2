using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;
using static RaftMirror.Consensus.Tests.Core.CoreCluster;

namespace RaftMirror.Consensus.Tests.Core;

/// <summary>Writes in flight, rules 1, 2 and 10, bugs 2, 4, 14, 32 and 34.</summary>
public sealed class CoreDurabilityTests
{
    private static readonly NodeId One = new(1);
    private static readonly NodeId Two = new(2);
    private static readonly NodeId Three = new(3);

    [Fact] // Bug 14: the same entries come back while the write that replaced them is in flight (etcd's async-storage scenario).
    public void WriteDone_SameEntryBackAfterATruncation_CountsItsSecondWriteOnly()
    {
        var core = Core();
        core.Step(Append(1, Two, default, Entry(1, 1), Entry(1, 2)));
        var a = core.TakeReady().Write!.Sequence;
        core.Step(Append(2, Three, new EntryId(1, 1), Entry(2, 2)));
        var b = core.TakeReady().Write!.Sequence;
        core.Step(Append(3, Two, default, Entry(1, 1), Entry(3, 2)));
        var ready = core.TakeReady();
        var c = ready.Write!.Sequence;
        Assert.Equal(c, Assert.Single(ready.Messages).ReleaseAfter);
        core.WriteDone(a);
        Assert.Equal(1ul, core.DurableIndex);
        core.WriteDone(b);
        Assert.Equal(1ul, core.DurableIndex);
        core.WriteDone(c);
        Assert.Equal(2ul, core.DurableIndex);
    }

    [Fact] // As leader its own late completion must not commit what it has not flushed.
    public void Leader_LateWriteOfATruncatedLog_CommitsNothing()
    {
        var cluster = new CoreCluster(3);
        cluster.Elect(1);
        cluster.Isolate(1);
        cluster.Nodes[0].Flushes = false;
        cluster.Propose(1, 1);
        cluster.Propose(1, 1);
        cluster.Heal();
        cluster.Elect(2);
        Assert.Equal(new EntryId(2, 2), cluster[1].Log.LastId);
        Assert.Equal(1ul, cluster[1].DurableIndex);
        var released = new List<Message>();
        cluster.Nodes[0].FinishWrite(released);
        cluster.Nodes[0].FinishWrite(released);
        Assert.Equal(1ul, cluster[1].DurableIndex);
        Assert.DoesNotContain(released, message => message is { Kind: MessageKind.AppendReply, Reject: false, Log.Index: > 1 });
    }

    [Fact] // Bug 4.
    public void Write_WithEntries_HoldsTheirTerm()
    {
        var core = Core();
        core.Step(Append(5, Two, default, Entry(4, 1), Entry(5, 2)) with { Commit = 1 });
        Assert.Equal(new HardState(5, default, 1), core.TakeReady().Write!.HardState);
    }

    [Fact] // A reply that speaks only of the term waits for the term.
    public void Refusal_OfANewTerm_WaitsForTheTerm()
    {
        var core = Core();
        core.Step(Append(5, Two, new EntryId(4, 9)));
        var ready = core.TakeReady();
        var reply = Assert.Single(ready.Messages);
        Assert.True(reply.Message.Reject);
        Assert.Equal(ready.Write!.Sequence, reply.ReleaseAfter);
    }

    [Fact] // Raft rule 5: whoever is behind is told.
    public void Append_OfAnOldLeader_IsAnsweredWithTheTerm()
    {
        var core = Core();
        core.Step(Append(5, Two, default));
        core.TakeReady();
        core.Step(Append(4, Three, default, Entry(4, 1)));
        var reply = Assert.Single(core.TakeReady().Messages).Message;
        Assert.Equal((true, 5ul, Three), (reply.Reject, reply.Term, reply.To));
        Assert.Equal(0ul, core.Log.LastIndex);
    }

    [Fact] // Bug 32.
    public void Pipeline_EverythingLost_IsSentAgain()
    {
        var cluster = new CoreCluster(3, new RaftCoreOptions { MaxInflightMessages = 2 });
        cluster.Elect(1);
        cluster.Loses = message => message is { Kind: MessageKind.Append, To.Value: 3 };
        for (var i = 0; i < 10; i++) cluster.Propose(1);
        cluster.Pass(300);
        Assert.Equal(1ul, cluster[3].Log.LastIndex);
        cluster.Heal();
        cluster.Pass(1000);
        Assert.Equal(cluster[1].Commit, cluster[3].Commit);
    }

    [Fact] // Bug 34.
    public void Refusal_Late_RewindsNothing()
    {
        var cluster = new CoreCluster(3);
        cluster.Elect(1);
        cluster.Propose(1);
        var match = cluster[1].ProgressOf(Two)!.Match;
        cluster[1].Step(new Message { Kind = MessageKind.AppendReply, From = Two, To = One, Term = cluster[1].Term, Reject = true, Log = new EntryId(0, match) });
        Assert.Equal((match, ProgressState.Replicate), (cluster[1].ProgressOf(Two)!.Match, cluster[1].ProgressOf(Two)!.State));
    }

    [Fact] // Raft paper figure 7: logs of every shape become the leader's.
    public void Followers_WithForeignTails_BecomeEqual()
    {
        ulong[][] terms =
        [
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6], [1, 1, 1, 4], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
            [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], [1, 1, 1, 4, 4, 4, 4], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        ];
        var configuration = new Configuration(Enumerable.Range(1, 7).Select(Id));
        var cluster = new CoreCluster(7);
        for (var i = 0; i < 7; i++)
        {
            LogEntry[] entries = [.. terms[i].Select((term, position) => Entry(term, (ulong)position + 1))];
            cluster.Nodes[i].Core = new RaftCore(
                Id(i + 1), configuration, new RaftCoreOptions(), new HardState(7, default, 0), entries, new Xoshiro(1), cluster.NowMs);
        }

        cluster.Elect(1);
        cluster.Pass(500);
        Assert.All(cluster.Nodes, node => Assert.Equal(11ul, node.Core.Commit));
        Assert.All(cluster.Nodes, node => Assert.Equal(new EntryId(8, 11), node.Core.Log.LastId));
    }

    private static RaftCore Core() => new(
        One, new Configuration([One, Two, Three]), new RaftCoreOptions(), default, [], new Xoshiro(1), 0);

    private static Message Append(ulong term, NodeId from, EntryId previous, params LogEntry[] entries) =>
        new() { Kind = MessageKind.Append, From = from, To = One, Term = term, Log = previous, Entries = entries };

    private static LogEntry Entry(ulong term, ulong index) => new(new EntryId(term, index), EntryType.Command, default, new byte[] { 1 });
}
