#if MUTANTS
using System.Globalization;
using System.Text.Json;

namespace RaftMirror.Simulation.Consensus;

/// <summary>mutants [--limit SEEDS] [--seconds S] [--only NAME|NUMBER] [--known yes] [--workers W] [-o json].</summary>
internal static class MutantCommand
{
    /// <returns>0 if every mutant that was looked for was found, else 1.</returns>
    public static int Run(IReadOnlyDictionary<string, string> options)
    {
        var limit = int.Parse(options.GetValueOrDefault("--limit", "4000"), CultureInfo.InvariantCulture);
        var seconds = double.Parse(options.GetValueOrDefault("--seconds", "600"), CultureInfo.InvariantCulture);
        var workers = Math.Max(1, int.Parse(options.GetValueOrDefault("--workers", "2"), CultureInfo.InvariantCulture));
        var isJson = options.GetValueOrDefault("-o") == "json";
        var isKnown = options.ContainsKey("--known");
        var only = options.GetValueOrDefault("--only");
        var mutants = MutantHunt.All.Where(mutant =>
            only is null || mutant.Name == only || mutant.Number.ToString(CultureInfo.InvariantCulture) == only).ToArray();
        if (mutants.Length == 0) throw new ArgumentException($"There is no mutant {only}; there are: {string.Join(", ", MutantHunt.All.Select(m => m.Name))}.");

        var results = new MutantResult[mutants.Length];
        var next = -1;
        var threads = Enumerable.Range(0, workers).Select(_ => new Thread(() =>
        {
            for (var i = Interlocked.Increment(ref next); i < mutants.Length; i = Interlocked.Increment(ref next))
            {
                var first = isKnown && MutantSeeds.Known.TryGetValue(mutants[i].Name, out var seed) ? [seed] : Array.Empty<ulong>();
                var result = MutantHunt.Hunt(mutants[i], first, limit, seconds);
                results[i] = result;
                lock (results) Print(result, isJson);
            }
        })).ToArray();
        if (!isJson) Console.WriteLine($"{"#",3} {"mutant",-28} {"seeds",6} {"seed",6} {"s",7}  found by");
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        return Summarize(results, isJson, isWhole: only is null);
    }

    private static void Print(MutantResult result, bool isJson)
    {
        var mutant = result.Mutant;
        if (isJson)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                number = mutant.Number, name = mutant.Name, bug = mutant.Bug, found = result.Seed is not null, seed = result.Seed,
                seeds = result.Tried, seconds = Math.Round(result.Seconds, 2), foundBy = result.FoundBy,
            }));
            return;
        }

        var by = result.FoundBy.ReplaceLineEndings(" ");
        if (by.Length > 110) by = by[..110] + "…";
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{mutant.Number,3} {mutant.Name,-28} {result.Tried,6} {result.Seed?.ToString(CultureInfo.InvariantCulture) ?? "-",6} {result.Seconds,7:0.0}  {by}"));
    }

    private static int Summarize(MutantResult[] results, bool isJson, bool isWhole)
    {
        var found = results.Where(static result => result.Seed is not null).Select(static result => result.Tried).Order().ToArray();
        var median = found.Length == 0 ? 0 : found[found.Length / 2];
        var score = MutantHunt.Score(results);
        if (isJson)
        {
            Console.WriteLine(JsonSerializer.Serialize(new
            {
                score, of = MutantHunt.CatalogueSize, mutants = results.Length, found = found.Length, medianSeeds = median,
                seconds = Math.Round(results.Sum(static result => result.Seconds), 1),
            }));
        }
        else
        {
            foreach (var lost in results.Where(static result => result.Seed is null)) Console.WriteLine($"not found: {lost.Mutant.Number} {lost.Mutant.Name}: {lost.Mutant.Bug}");
            Console.WriteLine($"{found.Length} of {results.Length} mutants, median {median} seeds, {results.Sum(static result => result.Seconds):0} s");
            if (isWhole) Console.WriteLine($"score {score}/{MutantHunt.CatalogueSize}");
        }

        return found.Length == results.Length && (!isWhole || score == MutantHunt.CatalogueSize) ? 0 : 1;
    }
}
#endif
