using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Consensus;

/// <summary>The slice of the simulation that every test run does.</summary>
public sealed class ConsensusSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Seeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new ConsensusSuite(), from: 1, count: 2000, TimeSpan.FromSeconds(25), workers: 2, minimum: 500);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Seeds >= 500, report.Describe());
    }

    [Fact]
    public void Seeds_InAnotherOrderOnAnotherThread_HaveTheSameTraceHashes()
    {
        const int seeds = 24;
        var suite = new ConsensusSuite();
        var forwards = Enumerable.Range(1, seeds).Select(seed => suite.Run((ulong)seed, trace: null)).ToArray();
        SimulationResult[] backwards = [];
        var thread = new Thread(() => backwards = [.. Enumerable.Range(0, seeds).Select(i => suite.Run((ulong)(seeds - i), trace: null))]);
        thread.Start();
        thread.Join();
        Assert.Equal(forwards, backwards.Reverse());
    }

    [Theory]
    [InlineData(7)]
    [InlineData(4711)]
    [InlineData(123456789)]
    public void Seed_RunTwice_HasTheSameTraceHash(ulong seed)
    {
        var lines = new List<string>();
        var first = new ConsensusSuite().Run(seed, trace: null);
        var second = new ConsensusSuite().Run(seed, lines.Add);
        Assert.Equal(first, second);
        Assert.NotEmpty(lines);
        Assert.NotEqual(first.TraceHash, new ConsensusSuite().Run(seed + 1, trace: null).TraceHash);
    }
}
