#if MUTANTS
using RaftMirror.DataPlane.DiskIo.Core;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Disks;

/// <summary>Bugs of the judge of failures, put back: the story finds each with one other node or two.</summary>
public sealed class FailureMutantTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(nameof(JudgeMutants.OwnErrorIsTheDisks), "another node can use it")]
    [InlineData(nameof(JudgeMutants.SilenceIsAWord), "another node can use it")]
    [InlineData(nameof(JudgeMutants.HangIsAWord), "another node can use it")]
    [InlineData(nameof(JudgeMutants.WaitsForEver), "no verdict within the bound")]
    [InlineData(nameof(JudgeMutants.ReadingClearsWrites), "nothing wrong but the place")]
    public void Mutant_OfTheJudge_IsFoundByTheStory(string name, string by)
    {
        JudgeMutants.Active = name;
        try
        {
            var found = new FailureStory().Run(others: 1);
            output.WriteLine($"{name}: {found}");
            Assert.Contains(by, found, StringComparison.Ordinal);
        }
        finally
        {
            JudgeMutants.Active = null;
        }
    }
}
#endif
