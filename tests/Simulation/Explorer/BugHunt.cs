#if MUTANTS
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>Each bug that can be put back, in each scenario: which of them the search finds, by which rule, and in how many steps.</summary>
internal static class BugHunt
{
    /// <summary>For each bug prints the first scenario that finds it after its prelude, and by which rule; for each rule a bug that breaks it.</summary>
    /// <param name="limit">For one bug in one scenario.</param>
    /// <param name="isSmall">The bounds.</param>
    /// <param name="print">Receives lines.</param>
    /// <returns>False if there is a rule that no bug breaks and no test breaks by hand.</returns>
    public static bool Run(TimeSpan limit, bool isSmall, Action<string> print)
    {
        var found = 0;
        foreach (var (bug, number, text) in Mutants.All)
        {
            var isExhausted = true;
            ExplorerReport? report = null;
            foreach (var (small, large) in ScenarioCatalogue.All)
            {
                report = Search(isSmall ? small : large, bug, limit);
                if (report.Path is not null) break;
                isExhausted &= report.IsExhausted || report.Broken is not null;
            }

            if (report?.Path is null)
            {
                print($"{number,2} {bug,-26} not found{(isExhausted ? string.Empty : " in time")}: {text}");
                continue;
            }

            found++;
            print(FormattableString.Invariant(
                $"{number,2} {bug,-26} {report.Scenario,-12} {report.Broken,-18} {report.Path.Split(' ').Length,3} steps {report.Distinct,8} states  {report.Violation}"));
        }

        print($"{found} of {Mutants.All.Count} bugs found");
        var isEachBroken = true;
        foreach (var rule in Enum.GetValues<Rule>())
        {
            if (ExpectedViolations.ByHand.Contains(rule))
            {
                print($"{rule,-20} broken by hand in a test");
                continue;
            }

            var bug = ExpectedViolations.ByBug[rule].Bug;
            var report = Search(ExpectedViolations.ScenarioFor(rule), bug, limit);
            isEachBroken &= report.Broken == rule;
            print($"{rule,-20} {bug,-26} {report.Scenario,-12} {report.Path?.Split(' ').Length,3} steps {report.Distinct,8} states  {report.Violation ?? "BROKEN BY NOTHING"}");
        }

        return isEachBroken;
    }

    /// <summary>One search with the bug.</summary>
    public static ExplorerReport Search(Scenario scenario, string bug, TimeSpan limit)
    {
        Mutants.Active = bug;
        try
        {
            return BreadthFirstSearch.Run(scenario, limit);
        }
        finally
        {
            Mutants.Active = null;
        }
    }
}
#endif
