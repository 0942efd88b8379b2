using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>For each rule something that breaks it: a check that nothing can fail proves nothing.</summary>
internal static class ExpectedViolations
{
    /// <summary>Rules that no bug of the catalogue breaks within the small bounds.</summary>
    public static readonly IReadOnlySet<Rule> ByHand = new HashSet<Rule>
    {
        Rule.LeaderAppendsOnly, Rule.Monotonic, Rule.Ordered, Rule.HintIsDurable,
    };

    /// <summary>The scenario, within small bounds, and the bug that is put back; no other rule is looked for.</summary>
    public static readonly IReadOnlyDictionary<Rule, (string Scenario, string Bug)> ByBug = new Dictionary<Rule, (string, string)>
    {
        [Rule.ElectionSafety] = ("elections", nameof(Mutants.VoteNotDurable)),
        [Rule.LogMatching] = ("elections", nameof(Mutants.VoteNotDurable)),
        [Rule.LeaderCompleteness] = ("figure8", nameof(Mutants.CommitOlderTerm)),
        [Rule.StateMachineSafety] = ("figure8", nameof(Mutants.CommitOlderTerm)),
        [Rule.CommittedByLeader] = ("elections", nameof(Mutants.AppliesBeforeCommit)),
        [Rule.QuorumOnDisks] = ("replacement", nameof(Mutants.JointUnion)),
        [Rule.OneVote] = ("elections", nameof(Mutants.VoteNotDurable)),
        [Rule.TermIsDurable] = ("elections", nameof(Mutants.EntriesBeforeTerm)),
        [Rule.VoteIsDurable] = ("elections", nameof(Mutants.VoteNotDurable)),
        [Rule.AckIsDurable] = ("elections", nameof(Mutants.AckBeforeFlush)),
        [Rule.DurableIsOnDisk] = ("aba", nameof(Mutants.StaleWriteCounts)),
        [Rule.OneChange] = ("rollback", nameof(Mutants.ChangeBeforeOwnCommit)),
        [Rule.JointSteps] = ("membership", nameof(Mutants.JointSkipped)),
        [Rule.ConfigurationOfLog] = ("rollback", nameof(Mutants.ConfigurationNotRolledBack)),
        [Rule.ReadsAreCurrent] = ("reads", nameof(Mutants.ReadWithoutRound)),
        [Rule.ReadsAreAnswered] = ("reads", nameof(Mutants.ReadsDropped)),
        [Rule.CoreInvariant] = ("figure8", nameof(Mutants.OldTermAccepted)),
    };

    /// <summary>Where the rule is to be broken.</summary>
    public static Scenario ScenarioFor(Rule rule)
    {
        var scenario = ScenarioCatalogue.Find(ByBug[rule].Scenario, isSmall: true) with { Only = rule };

        // Two leaders of a term differ only in what was proposed to them.
        return rule == Rule.LogMatching ? scenario with { Proposals = 2 } : scenario;
    }
}
