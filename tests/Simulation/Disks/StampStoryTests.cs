using Xunit.Abstractions;

namespace RaftMirror.Simulation.Disks;

/// <summary>The story on many seeds, and that it finds each bug that it can be given.</summary>
public sealed class StampStoryTests(ITestOutputHelper output)
{
    private const int Seeds = 200;
    private const int Steps = 150;

    [Fact]
    public void Story_ProductAsItIs_NoOldDiskIsASourceAndNoGoodOneIsRefused()
    {
        var (refused, activations) = (0, 0);
        for (ulong seed = 1; seed <= Seeds; seed++)
        {
            var story = new StampStory(seed, StampBug.None);
            try
            {
                story.Run(Steps);
            }
            catch (Exception failure)
            {
                throw new InvalidOperationException($"seed {seed}: {failure.Message}", failure);
            }

            refused += story.Refused;
            activations += story.Activations;
        }

        output.WriteLine($"{Seeds} seeds, {activations} activations, {refused} disks refused");
        Assert.True(refused > Seeds / 4, "the story puts older disks in place");
    }

    [Theory]
    [InlineData("IgnoresStamps")]
    [InlineData("IgnoresNonces")]
    [InlineData("KnowsCompletedOnly")]
    [InlineData("StampsBlindly")]
    [InlineData("CompletesUnstamped")]
    public void Story_WithABug_IsFound(string bug)
    {
        var found = 0UL;
        for (ulong seed = 1; seed <= Seeds && found == 0; seed++)
        {
            try
            {
                new StampStory(seed, Enum.Parse<StampBug>(bug)).Run(Steps);
            }
            catch (Exception broken) when (broken.Message.Contains("I-SRC", StringComparison.Ordinal) || broken.Message.Contains("refused", StringComparison.Ordinal))
            {
                output.WriteLine($"seed {seed}: {broken.Message}");
                found = seed;
            }
        }

        Assert.True(found > 0, $"{bug} was not found");
    }
}
