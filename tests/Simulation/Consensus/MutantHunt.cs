#if MUTANTS
using System.Diagnostics;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Simulation.ControlPlane;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>One real bug that can be put back.</summary>
/// <param name="Number">In docs/testing.md: 1 to 36 are other engines' bugs, then ours.</param>
/// <param name="Name">What --only takes.</param>
/// <param name="Bug">One sentence.</param>
/// <param name="Run">Runs one seed with it; throws if the simulator sees it.</param>
internal sealed record Mutant(int Number, string Name, string Bug, Action<ulong> Run);

/// <summary>What became of a mutant.</summary>
/// <param name="Mutant">Which.</param>
/// <param name="Seed">The first seed that found it; null if none did.</param>
/// <param name="Tried">Seeds run.</param>
/// <param name="FoundBy">The broken invariant, in the simulator's words.</param>
/// <param name="Seconds">Of one core.</param>
internal sealed record MutantResult(Mutant Mutant, ulong? Seed, int Tried, string FoundBy, double Seconds);

/// <summary>Runs the simulator against each mutant until it sees it.</summary>
internal static class MutantHunt
{
    /// <summary>36 of other engines, and ours: 37 and on are those of design §14.24.</summary>
    public const int CatalogueSize = 40;

    private const int PutBack = 37;
    private const int TwoHistories = 38;
    private const int MajorityBack = 39;
    private const int SlowWitness = 40;

    /// <summary>All, by number. Most are in the engine, two in the control plane, whose state holds the table of requests.</summary>
    public static IReadOnlyList<Mutant> All { get; } =
    [
        .. Mutants.All.Select(static known => new Mutant(known.Number, known.Name, known.Bug, seed => InEngine(known.Name, () => RunSeed(known.Number, seed))))
            .Append(InControlPlane(25, SeededBug.ForgetsRequestsAfterRestart, "a snapshot lacks the results of requests"))
            .Append(InControlPlane(26, SeededBug.DecidesByHashOrder, "a decision depends on the order of a collection, which a restart changes"))
            .OrderBy(static mutant => mutant.Number),
    ];

    /// <summary>Looks for one mutant.</summary>
    /// <param name="mutant">Which.</param>
    /// <param name="first">Seeds to be tried first, then 1, 2, 3, …</param>
    /// <param name="limit">Seeds at most.</param>
    /// <param name="seconds">No new seed after this.</param>
    public static MutantResult Hunt(Mutant mutant, IEnumerable<ulong> first, int limit, double seconds)
    {
        var started = Stopwatch.GetTimestamp();
        var tried = 0;
        foreach (var seed in first.Concat(Counting()))
        {
            if (tried >= limit || Stopwatch.GetElapsedTime(started).TotalSeconds > seconds) break;
            tried++;
            try
            {
                mutant.Run(seed);
            }
#pragma warning disable CA1031 // Whatever the bug makes the engine throw shows it.
            catch (Exception found)
#pragma warning restore CA1031
            {
                var text = found is SimulationException ? found.Message : found.GetType().Name + ": " + found.Message;
                return new MutantResult(mutant, seed, tried, text, Stopwatch.GetElapsedTime(started).TotalSeconds);
            }
        }

        return new MutantResult(mutant, null, tried, "not found", Stopwatch.GetElapsedTime(started).TotalSeconds);
    }

    /// <summary>Catalogue numbers whose mutants were all found.</summary>
    public static int Score(IEnumerable<MutantResult> results) =>
        results.GroupBy(static result => result.Mutant.Number).Count(static group => group.All(static result => result.Seed is not null));

    private static IEnumerable<ulong> Counting()
    {
        for (ulong seed = 1; ; seed++) yield return seed;
    }

    /// <summary>Runs one seed of the suite in which a mutant of this number can be seen.</summary>
    public static void RunSeed(int number, ulong seed)
    {
        if (number == TwoHistories) HistoryConflictStory.Run();
        else if (number == SlowWitness) SlowWitnessStory.Run(seed);
        else if (number == MajorityBack) new BeatSuite().Run(seed, trace: null);
        else if (number == PutBack) new RestoreSuite().Run(seed, trace: null);
        else new ConsensusSuite().Run(seed, trace: null);
    }

    private static void InEngine(string name, Action run)
    {
        try
        {
            Mutants.Active = name;
            run();
        }
        finally
        {
            Mutants.Active = null;
        }
    }

    private static Mutant InControlPlane(int number, SeededBug bug, string text) =>
        new(number, bug.ToString(), text, seed => ControlPlaneSuite.Run(seed, bug, trace: null));
}
#endif
