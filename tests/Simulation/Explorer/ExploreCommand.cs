using System.Globalization;
using System.Text.Json;
using RaftMirror.Consensus.Core;

namespace RaftMirror.Simulation.Explorer;

/// <summary>explore [--scenario NAME|all] [--size small|large] [--seconds S] [--bug NAME] [--consequences yes|no] [--replay PATH] [-o json].
/// Exit codes: 0 nothing found, 1 a violation.</summary>
internal static class ExploreCommand
{
    public const string Usage =
        "explore [--scenario NAME|all] [--size small|large] [--seconds S] [--bug NAME] [--consequences yes|no] [--replay PATH] [-o json|text]";

    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <summary>Runs what the arguments after the verb say.</summary>
    /// <exception cref="ArgumentException">They say nothing sensible.</exception>
    public static int Run(ReadOnlySpan<string> args)
    {
        var options = Parse(args);
        SetBug(options.GetValueOrDefault("--bug"));
        var isSmall = options.GetValueOrDefault("--size", "large") == "small";
        var limit = TimeSpan.FromSeconds(double.Parse(options.GetValueOrDefault("--seconds", "600"), CultureInfo.InvariantCulture));
        var isJson = options.GetValueOrDefault("-o", "text") == "json";
        var name = options.GetValueOrDefault("--scenario", "all");
        var onlyConsequences = options.GetValueOrDefault("--consequences", "no") == "yes";
        var names = name == "all" ? ScenarioCatalogue.All.Select(pair => pair.Small.Name) : [name];
        var reports = new List<ExplorerReport>();
        foreach (var each in names)
        {
            var scenario = ScenarioCatalogue.Find(each, isSmall) with { ConsequencesOnly = onlyConsequences };
            if (options.TryGetValue("--replay", out var path)) return Replay(scenario, path);
            var report = BreadthFirstSearch.Run(scenario, limit, isJson ? null : Console.Error.WriteLine);
            reports.Add(report);
            if (!isJson) Describe(scenario, report);
        }

        if (isJson) Console.WriteLine(JsonSerializer.Serialize(reports, Json));
        return reports.Exists(report => report.Violation is not null) ? 1 : 0;
    }

    private static void Describe(Scenario scenario, ExplorerReport report)
    {
        Console.WriteLine(report.Describe());
        Console.WriteLine(
            $"             {scenario.Purpose}; bounds: {scenario.Nodes} nodes, term {scenario.MaxTerm}, {scenario.MaxInFlight} messages, "
            + $"{scenario.MaxWrites} writes per node, {scenario.Proposals} proposals, {scenario.Heartbeats} heartbeats, {scenario.Crashes} crashes, "
            + $"{scenario.Duplicates} duplicates, {scenario.Snapshots} snapshots, {scenario.Reads} reads, {scenario.Changes.Count} changes"
            + (scenario.MaxDepth < int.MaxValue ? $", {scenario.MaxDepth} steps" : string.Empty)
            + (scenario.IsSymmetric ? "; names of nodes do not count" : string.Empty));
        Console.WriteLine($"             new states by {string.Join(", ", report.NewStates.Select(kind => $"{kind.Key} {kind.Value}"))}");
        if (report.Path is null) return;
        Replay(scenario, report.Path);
        Console.WriteLine($"As a test:  World.Replay(ScenarioCatalogue.Find(\"{scenario.Name}\", isSmall: …), ExplorerAction.ParsePath(\"{report.Path}\"));");
    }

    private static int Replay(Scenario scenario, string path)
    {
        try
        {
            World.Replay(scenario, ExplorerAction.ParsePath(path), Console.WriteLine);
            return 0;
        }
        catch (ViolationException error)
        {
            Console.WriteLine($"       broken: {error.Message}");
            return 1;
        }
    }

    private static Dictionary<string, string> Parse(ReadOnlySpan<string> args)
    {
        string[] known = ["--scenario", "--size", "--seconds", "--bug", "--consequences", "--replay", "-o"];
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < args.Length; i += 2)
        {
            if (!known.Contains(args[i]) || i + 1 == args.Length) throw new ArgumentException($"Unknown or incomplete option {args[i]}.");
            options[args[i]] = args[i + 1];
        }

        return options;
    }

    private static void SetBug(string? name)
    {
        if (name is null) return;
#if MUTANTS
        if (!Mutants.All.Any(mutant => mutant.Name == name)) throw new ArgumentException($"There is no bug {name}.");
        Mutants.Active = name;
#else
        throw new ArgumentException($"--bug {name} needs -c {nameof(Mutants)}.");
#endif
    }
}
