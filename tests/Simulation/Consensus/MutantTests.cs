#if MUTANTS
using RaftMirror.Simulation.ControlPlane;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Real bugs that are put back must be found. Quick: `dotnet test tests/Simulation -c Mutants --filter "MutantTests&amp;Category!=Slow"`;
/// without seeds that are known, all of them: the same with `Category=Slow`, or the command `mutants`.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    /// <summary>A seed that no longer finds its mutant, since the code has changed, is not a failure yet.</summary>
    private const int Slice = 40;

    public static TheoryData<string> Names => [.. MutantHunt.All.Select(mutant => mutant.Name)];

    public static TheoryData<string, ulong> KnownSeeds
    {
        get
        {
            var pairs = new TheoryData<string, ulong>();
            foreach (var (name, seed) in MutantSeeds.Known) pairs.Add(name, seed);
            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(KnownSeeds))]
    public void Mutant_KnownSeed_IsFound(string name, ulong seed) => Find(name, [seed], Slice, seconds: 30);

    [Theory]
    [Trait("Category", "Slow")]
    [MemberData(nameof(Names))]
    public void Mutant_Simulated_IsFound(string name) => Find(name, [], limit: 6000, seconds: 600);

    [Fact]
    public void Catalogue_EachNumber_HasAMutant() =>
        Assert.Equal(Enumerable.Range(1, MutantHunt.CatalogueSize), MutantHunt.All.Select(mutant => mutant.Number).Distinct().Order());

    /// <summary>The same seeds find nothing in the engine as it is: what is found is the mutant.</summary>
    [Fact]
    public void KnownSeeds_WithoutMutants_FindNothing()
    {
        var runs = MutantSeeds.Known.Where(static pair => !Enum.TryParse<SeededBug>(pair.Key, out _))
            .Select(static pair => (MutantHunt.All.Single(mutant => mutant.Name == pair.Key).Number, Seed: pair.Value));
        foreach (var (number, seed) in runs.DistinctBy(static run => (Math.Max(run.Number, 36), run.Seed))) MutantHunt.RunSeed(number, seed);
    }

    private void Find(string name, ulong[] first, int limit, double seconds)
    {
        var result = MutantHunt.Hunt(MutantHunt.All.Single(mutant => mutant.Name == name), first, limit, seconds);
        output.WriteLine($"{name}: seed {result.Seed}, {result.Tried} tried, {result.Seconds:0.0} s: {result.FoundBy}");
        Assert.True(result.Seed is not null, $"{name} was not found in {result.Tried} seeds.");
    }
}
#endif
