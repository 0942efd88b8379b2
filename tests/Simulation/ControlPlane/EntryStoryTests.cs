#if MUTANTS
using RaftMirror.ControlPlane.Model;
#endif
using Xunit.Abstractions;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Who may enter a set, in all orders of pings, entries, restarts and links that change (ADR 0019).</summary>
public sealed class EntryStoryTests(ITestOutputHelper output)
{
    [Fact]
    public void Story_AllOrders_NoSilenceBetweenThoseThatServeIsUntold()
    {
        var story = new EntryStory();
        Assert.Null(story.Run());
        output.WriteLine($"{story.Worlds} worlds, {story.Silences} in which both serve and do not hear each other");
        Assert.NotEqual(0, story.Silences);
    }
}

#if MUTANTS
/// <summary>Bugs of the rules about links, put back: the story finds each.</summary>
public sealed class EntryMutantTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(nameof(StateMutants.EntersHalfHeard), "has never heard")]
    [InlineData(nameof(StateMutants.EntersUnheard), "has never heard")]
    [InlineData(nameof(StateMutants.SilenceOfEntrantsUntold), "nobody is told")]
    public void Mutant_OfTheEntry_IsFoundByTheStory(string name, string by)
    {
        StateMutants.Active = name;
        try
        {
            var found = new EntryStory().Run();
            output.WriteLine($"{name}: {found}");
            Assert.Contains(by, found, StringComparison.Ordinal);
        }
        finally
        {
            StateMutants.Active = null;
        }
    }
}
#endif
