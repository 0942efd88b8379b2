using RaftMirror.Chaos.Driver;
using RaftMirror.Chaos.Node;
using RaftMirror.Linearizability;
using Xunit.Abstractions;

namespace RaftMirror.Chaos;

/// <summary>The harness can fail: nodes with a bug are found out, without any fault.</summary>
public sealed class HarnessTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(Bug.StaleReads)]
    [InlineData(Bug.EarlyAcknowledgement)]
    [InlineData(Bug.NoSessions)]
    public async Task NodesWithABug_AreFoundNotLinearizable(Bug bug)
    {
        var options = new ChaosOptions
        {
            Seed = 3,
            Bug = bug,
            Duration = TimeSpan.FromSeconds(30),
            Round = TimeSpan.FromSeconds(1.5),
            Clients = 8,
            ThinkMs = 10,
            IsCalm = true,
            StopAtFailure = true,
            KeepsHistories = false,
        };
        var report = await new ChaosRun(options, output.WriteLine).RunAsync();
        output.WriteLine(report.Describe());
        Assert.True(report.Histories(Verdict.NotLinearizable) > 0, report.Describe());
    }
}
