#if MUTANTS
using RaftMirror.Consensus.Core;
using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Each real bug that is put back must be found: `dotnet test tests/Simulation -c Mutants`.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    public static TheoryData<string> Names => [.. Mutants.All.Select(mutant => mutant.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Mutant_Simulated_IsFound(string name)
    {
        const int limit = 4_000;
        try
        {
            Mutants.Active = name;
            for (ulong seed = 1; seed <= limit; seed++)
            {
                try
                {
                    new ConsensusSuite().Run(seed, trace: null);
                }
                catch (SimulationException found)
                {
                    output.WriteLine($"{name}: found by seed {seed}: {found.Message}");
                    Console.WriteLine($"{name}: found by seed {seed}: {found.Message}");
                    return;
                }
            }

            Assert.Fail($"{name} was not found in {limit} seeds.");
        }
        finally
        {
            Mutants.Active = null;
        }
    }
}
#endif
