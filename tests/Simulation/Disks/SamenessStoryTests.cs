using Xunit.Abstractions;

namespace RaftMirror.Simulation.Disks;

/// <summary>All interleavings in which nodes take a disk and copies of it into use (design §14.19), and that each bug is found in them.</summary>
public sealed class SamenessStoryTests(ITestOutputHelper output)
{
    [Theory] // Each letter is what a node's path leads to.
    [InlineData("DC", 2)]
    [InlineData("DD", 2)]
    [InlineData("CDC", 0)]
    [InlineData("DCX", 0)]
    public void Story_AllInterleavings_NoTwoNodesUseDifferentMedia(string media, int faults) => Check(media, faults);

    [Theory] // Some 100 000 worlds each.
    [InlineData("DDC", 1)]
    [InlineData("DCC", 1)]
    [InlineData("CDC", 1)]
    [Trait("Category", "Slow")]
    public void Story_ThreeNodesOneOfWhichLeavesOrDies_NoTwoNodesUseDifferentMedia(string media, int faults) => Check(media, faults);

    private void Check(string media, int faults)
    {
        var story = new SamenessStory(media, faults, SamenessBug.None);
        Assert.Null(story.Run());
        output.WriteLine($"{media}, {faults} faults: {story.Worlds} worlds, {story.Shared} in which two nodes use the disk");
        Assert.Equal(media.Distinct().Count() < media.Length, story.Shared > 0);
    }

    [Theory]
    [InlineData(SamenessBug.HidesClaims)]
    [InlineData(SamenessBug.PassesByName)]
    [InlineData(SamenessBug.SkipsSuspects)]
    [InlineData(SamenessBug.TrustsItsLookBeforeJoining)]
    [InlineData(SamenessBug.NamesBeforeItClaims)]
    public void Story_WithABug_TwoNodesUseDifferentMedia(SamenessBug bug)
    {
        var found = new SamenessStory("DC", 0, bug).Run();
        output.WriteLine($"{bug}: {found}");
        Assert.NotNull(found);
    }
}
