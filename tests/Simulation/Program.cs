using System.Globalization;
using RaftMirror.Simulation.Explorer;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation;

/// <summary>list; run --seeds N [--from S] [--suite NAME|all] [--seconds T] [--workers W]; replay --seed N --suite NAME; and, in builds of the
/// configuration Mutants, mutants. Exit codes: 0 nothing found (mutants: all found), 1 a seed failed (a mutant was not found), 2 bad arguments.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        try
        {
            if (args is ["list"])
            {
                foreach (var suite in SimulationRunner.Suites) Console.WriteLine(suite.Name);
                return 0;
            }

            if (args is ["explore", ..]) return ExploreCommand.Run(args.AsSpan(1));
            var options = Parse(args);
            return args[0] switch
            {
                "run" => Run(options),
                "mutants" => RunMutants(options),
                _ => Replay(options),
            };
        }
        catch (Exception error) when (error is ArgumentException or FormatException or OverflowException)
        {
            Console.Error.WriteLine(error.Message);
            Console.Error.WriteLine(
                "list | run --seeds N [--from S] [--suite NAME|all] [--seconds T] [--workers W] | replay --seed N --suite NAME [--mutant NAME] "
                + "| mutants [--limit SEEDS] [--seconds S] [--only NAME|NUMBER] [--known yes] [--workers W] [-o json]");
            Console.Error.WriteLine(ExploreCommand.Usage);
            return 2;
        }
    }

    private static Dictionary<string, string> Parse(string[] args)
    {
        string[] known = args.FirstOrDefault() switch
        {
            "run" => ["--seeds", "--from", "--suite", "--seconds", "--workers"],
            "replay" => ["--seed", "--suite", "--mutant"],
            "mutants" => ["--limit", "--seconds", "--only", "--known", "--workers", "-o"],
            _ => throw new ArgumentException("The first argument is list, run, replay or mutants."),
        };
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 1; i < args.Length; i += 2)
        {
            if (!known.Contains(args[i]) || i + 1 == args.Length) throw new ArgumentException($"Unknown or incomplete option {args[i]}.");
            options[args[i]] = args[i + 1];
        }

        return options;
    }

    private static int Run(Dictionary<string, string> options)
    {
        var from = ulong.Parse(options.GetValueOrDefault("--from", "1"), CultureInfo.InvariantCulture);
        var seeds = int.Parse(options.GetValueOrDefault("--seeds", "1000"), CultureInfo.InvariantCulture);
        var seconds = double.Parse(options.GetValueOrDefault("--seconds", "86400"), CultureInfo.InvariantCulture);
        var workers = int.Parse(options.GetValueOrDefault("--workers", "1"), CultureInfo.InvariantCulture);
        var name = options.GetValueOrDefault("--suite", "all");
        var failed = 0;
        foreach (var suite in name == "all" ? SimulationRunner.Suites : [SimulationRunner.Find(name)])
        {
            var report = SimulationRunner.Run(suite, from, seeds, TimeSpan.FromSeconds(seconds), Math.Max(1, workers));
            Console.WriteLine(report.Describe());
            failed += report.Failures.Count;
        }

        return failed == 0 ? 0 : 1;
    }

#if MUTANTS
    private static int RunMutants(Dictionary<string, string> options) => Consensus.MutantCommand.Run(options);

    private static void Activate(string name) => RaftMirror.Consensus.Model.Mutants.Active = name;
#else
    private static int RunMutants(Dictionary<string, string> options) => throw new ArgumentException("Mutants are in builds of the configuration Mutants only: -c Mutants.");

    private static void Activate(string name) => throw new ArgumentException("Mutants are in builds of the configuration Mutants only: -c Mutants.");
#endif

    private static int Replay(Dictionary<string, string> options)
    {
        if (!options.TryGetValue("--seed", out var text)) throw new ArgumentException("--seed is missing.");
        var seed = ulong.Parse(text, CultureInfo.InvariantCulture);
        var suite = SimulationRunner.Find(options.GetValueOrDefault("--suite", "consensus"));
        if (options.TryGetValue("--mutant", out var mutant)) Activate(mutant);
        try
        {
            var result = suite.Run(seed, Console.WriteLine);
            Console.WriteLine($"{suite.Name} seed {seed}: {result.Summary}; trace hash {result.TraceHash:x16}");
            return 0;
        }
        catch (SimulationException error)
        {
            Console.WriteLine($"{suite.Name} seed {seed} failed: {error}");
            return 1;
        }
    }
}
