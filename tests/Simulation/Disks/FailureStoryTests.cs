using Xunit.Abstractions;

namespace RaftMirror.Simulation.Disks;

/// <summary>Whom a failed call speaks against, in all worlds of up to three other nodes (design §14.20).</summary>
public sealed class FailureStoryTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Story_AllAnswers_NoDiskIsLostThatAnotherNodeUses(int others)
    {
        var story = new FailureStory();
        Assert.Null(story.Run(others));
        output.WriteLine($"{others} others: {story.Worlds} worlds, {story.Losses} losses, {story.Paths} nodes without the disk");
        Assert.NotEqual(0, story.Losses);
        Assert.Equal(others > 0, story.Paths > 0);
    }
}
