using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>The mirrors' slice.</summary>
public sealed class MirrorSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Seeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new MirrorSuite(), from: 1, count: 1000, TimeSpan.FromSeconds(20), workers: 2, minimum: 20);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Seeds >= 20, report.Describe());
    }

    /// <summary>Seeds that once found something. They may mean less when what is drawn changes.</summary>
    [Theory]
    [InlineData(11534)] // The answer of one append overtook another's while the node was paused.
    public void Seed_ThatFoundSomething_FindsNothing(ulong seed) => Assert.Null(MirrorSimulation.Run(seed).Violation);

    [Fact]
    public void Seed_RunTwice_HasTheSameTraceHash()
    {
        var first = MirrorSimulation.Run(17);
        Assert.Equal(first, MirrorSimulation.Run(17));
        Assert.NotEqual(first.TraceHash, MirrorSimulation.Run(18).TraceHash);
    }
}
