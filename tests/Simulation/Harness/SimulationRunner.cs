using System.Diagnostics;
using System.Globalization;

namespace RaftMirror.Simulation.Harness;

/// <summary>Runs seeds of suites, on as many threads as asked for, until a number or a time is reached.</summary>
public static class SimulationRunner
{
    /// <summary>All suites of this assembly, by name.</summary>
    public static IReadOnlyList<ISimulationSuite> Suites { get; } =
    [
        .. typeof(ISimulationSuite).Assembly.GetTypes()
            .Where(type => typeof(ISimulationSuite).IsAssignableFrom(type) && !type.IsAbstract && type.GetConstructor([]) is not null)
            .Select(type => (ISimulationSuite)Activator.CreateInstance(type)!)
            .OrderBy(suite => suite.Name, StringComparer.Ordinal),
    ];

    /// <summary>A suite by name.</summary>
    public static ISimulationSuite Find(string name) =>
        Suites.FirstOrDefault(suite => suite.Name == name)
        ?? throw new ArgumentException($"There is no suite \"{name}\"; there are: {string.Join(", ", Suites.Select(suite => suite.Name))}.");

    /// <summary>The command that runs one seed again, with its trace.</summary>
    public static string ReplayCommand(string suite, ulong seed) =>
        $"dotnet run --project tests/Simulation -c Release -- replay --suite {suite} --seed {seed}";

    /// <summary>Runs seeds from <paramref name="from"/> on.</summary>
    /// <param name="suite">What to run.</param>
    /// <param name="from">The first seed.</param>
    /// <param name="count">How many at most.</param>
    /// <param name="limit">No new seed is begun after this, once there are enough.</param>
    /// <param name="workers">Threads, 1 and up.</param>
    /// <param name="minimum">So many seeds are run even if that takes longer.</param>
    /// <returns>How many seeds were run and the events in them; failures by seed.</returns>
    public static RunReport Run(ISimulationSuite suite, ulong from, int count, TimeSpan limit, int workers, int minimum = 0)
    {
        ArgumentNullException.ThrowIfNull(suite);
        var started = Stopwatch.GetTimestamp();
        var next = -1;
        var done = 0;
        long events = 0, virtualMs = 0;
        var failures = new List<(ulong, string)>();
        var totals = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var threads = Enumerable.Range(0, workers).Select(_ => new Thread(() =>
        {
            while (Stopwatch.GetElapsedTime(started) < limit || Volatile.Read(ref next) + 1 < minimum)
            {
                var i = Interlocked.Increment(ref next);
                if (i >= count) return;
                var seed = from + (ulong)i;
                try
                {
                    var result = suite.Run(seed, trace: null);
                    Interlocked.Add(ref events, result.Events);
                    Interlocked.Add(ref virtualMs, result.VirtualMs);
                    Interlocked.Increment(ref done);
                    lock (totals) AddTo(totals, result.Summary);
                }
#pragma warning disable CA1031 // Whatever a run throws is a finding of that seed.
                catch (Exception error)
#pragma warning restore CA1031
                {
                    lock (failures) failures.Add((seed, error is SimulationException ? error.Message : error.ToString()));
                }
            }
        })).ToArray();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        failures.Sort((a, b) => a.Item1.CompareTo(b.Item1));
        return new RunReport(suite.Name, done + failures.Count, events, virtualMs, Stopwatch.GetElapsedTime(started), failures, totals);
    }

    /// <summary>"3 crashes, 2 snapshots": a summary is such a list.</summary>
    private static void AddTo(SortedDictionary<string, long> totals, string summary)
    {
        foreach (var part in summary.Split(", "))
        {
            var space = part.IndexOf(' ', StringComparison.Ordinal);
            if (space <= 0 || !long.TryParse(part.AsSpan(0, space), CultureInfo.InvariantCulture, out var number)) continue;
            totals[part[(space + 1)..]] = totals.GetValueOrDefault(part[(space + 1)..]) + number;
        }
    }
}

/// <summary>What a series of runs did.</summary>
public sealed record RunReport(
    string Suite, int Seeds, long Events, long VirtualMs, TimeSpan Elapsed, IReadOnlyList<(ulong Seed, string Message)> Failures,
    IReadOnlyDictionary<string, long> Totals)
{
    /// <summary>One line, one of what happened in the runs that ended well, then two for each failure.</summary>
    public string Describe() =>
        $"{Suite}: {Seeds} seeds, {Events} events, {VirtualMs / 1000} simulated seconds in {Elapsed.TotalSeconds:0.0} s, {Failures.Count} failed"
        + $"\n  in all {string.Join(", ", Totals.Select(static total => string.Create(CultureInfo.InvariantCulture, $"{total.Value} {total.Key}")))}"
        + string.Concat(Failures.Take(10).Select(
            failure => $"\n  seed {failure.Seed}: {failure.Message}\n    {SimulationRunner.ReplayCommand(Suite, failure.Seed)}"));
}
