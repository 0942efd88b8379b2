using System.Globalization;
using System.Text.Json;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Explorer;

/// <summary>explore [--scenario NAME|all] [--size small|large] [--set BOUND=N,…] [--seconds S] [--states N] [--bug NAME|all] [--only RULE]
/// [--replay PATH] [-o json]. Exit codes: 0 nothing found and nothing left to explore (--bug all: each rule was broken by some bug), 1 a violation,
/// 3 nothing found, but out of time or states.</summary>
internal static class ExploreCommand
{
    public const string Usage =
        "explore [--scenario NAME|all] [--size small|large] [--set BOUND=N,…] [--seconds S] [--states N] [--bug NAME|all] [--only RULE] [--replay PATH] [-o json|text]";

    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <summary>Runs what the arguments after the verb say.</summary>
    /// <exception cref="ArgumentException">They say nothing sensible.</exception>
    public static int Run(ReadOnlySpan<string> args)
    {
        var options = Parse(args);
        if (options.GetValueOrDefault("--bug") == "all") return HuntAll(options);
        SetBug(options.GetValueOrDefault("--bug"));
        var isSmall = options.GetValueOrDefault("--size", "large") == "small";
        var limit = TimeSpan.FromSeconds(double.Parse(options.GetValueOrDefault("--seconds", "600"), CultureInfo.InvariantCulture));
        var isJson = options.GetValueOrDefault("-o", "text") == "json";
        var states = int.Parse(options.GetValueOrDefault("--states", $"{BreadthFirstSearch.DefaultMaxStates}"), CultureInfo.InvariantCulture);
        var name = options.GetValueOrDefault("--scenario", "all");
        Rule? only = options.TryGetValue("--only", out var rule) ? Enum.Parse<Rule>(rule) : null;
        var names = name == "all" ? ScenarioCatalogue.All.Select(pair => pair.Small.Name) : [name];
        var reports = new List<ExplorerReport>();
        foreach (var each in names)
        {
            var scenario = ScenarioCatalogue.Find(each, isSmall) with { Only = only };
            SetBounds(scenario, options.GetValueOrDefault("--set", string.Empty));
            if (options.TryGetValue("--replay", out var path)) return Replay(scenario, path);
            var report = BreadthFirstSearch.Run(scenario, limit, isJson ? null : Console.Error.WriteLine, states);
            reports.Add(report);
            if (!isJson) Describe(scenario, report);
        }

        if (isJson) Console.WriteLine(JsonSerializer.Serialize(reports, Json));
        return reports.Exists(report => report.Violation is not null) ? 1 : reports.TrueForAll(report => report.IsExhausted) ? 0 : 3;
    }

    private static void Describe(Scenario scenario, ExplorerReport report)
    {
        Console.WriteLine(report.Describe());
        Console.WriteLine(
            $"             {scenario.Purpose}; bounds: {scenario.Nodes} nodes, term {scenario.MaxTerm}, {scenario.MaxInFlight} messages, "
            + $"{scenario.MaxWrites} writes per node, {scenario.Proposals} proposals, {scenario.Heartbeats} heartbeats, {scenario.Crashes} crashes, "
            + $"{scenario.Duplicates} duplicates, {scenario.Snapshots} snapshots, {scenario.Reads} reads, {scenario.Changes.Count} changes"
            + $", {scenario.Drops} drops, {scenario.StepDowns} step-downs, {scenario.Transfers} transfers"
            + (scenario.Lost.Count > 0 ? $"; never delivered: {string.Join(", ", scenario.Lost)}" : string.Empty)
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
        string[] known = ["--scenario", "--size", "--set", "--seconds", "--states", "--bug", "--only", "--replay", "-o"];
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < args.Length; i += 2)
        {
            if (!known.Contains(args[i]) || i + 1 == args.Length) throw new ArgumentException($"Unknown or incomplete option {args[i]}.");
            options[args[i]] = args[i + 1];
        }

        return options;
    }

    /// <summary>Other bounds than the scenario's, by the names of its properties.</summary>
    private static void SetBounds(Scenario scenario, string bounds)
    {
        foreach (var bound in bounds.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = bound.Split('=') is [var left, var right] ? (left, right) : throw new ArgumentException($"{bound} is not BOUND=N.");
            var property = typeof(Scenario).GetProperty(name);
            if (property is null || (property.PropertyType != typeof(int) && property.PropertyType != typeof(ulong)))
                throw new ArgumentException($"There is no bound {name}.");
            property.SetValue(scenario, Convert.ChangeType(value, property.PropertyType, CultureInfo.InvariantCulture));
        }
    }

#if MUTANTS
    private static int HuntAll(Dictionary<string, string> options)
    {
        var seconds = double.Parse(options.GetValueOrDefault("--seconds", "30"), CultureInfo.InvariantCulture);
        return BugHunt.Run(TimeSpan.FromSeconds(seconds), options.GetValueOrDefault("--size", "small") == "small", Console.WriteLine) ? 0 : 1;
    }
#else
    private static int HuntAll(Dictionary<string, string> options) =>
        throw new ArgumentException($"--bug all needs -c {nameof(Mutants)}; {options.Count} options.");
#endif

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
