using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

/// <summary>Design §14.25, ADR 0019. H = A = 300 ms.</summary>
public sealed class GivenUpWritesTests
{
    private const long Ms = 1_000_000;
    private static readonly ByteRange Everything = new(0, long.MaxValue);
    private readonly GivenUpWrites _order = new(new MirrorOptions());
    private readonly List<(string Node, ulong Incarnation)> _asked = [];

    [Fact] // Protocol 4: a node that was there before may have connections.
    public void Write_OlderMember_WaitsForItsAnswer()
    {
        Open(1000, areOlder: true);
        Assert.False(_order.MayBegin(Write(1, 1000, 1000)));
        Assert.Equal(new OrderHold("b", IsSilent: true), _order.WaitsFor);
        Answer(asked: 1000);
        Assert.True(_order.MayBegin(Write(1, 1000, 1000)));
    }

    [Fact] // Protocol 4: one that joins later says so before its first connection counts.
    public void Write_MemberThatJoinedLater_DoesNotWait()
    {
        Open(1000, areOlder: false);
        Assert.True(_order.MayBegin(Write(1, 1000, 1000)));
        _order.Asked("b", 7, statedNs: 5 * Ms, hasSessions: true);
        Assert.False(_order.MayBegin(Write(2, 1001, 1001)));
        Answer(asked: 1001, stated: 4, hasSessions: false); // Overtaken on the way: its later statement counts.
        Assert.True(_order.MayBegin(Write(2, 1001, 1001)));
        Assert.False(_order.MayBegin(Write(3, 1400, 1400)));
    }

    [Theory] // Protocol 2: an answer is good for H, short of the drift.
    [InlineData(294, true)]
    [InlineData(295, false)]
    public void Answer_Age_Counts(long ageMs, bool isGood)
    {
        Open(1000, areOlder: true);
        Answer(asked: 1000);
        Assert.Equal(isGood, _order.MayBegin(Write(1, 1000 + ageMs, 1000 + ageMs)));
    }

    [Fact] // Protocol 2: what overlaps and is H + A older holds it; the rest does not.
    public void Listed_OverlappingAndOlder_Holds()
    {
        Open(1000, areOlder: true);
        Answer(asked: 1000, listed: new ListedWrite(new ByteRange(0, 4096), 600 * Ms));
        Assert.False(_order.MayBegin(Write(1, 1000, 1000)));
        Assert.Equal(new OrderHold("b", IsSilent: false), _order.WaitsFor);
        Assert.True(_order.MayBegin(Write(2, 1000, 1000, start: 8192)));
        Answer(asked: 1001, listed: new ListedWrite(Everything, 601 * Ms));
        Assert.False(_order.MayBegin(Write(2, 1000, 1000, start: 8192)));
        Answer(asked: 1002);
        Assert.True(_order.MayBegin(Write(1, 1000, 1000)));
    }

    [Fact] // Waits end: a write that was read late, but bears the time at which it came, does not wait for a younger one.
    public void Listed_YoungerThanTheStamp_DoesNotHold()
    {
        Open(0, areOlder: true);
        Answer(asked: 3000, listed: new ListedWrite(new ByteRange(0, 4096), 950 * Ms));
        Assert.True(_order.MayBegin(Write(1, from: 0, to: 100)));
    }

    [Fact] // Protocol 1: younger than A is not listed, with an age counted from the earliest it can have come.
    public void Answer_ListsWhatIsOld()
    {
        Open(1000, areOlder: false);
        _order.Received(Write(1, 1000, 1900));
        _order.Received(Write(2, 1800, 1900, start: 8192));
        Sample(1990, (1, 1990));
        Assert.Equal([new ListedWrite(new ByteRange(0, 4096), 1000 * Ms)], _order.Answer(2000 * Ms));
        _order.Ended(2000 * Ms, 1);
        Assert.Empty(_order.Answer(2000 * Ms));
    }

    [Fact] // Protocol 1: bytes that may be unread since before A list the volume, and so does a look that is itself that old.
    public void Answer_UnreadBytes_ListEverything()
    {
        Open(1000, areOlder: false);
        Sample(1990, (1, 1500));
        Assert.Equal([new ListedWrite(Everything, 500 * Ms)], _order.Answer(2000 * Ms));
        Sample(1995, (1, 1995));
        Assert.Empty(_order.Answer(2000 * Ms));
        Assert.Equal([new ListedWrite(Everything, 505 * Ms)], _order.Answer(2500 * Ms)); // Stopped after the look.
    }

    [Fact]
    public void Answer_ManyOld_AreJoinedAndNoneIsMissing()
    {
        Open(0, areOlder: false);
        for (ulong id = 1; id <= 200; id++) _order.Received(Write(id, (long)id, (long)id, start: (long)id * 65536));
        Sample(1000, (1, 1000));
        var listed = _order.Answer(1000 * Ms);
        Assert.InRange(listed.Count, 1, GivenUpWrites.MaxListed);
        for (ulong id = 1; id <= 200; id++)
        {
            var range = new ByteRange((long)id * 65536, 4096);
            Assert.Contains(listed, entry => entry.Range.Contains(range) && entry.AgeNs >= (1000 - (long)id) * Ms);
        }
    }

