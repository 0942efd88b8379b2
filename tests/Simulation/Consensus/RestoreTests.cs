using RaftMirror.Simulation.Harness;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Consensus;

/// <summary>Directories that are put back (design §14.24): the slice that every test run does.</summary>
public sealed class RestoreTests(ITestOutputHelper output)
{
    [Fact]
    public void Seeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new RestoreSuite(), from: 1, count: 600, TimeSpan.FromSeconds(12), workers: 2, minimum: 150);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Totals.GetValueOrDefault("directories put back") > 30, report.Describe());
        Assert.True(report.Totals.GetValueOrDefault("seeded anew") > 20, report.Describe());
    }

    /// <summary>Majorities are put back while nobody who knows is up: the disks tell.</summary>
    [Fact]
    public void MajoritySeeds_TimeBoxedSlice_FindNothing()
    {
        var report = SimulationRunner.Run(new BeatSuite(), from: 1, count: 600, TimeSpan.FromSeconds(12), workers: 2, minimum: 100);
        output.WriteLine(report.Describe());
        Console.WriteLine(report.Describe());
        Assert.Empty(report.Failures);
        Assert.True(report.Totals.GetValueOrDefault("majorities put back") > 20, report.Describe());
        Assert.True(report.Totals.GetValueOrDefault("found old by disks") > 40, report.Describe());
    }

    [Fact]
    public void TwoHistories_WhoKnowsComesBack_AllStopUntilOneIsGivenUp() => HistoryConflictStory.Run();

    [Fact]
    public void TwoPutBack_WhoKnowsIsSlow_IsWaitedFor()
    {
        for (ulong seed = 1; seed <= 200; seed++) SlowWitnessStory.Run(seed);
    }

    [Fact]
    public void ColdStart_DiskOfOneHangs_TheOthersLeadSoon()
    {
        for (ulong seed = 1; seed <= 20; seed++) SlowWitnessStory.RunHungDisk(seed);
    }

    [Fact]
    public void ColdStart_OneIsConnectedAndSilent_TheOthersLeadAtLast()
    {
        for (ulong seed = 1; seed <= 20; seed++) SlowWitnessStory.RunSilent(seed);
    }
}
