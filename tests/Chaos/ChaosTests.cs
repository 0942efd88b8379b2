using RaftMirror.Chaos.Driver;
using RaftMirror.Linearizability;
using Xunit.Abstractions;

namespace RaftMirror.Chaos;

/// <summary>A slice of what `run` does for long: three processes, real files, real signals.</summary>
public sealed class ChaosTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public async Task ThreeProcesses_UnderFaults_AreLinearizable(int seed, bool leaseReads)
    {
        var report = await RunAsync(new ChaosOptions
        {
            Seed = (ulong)seed,
            LeaseReads = leaseReads,
            Duration = TimeSpan.FromSeconds(8),
            Round = TimeSpan.FromSeconds(4),
            Clients = 8,
            LongestFaultMs = 1500,
        });
        Assert.True(report.Failures.IsEmpty, report.Describe());
        Assert.True(report.Histories(Verdict.Linearizable) >= Round.Objects * 4, report.Describe());
        Assert.Equal(0, report.Histories(Verdict.Unknown));
        Assert.True(report.FaultCount > 0 && report.Answered > 100 && report.Twice > 0 && report.Repeats > 0, report.Describe());
    }

    private async Task<ChaosReport> RunAsync(ChaosOptions options)
    {
        var report = await new ChaosRun(options, output.WriteLine).RunAsync();
        output.WriteLine(report.Describe());
        return report;
    }
}
