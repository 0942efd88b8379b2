using RaftMirror.Consensus.Core;
using Xunit.Abstractions;

namespace RaftMirror.Simulation.Explorer;

/// <summary>The small bounds, exhaustively, and that the search finds what is there.</summary>
public sealed class ExplorerTests(ITestOutputHelper output)
{
    /// <summary>Far more than is needed: time does not decide, the bounds do.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static TheoryData<string> Names => [.. ScenarioCatalogue.All.Select(pair => pair.Small.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Scenario_SmallBounds_AreExploredWhollyAndNothingIsFound(string name)
    {
        var report = BreadthFirstSearch.Run(ScenarioCatalogue.Find(name, isSmall: true), Limit);
        output.WriteLine(report.Describe());
        Assert.Null(report.Violation);
        Assert.True(report.IsComplete);
        Assert.True(report.Distinct > 100);
        if (name == "snapshots") Assert.True(report.NewStates.ContainsKey(nameof(ActionKind.Install)));
        if (name == "reads") Assert.True(report.NewStates.ContainsKey(nameof(ActionKind.Read)));
    }

    [Fact]
    public void Fingerprint_OtherNamesOfNodes_IsTheSame()
    {
        var scenario = ScenarioCatalogue.Find("elections", isSmall: true);
        Assert.Equal(Fingerprint(scenario, "T0"), Fingerprint(scenario, "T2"));
        Assert.Equal(Fingerprint(scenario, "T0 D0 D0"), Fingerprint(scenario, "T1 D0 D0"));
        Assert.NotEqual(Fingerprint(scenario, "T0"), Fingerprint(scenario, string.Empty));
        Assert.NotEqual(Fingerprint(scenario, "T0"), Fingerprint(scenario, "T0 D0"));
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

#if MUTANTS
    [Theory]
    [InlineData("figure8", nameof(Mutants.CommitOlderTerm), false)]
    [InlineData("figure8", nameof(Mutants.CommitOlderTerm), true)]
    [InlineData("aba", nameof(Mutants.StaleWriteCounts), false)]
    [InlineData("membership", nameof(Mutants.JointSkipped), false)]
    [InlineData("membership", nameof(Mutants.JointSkipped), true)]
    [InlineData("rollback", nameof(Mutants.ChangeBeforeOwnCommit), false)]
    [InlineData("rollback", nameof(Mutants.ConfigurationNotRolledBack), false)]
    [InlineData("elections", nameof(Mutants.AckBeforeFlush), false)]
    [InlineData("elections", nameof(Mutants.VoteNotDurable), false)]
    [InlineData("elections", nameof(Mutants.VoteNotDurable), true)]
    [InlineData("reads", nameof(Mutants.ReadWithoutRound), false)]
    [InlineData("replacement", nameof(Mutants.JointUnion), false)]
    [InlineData("snapshots", nameof(Mutants.MembershipFromReplacedLog), false)]
    [InlineData("elections", nameof(Mutants.EntriesBeforeTerm), false)]
    [InlineData("aba", nameof(Mutants.LeaderCountsUnflushed), false)]
    [InlineData("aba", nameof(Mutants.QuorumOfResponders), false)]
    [InlineData("figure8", nameof(Mutants.OldTermAccepted), false)]
    public void Bug_PutBack_IsFound(string scenario, string bug, bool onlyConsequences)
    {
        Mutants.Active = bug;
        try
        {
            var report = BreadthFirstSearch.Run(ScenarioCatalogue.Find(scenario, isSmall: true) with { ConsequencesOnly = onlyConsequences }, Limit);
            output.WriteLine($"{bug}: {report.Describe()}");
            Assert.NotNull(report.Violation);
        }
        finally
        {
            Mutants.Active = null;
        }
    }
#endif

    private static UInt128 Fingerprint(Scenario scenario, string path) =>
        World.Replay(scenario, ExplorerAction.ParsePath(path)).Fingerprint();
}
