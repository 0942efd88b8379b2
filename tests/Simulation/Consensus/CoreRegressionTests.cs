using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Consensus;

/// <summary>What seeds found in the core, each in its smallest form.</summary>
public sealed class CoreRegressionTests
{
    private static readonly NodeId[] Ids = [.. Enumerable.Range(0, 5).Select(id => new NodeId((ushort)id))];

    /// <summary>A transfer runs while the acknowledgement that completes it also commits a smaller configuration: slots move.</summary>
    [Fact]
    public void AppendReply_CommitsConfigurationWithFewerMembers_LooksForTheTargetInTheNewSlots()
    {
        var core = Start(1, new Configuration([Ids[1], Ids[2], Ids[3], Ids[4]]));
        Elect(core, [2, 3]);
        Acknowledge(core, [2, 3, 4]);
        Assert.Null(core.ChangeMembers([new MembershipChange(MembershipAction.Remove, new Member(Ids[2], "", ""))], out var place));
        Settle(core);
        foreach (ushort from in new ushort[] { 2, 3 }) Reply(core, from, place.Index);
        Assert.True(core.Commit >= place.Index);
        Assert.False(core.Configuration.IsJoint);
        Reply(core, 4, core.Log.LastIndex); // The last slot of the old configuration.
        Assert.Equal(RaftRole.Leader, core.Role);
    }

    /// <summary>One voter of priority 0 alone: nobody else can lead.</summary>
    [Fact]
    public void PriorityZero_NobodyElseThere_LeadsInTheEnd()
    {
        var core = Start(1, new Configuration([Ids[1]], details: [new Member(Ids[1], "", "", Priority: 0)]));
        for (var now = 0; now < 10_000 && core.Role != RaftRole.Leader; now += 20)
        {
            core.Tick(now);
            Settle(core);
        }

        Assert.Equal(RaftRole.Leader, core.Role);
    }

    /// <summary>A cluster that began with nobody of a priority above 0 can be added to (seeds 748, 1017, 1304, 1679); one that has such a
    /// voter may not lose it.</summary>
    [Fact]
    public void Change_NobodyMayLeadBefore_IsPossible()
    {
        var none = new Configuration([Ids[1]], details: [new Member(Ids[1], "", "", Priority: 0)]);
        MembershipChange add = new(MembershipAction.AddLearner, new Member(Ids[2], "", "", Priority: 0));
        Assert.NotNull(MembershipRules.Change(none, [add], out var error));
        Assert.Null(error);
        var one = new Configuration([Ids[1], Ids[2]], details: [new Member(Ids[1], "", "", Priority: 0), new Member(Ids[2], "", "")]);
        Assert.Null(MembershipRules.Change(one, [new MembershipChange(MembershipAction.Remove, new Member(Ids[2], "", ""))], out error));
        Assert.Equal("nobody would be left who may lead", error);
    }

    /// <summary>The demoted node alone has the configuration that demotes it; the others refuse each other, and need it (thesis 4.2.2).</summary>
    [Fact]
    public void UncommittedConfiguration_TakesTheVote_StillCampaigns()
    {
        var joint = new Configuration([Ids[1], Ids[2], Ids[4]], [Ids[1], Ids[2], Ids[3]], [Ids[3]]);
        LogEntry[] entries =
        [
            new LogEntry(new EntryId(1, 1), EntryType.Noop, default, default),
            new LogEntry(new EntryId(1, 2), EntryType.Configuration, default, ConfigurationCodec.Encode(joint)),
            new LogEntry(new EntryId(1, 3), EntryType.Configuration, default, ConfigurationCodec.Encode(joint.LeaveJoint())),
        ];
        var core = new RaftCore(
            Ids[3], new Configuration([Ids[1], Ids[2], Ids[3]]), new RaftCoreOptions(), new HardState(1, default, 2), entries, new Xoshiro(1), 0);
        Assert.False(core.Configuration.IsVoter(Ids[3]));
        core.Tick(10_000);
        Assert.Equal(RaftRole.PreCandidate, core.Role);
        foreach (ushort from in new ushort[] { 1, 4 })
            core.Step(new Message { Kind = MessageKind.PreVoteReply, From = Ids[from], To = Ids[3], Term = 2 });
        Settle(core);
        Assert.Equal(RaftRole.Candidate, core.Role);
        core.Step(new Message { Kind = MessageKind.VoteReply, From = Ids[1], To = Ids[3], Term = 2 });
        Assert.Equal(RaftRole.Candidate, core.Role);
        core.Step(new Message { Kind = MessageKind.VoteReply, From = Ids[4], To = Ids[3], Term = 2 });
        Assert.Equal(RaftRole.Leader, core.Role);
    }

    private static RaftCore Start(ushort self, Configuration configuration) =>
        new(Ids[self], configuration, new RaftCoreOptions(), default, [], new Xoshiro(7), 0);

    private static void Elect(RaftCore core, ushort[] by)
    {
        core.Tick(5_000);
        foreach (var from in by) core.Step(new Message { Kind = MessageKind.PreVoteReply, From = Ids[from], To = core.Self, Term = 1 });
        Settle(core);
        foreach (var from in by) core.Step(new Message { Kind = MessageKind.VoteReply, From = Ids[from], To = core.Self, Term = 1 });
        Settle(core);
        Assert.Equal(RaftRole.Leader, core.Role);
    }

    private static void Acknowledge(RaftCore core, ushort[] by)
    {
        foreach (var from in by) Reply(core, from, core.Log.LastIndex);
    }

    private static void Reply(RaftCore core, ushort from, ulong match)
    {
        core.Step(new Message { Kind = MessageKind.AppendReply, From = Ids[from], To = core.Self, Term = core.Term, Log = new EntryId(0, match) });
        Settle(core);
    }

    private static void Settle(RaftCore core)
    {
        while (core.TakeReady().Write is { } write) core.WriteDone(write.Sequence);
    }
}
