#if MUTANTS
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Each real bug that is put back must be found: `dotnet test tests/Simulation -c Mutants`.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    public static TheoryData<string> Names => [.. MutantHunt.All.Select(mutant => mutant.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Mutant_Simulated_IsFound(string name)
    {
        ulong[] first = MutantSeeds.Known.TryGetValue(name, out var seed) ? [seed] : [];
        var result = MutantHunt.Hunt(MutantHunt.All.Single(mutant => mutant.Name == name), first, limit: 4000, seconds: 600);
        output.WriteLine($"{name}: seed {result.Seed}, {result.Tried} tried: {result.FoundBy}");
        Assert.True(result.Seed is not null, $"{name} was not found in {result.Tried} seeds.");
    }

    [Fact]
    public void Catalogue_EachNumber_HasAMutant() =>
        Assert.Equal(Enumerable.Range(1, MutantHunt.CatalogueSize), MutantHunt.All.Select(mutant => mutant.Number).Distinct().Order());
}
#endif
