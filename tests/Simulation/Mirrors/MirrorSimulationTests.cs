using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>The mirrors' slice.</summary>
public sealed class MirrorSimulationTests(ITestOutputHelper output)
{
    /// <summary>Seeds that found something once: what it was is in docs/results.</summary>
    [Theory]
    [InlineData(2677)]
    [InlineData(4644)]
    [InlineData(5634)]
    [InlineData(20896)]
    public void Seed_ThatFoundSomethingOnce_FindsNothing(ulong seed) => Assert.Null(MirrorSimulation.Run(seed).Violation);

    /// <summary>Bounded by a range that was run clean as a whole, so that a faster machine only does more of it; wider ranges are for `run`.</summary>
    [Fact]
    public void Seeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new MirrorSuite(), from: 1, count: 1000, TimeSpan.FromSeconds(20), workers: 2, minimum: 20);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Seeds >= 20, report.Describe());
    }

    /// <summary>Once the simulated shell passed on the answers of two appends in the wrong order, across a pause.</summary>
    [Fact]
    public void AppendAnswers_StepsPutOffByAPause_KeepTheOrderOfTheAppends()
    {
        var (answers, steps, told) = (new AppendAnswers(), new List<Action>(), new List<ulong>());
        for (ulong token = 1; token <= 3; token++) answers.Durable(token, steps.Add, told.Add);
        for (var i = steps.Count - 1; i >= 0; i--) steps[i]();
        Assert.Equal([1UL, 2UL, 3UL], told);
    }

    [Fact]
    public void Seed_RunTwice_HasTheSameTraceHash()
    {
        var first = MirrorSimulation.Run(17);
        Assert.Equal(first, MirrorSimulation.Run(17));
        Assert.NotEqual(first.TraceHash, MirrorSimulation.Run(18).TraceHash);
    }
}
