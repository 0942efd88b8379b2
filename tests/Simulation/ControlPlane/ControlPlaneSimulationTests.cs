using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The control plane's slice, and the proof that its checks find bugs.</summary>
public sealed class ControlPlaneSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Seeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new ControlPlaneSuite(), from: 1, count: 1000, TimeSpan.FromSeconds(20), workers: 2, minimum: 20);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Seeds >= 20, report.Describe());
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
    [InlineData(nameof(SeededBug.ForgetsRequestsAfterRestart), "I-", 1)]
    [InlineData(nameof(SeededBug.AppliesDuplicates), "I-ONCE", 1)]
    [InlineData(nameof(SeededBug.AnswersByIdAlone), "I-ONCE", 1)]
    [InlineData(nameof(SeededBug.StampsItsOwnClock), "I-CLOCK", 28)]
    [InlineData(nameof(SeededBug.RefusesOwnCommandsForTime), "I-CLOCK", 1)]
    [InlineData(nameof(SeededBug.NeverCorrectsLogTime), "18 liveness", 15)]
    [InlineData(nameof(SeededBug.LeadsWithAWrongClock), "18 liveness", 16)]
    [InlineData(nameof(SeededBug.DecidesByHashOrder), "", 1)]
    [InlineData(nameof(SeededBug.GrantsWhileMergeOwed), "§14.7", 25)]
    [InlineData(nameof(SeededBug.EndsBarrierEarly), "§14.2", 1)]
    [InlineData(nameof(SeededBug.ForgetsKeptMarks), "§14.5", 1)]
    [InlineData(nameof(SeededBug.OwesTooLittleOnReturn), "§14.5", 120)]
    [InlineData(nameof(SeededBug.OwesOldDiskItsKeptMarks), "§14.19", 1)]
    [InlineData(nameof(SeededBug.EndsResyncBeforeTheStamp), "§14.19", 1)]
    [InlineData(nameof(SeededBug.RecoversFromLaterCrash), "§14.18", 1)]
    [InlineData(nameof(SeededBug.FencesBeforeTheHorizon), "I-FENCE", 3)]
    [InlineData(nameof(SeededBug.NewLeaderForgetsGrants), "I-FENCE", 119)]
    [InlineData(nameof(SeededBug.GrantsToThoseWhoDoNotFollow), "I-FOLLOW", 74)]
    public void SeededBug_Simulated_IsFound(string name, string by, ulong from)
    {
        // Where to begin is only a hint that saves time: it goes stale when the code changes.
        const int limit = 200;
        for (var seed = from; seed < from + limit; seed++)
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

        Assert.Fail($"{name} was not found in {limit} seeds from {from} on.");
    }
}
