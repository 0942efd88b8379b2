using RaftMirror.DataPlane.Mirroring.Core;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Mirrors;

public sealed class MirrorSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Slice_ManySeeds_HoldEveryInvariant()
    {
        for (ulong seed = 1; seed <= 200; seed++)
        {
            var result = MirrorSimulation.Run(seed);
            Assert.True(result.IsOk, $"seed {seed}: {result.Violation} ({result.Figures})");
            if (seed % 40 == 0) output.WriteLine($"seed {seed}: {result.Figures}");
        }
    }

    [Fact]
    public void Debug_Seed()
    {
        if (Environment.GetEnvironmentVariable("MSEED") is not { } text) return;
        var lines = new List<string>();
        var result = MirrorSimulation.Run(ulong.Parse(text), MirrorFaults.None, lines.Add);
        File.WriteAllLines("/tmp/mirror-trace.txt", lines);
        Assert.True(result.IsOk, result.Violation);
    }

    [Fact]
    public void Survey()
    {
        if (Environment.GetEnvironmentVariable("MSURVEY") is not { } text) return;
        var lines = new List<string>();
        for (ulong seed = 1; seed <= ulong.Parse(text); seed++)
        {
            var result = MirrorSimulation.Run(seed);
            lines.Add($"{seed} {result.Violation?.Split('\n')[0]} | {result.Figures}");
        }

        File.WriteAllLines("/tmp/mirror-survey.txt", lines);
    }

    [Fact]
    public void Run_SameSeed_SameTrace()
    {
        var first = MirrorSimulation.Run(17);
        var second = MirrorSimulation.Run(17);
        Assert.Equal(first, second);
    }
}
