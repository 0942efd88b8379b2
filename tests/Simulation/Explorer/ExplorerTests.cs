using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Explorer;

/// <summary>The small bounds, exhaustively, and that the search finds what is there.</summary>
public sealed class ExplorerTests(ITestOutputHelper output)
{
    /// <summary>Far more than is needed: time does not decide, the bounds do.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private static readonly Dictionary<string, long> KnownStates = new()
    {
        ["elections"] = 12_423,
        ["prevotes"] = 33_228,
        ["figure8"] = 87_363,
        ["membership"] = 64_001,
        ["replacement"] = 5_212,
        ["rollback"] = 4_519,
        ["aba"] = 10_345,
        ["snapshots"] = 5_810,
        ["reads"] = 27_328,
        ["transfer"] = 56_604,
    };

    public static TheoryData<string> Names => [.. ScenarioCatalogue.All.Select(pair => pair.Small.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Scenario_SmallBounds_AreExploredWhollyAndNothingIsFound(string name)
    {
        var report = BreadthFirstSearch.Run(ScenarioCatalogue.Find(name, isSmall: true), Limit);
        output.WriteLine(report.Describe());
        Assert.Null(report.Violation);
        Assert.True(report.IsExhausted);

        // Not the exact number: a harmless change of the core changes it, and who has to correct it each time does not look any more. But a
        // search that shrinks by half has stopped to see something.
        Assert.InRange(report.Distinct, KnownStates[name] / 2, long.MaxValue);
        if (name == "snapshots") Assert.True(report.NewStates.ContainsKey(nameof(ActionKind.Install)));
        if (name == "reads") Assert.True(report.NewStates.ContainsKey(nameof(ActionKind.Read)));
    }

    [Fact]
    public void Fingerprint_OtherNamesOfNodes_IsTheSame()
    {
        var scenario = ScenarioCatalogue.Find("elections", isSmall: true);
        Assert.Equal(Fingerprint(scenario, "T0"), Fingerprint(scenario, "T2"));
        Assert.Equal(Fingerprint(scenario, "T0 W0 D0"), Fingerprint(scenario, "T1 W1 D0"));
        Assert.NotEqual(Fingerprint(scenario, "T0"), Fingerprint(scenario, string.Empty));
        Assert.NotEqual(Fingerprint(scenario, "T0"), Fingerprint(scenario, "T0 W0"));
    }

    [Fact]
    public void Fingerprint_OtherNamesWhereTheCorePrefersSome_Differs()
    {
        var scenario = ScenarioCatalogue.Find("rollback", isSmall: true);
        Assert.NotEqual(Fingerprint(scenario, "T1"), Fingerprint(scenario, "T2"));
    }

    [Fact]
    public void Search_Twice_CountsTheSame()
    {
        var scenario = ScenarioCatalogue.Find("snapshots", isSmall: true);
        var one = BreadthFirstSearch.Run(scenario, Limit);
        var two = BreadthFirstSearch.Run(scenario, Limit);
        Assert.Equal((one.Distinct, one.Transitions, one.Depth), (two.Distinct, two.Transitions, two.Depth));
    }

    [Fact]
    public void Rules_NobodyBreaks_AreBrokenByHand()
    {
        var (idle, campaigning) = (At("elections", string.Empty), At("elections", "T0"));
        Assert.True(World.GoesForward(idle, campaigning));
        Assert.False(World.GoesForward(campaigning, idle));
        var (leading, appended) = (At("aba", string.Empty), At("aba", "P0"));
        Assert.True(World.AppendsOnly(leading, appended));
        Assert.False(World.AppendsOnly(appended, leading));
        Assert.True(World.IsOrdered(1, 2, 3, 4, 5));
        Assert.False(World.IsOrdered(2, 1, 3, 4, 5));
        Assert.False(World.IsOrdered(1, 3, 2, 4, 5));
        Assert.False(World.IsOrdered(1, 2, 4, 3, 5));
        Assert.False(World.IsOrdered(1, 2, 3, 5, 4));
        Assert.False(new ExploredDisk(new HardState(1, default, 1), default, [], null).IsHintDurable);
    }

    [Fact]
    public void Rules_All_AreBrokenBySomething() =>
        Assert.Equal(Enum.GetValues<Rule>().Order(), ExpectedViolations.ByHand.Concat(ExpectedViolations.ByBug.Keys).Order());

    /// <summary>A snapshot that was installed as far as the log reached already, and a restart: the configuration in force is the snapshot's then,
    /// and said to stand where the snapshot ends. The search found that the check did not know it.</summary>
    [Fact]
    public void Snapshots_InstalledWhereTheLogEndsAndRestarted_ConfigurationIsTheSnapshots()
    {
        var world = World.Replay(
            ScenarioCatalogue.Find("snapshots", isSmall: true) with { Proposals = 1, Snapshots = 3, Duplicates = 1 },
            ExplorerAction.ParsePath("T0 D0 D1 L0 D0 D1 U0 L1 D1 D1 S0 I2 D1 D1 D0 I2 C2"));
        Assert.Equal((4ul, "(1 2 3)"), (world.CoreOf(2).ConfigurationIndex, world.CoreOf(2).Configuration.ToString()));
    }

#if MUTANTS
    public static TheoryData<string> BrokenRules => [.. ExpectedViolations.ByBug.Keys.Select(rule => rule.ToString())];

    [Theory]
    [MemberData(nameof(BrokenRules))]
    public void Rule_BugPutBack_IsBroken(string name)
    {
        var rule = Enum.Parse<Rule>(name);
        var report = BugHunt.Search(ExpectedViolations.ScenarioFor(rule), ExpectedViolations.ByBug[rule].Bug, Limit);
        output.WriteLine(report.Describe());
        Assert.Equal(rule, report.Broken);
    }

    [Fact]
    public void Counterexample_Replayed_BreaksTheSameRule()
    {
        var scenario = ScenarioCatalogue.Find("aba", isSmall: true);
        var report = BugHunt.Search(scenario, nameof(Mutants.StaleWriteCounts), Limit);
        Mutants.Active = nameof(Mutants.StaleWriteCounts);
        try
        {
            var again = Assert.Throws<ViolationException>(() => World.Replay(scenario, ExplorerAction.ParsePath(report.Path!)));
            Assert.Equal((report.Broken, report.Violation), (again.Rule, again.Message));
        }
        finally
        {
            Mutants.Active = null;
        }
    }
#endif

    private static RaftCore At(string scenario, string path) =>
        World.Replay(ScenarioCatalogue.Find(scenario, isSmall: true), ExplorerAction.ParsePath(path)).CoreOf(0);

    private static UInt128 Fingerprint(Scenario scenario, string path) =>
        World.Replay(scenario, ExplorerAction.ParsePath(path)).Fingerprint();
}
