using RaftMirror.DataPlane.DiskIo.Core;
using Xunit;
using static RaftMirror.DataPlane.DiskIo.Core.DiskAnswer;

namespace RaftMirror.DataPlane.Tests.DiskIo;

/// <summary>Path is not media: whom a failed call speaks against (design §14.20, ADR 0021).</summary>
public sealed class FailureJudgeTests
{
    [Theory]
    [InlineData(false, Fails, Fine, Fine, FailureVerdict.Path)] // Others read the place: it is good.
    [InlineData(false, Fine, Fine, Unknown, FailureVerdict.Path)] // It did not repeat: still nothing against the disk.
    [InlineData(false, Fails, Fails, Fails, FailureVerdict.Medium)] // A bad sector.
    [InlineData(false, Fails, Fails, Unknown, FailureVerdict.Wait)] // A busy peer's silence is no word against the disk.
    [InlineData(false, Fails, Unknown, Unknown, FailureVerdict.Wait)]
    [InlineData(true, Fails, Fine, Unknown, FailureVerdict.Path)] // None of this node's writes get through.
    [InlineData(true, Hangs, Fails, Fine, FailureVerdict.Path)]
    [InlineData(true, Fine, Fine, Fine, FailureVerdict.Medium)] // The others read it, this node writes elsewhere: the place is bad.
    [InlineData(true, Fails, Fails, Fails, FailureVerdict.Medium)]
    [InlineData(true, Fails, Hangs, Fails, FailureVerdict.Wait)] // Not yet: it may be fine there.
    public void Judge_AnswersOfAllNodes(bool isWrite, DiskAnswer own, DiskAnswer first, DiskAnswer second, FailureVerdict expected) =>
        Assert.Equal(expected, FailureJudge.Judge(isWrite, own, [first, second], hasWaited: false));

    [Fact]
    public void Judge_NoOtherNode_IsMedium() => Assert.Equal(FailureVerdict.Medium, FailureJudge.Judge(true, Fails, [], hasWaited: false));

    [Fact]
    public void Judge_WaitIsBounded() => Assert.Equal(FailureVerdict.Medium, FailureJudge.Judge(true, Fails, [Hangs, Unknown], hasWaited: true));
}
