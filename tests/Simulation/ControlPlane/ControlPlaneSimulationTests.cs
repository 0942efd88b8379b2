using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The control plane's slice, and the proof that its checks find bugs.</summary>
public sealed class ControlPlaneSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Seeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new ControlPlaneSuite(), from: 1, count: 1000, TimeSpan.FromSeconds(20), workers: 2);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Seeds >= 40, report.Describe());
    }

    [Theory]
    [InlineData(7)]
    [InlineData(4711)]
    public void Seed_RunTwice_HasTheSameTraceHash(ulong seed)
    {
        var first = new ControlPlaneSuite().Run(seed, trace: null);
        Assert.Equal(first, new ControlPlaneSuite().Run(seed, static _ => { }));
    }

    [Theory]
    [InlineData(nameof(SeededBug.ForgetsRequestsAfterRestart), "I-")]
    [InlineData(nameof(SeededBug.AppliesDuplicates), "I-ONCE")]
    [InlineData(nameof(SeededBug.DecidesByHashOrder), "")]
    [InlineData(nameof(SeededBug.GrantsWhileMergeOwed), "§14.7")]
    [InlineData(nameof(SeededBug.EndsBarrierEarly), "§14.2")]
    [InlineData(nameof(SeededBug.FencesBeforeTheHorizon), "I-FENCE")]
    [InlineData(nameof(SeededBug.NewLeaderForgetsGrants), "I-FENCE")]
    public void SeededBug_Simulated_IsFound(string name, string by)
    {
        const int limit = 100;
        for (ulong seed = 1; seed <= limit; seed++)
        {
            try
            {
                ControlPlaneSuite.Run(seed, Enum.Parse<SeededBug>(name), trace: null);
            }
            catch (SimulationException found)
            {
                output.WriteLine($"{name}: found by seed {seed}: {found.Message}");
                Assert.StartsWith(by, found.Message, StringComparison.Ordinal);
                return;
            }
        }

        Assert.Fail($"{name} was not found in {limit} seeds.");
    }
}