    [Fact] // Protocol 2, on one node: another connection's unread bytes and unended writes; not what follows on its own.
    public void OwnNode_OtherConnection_Holds()
    {
        Open(0, areOlder: false);
        _order.SessionOpened(0, 2);
        Sample(2000, (1, 1000), (2, 2000));
        Assert.True(_order.MayBegin(Write(1, 2000, 2000)));
        Assert.False(_order.MayBegin(Write(2, 2000, 2000) with { Session = 2 }));
        Sample(2010, (1, 2010), (2, 2010));
        _order.Received(Write(3, 1000, 2000));
        Assert.False(_order.MayBegin(Write(4, 2000, 2000) with { Session = 2 }));
        Assert.False(_order.MayBegin(Write(4, 2000, 2000)));
        Assert.True(_order.MayBegin(Write(2, 2000, 2000))); // Sent before on the same connection.
        _order.Ended(2010 * Ms, 3);
        Assert.True(_order.MayBegin(Write(4, 2000, 2000) with { Session = 2 }));
    }

    [Fact] // Protocol 5: a first connection counts once each live peer answered a question that said so, on a state that is new enough.
    public void FirstSession_CountsOnceAllKnow()
    {
        Open(1000, areOlder: false);
        Assert.Equal(["b"], Questions(1000));
        Assert.False(_order.IsAnnounced(1000 * Ms));
        Answer(asked: 999);
        Assert.False(_order.IsAnnounced(1000 * Ms));
        Answer(asked: 1000);
        Assert.False(_order.IsAnnounced(999 * Ms));
        Assert.True(_order.IsAnnounced(1000 * Ms));
        _order.SessionOpened(1500 * Ms, 2);
        Assert.True(_order.IsAnnounced(0)); // A later one at once.
        _order.SessionClosed(1600 * Ms, 1);
        _order.SessionClosed(1600 * Ms, 2);
        Assert.False(_order.HasSessions);
        _order.SessionOpened(1700 * Ms, 3);
        Assert.False(_order.IsAnnounced(1700 * Ms));
    }

    [Fact] // Protocol 7: only its end frees the others from one that is silent.
    public void SilentPeer_ProvenGone_FreesTheOthers()
    {
        Open(1000, areOlder: true);
        Assert.False(_order.MayBegin(Write(1, 1000, 1000)));
        _order.MembersChanged([("b", 8)], areOlder: false); // A later incarnation.
        Assert.True(_order.MayBegin(Write(1, 1000, 1000)));
        Answer(asked: 1001, listed: new ListedWrite(Everything, 900 * Ms)); // Of the former life.
        Assert.True(_order.MayBegin(Write(2, 1001, 1001)));
    }

    [Fact] // Protocol 6: every 100 ms while both have connections, at once when a write needs it, never otherwise.
    public void Questions_ComeWhenNeeded()
    {
        Open(1000, areOlder: true);
        Assert.Equal(["b"], Questions(1000));
        Assert.Empty(Questions(1050));
        Answer(asked: 1000, hasSessions: true, stated: 1);
        Assert.True(_order.IsAnnounced(1000 * Ms));
        Assert.Equal(["b"], Questions(1100));
        Assert.False(_order.MayBegin(Write(1, 1500, 1500)));
        Assert.Equal(["b"], Questions(1501));
        Answer(asked: 1501, hasSessions: false, stated: 2);
        Assert.Empty(Questions(1700));
        _order.SessionClosed(1800 * Ms, 1);
        Assert.Empty(Questions(1900));
    }

    private void Open(long atMs, bool areOlder)
    {
        _order.MembersChanged([("b", 7)], areOlder);
        _order.SessionOpened(atMs * Ms, 1);
    }

    private void Answer(long asked, bool hasSessions = true, long stated = 0, params ListedWrite[] listed) =>
        _order.Answered("b", 7, asked * Ms, stated * Ms, hasSessions, listed);

    private void Sample(long takenMs, params (uint Session, long FloorMs)[] floors) =>
        _order.Sampled(new IntakeSample(takenMs * Ms, Array.ConvertAll(floors, static floor => (floor.Session, floor.FloorMs * Ms))));

    private List<string> Questions(long nowMs)
    {
        _asked.Clear();
        _order.TakeQuestions(nowMs * Ms, _asked);
        return _asked.ConvertAll(static peer => peer.Node);
    }

    private static ArrivedWrite Write(ulong id, long from, long to, long start = 0) =>
        new(id, new ByteRange(start, 4096), 1, from * Ms, to * Ms);
}
