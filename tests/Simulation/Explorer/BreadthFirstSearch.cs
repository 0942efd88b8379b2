using System.Diagnostics;

namespace RaftMirror.Simulation.Explorer;

/// <summary>What a search found.</summary>
/// <param name="Scenario">Its name.</param>
/// <param name="Distinct">States that differ.</param>
/// <param name="Transitions">Steps taken, to known states too.</param>
/// <param name="Depth">Steps of the longest path begun.</param>
/// <param name="Seconds">Time.</param>
/// <param name="IsExhausted">True if no state was left to expand: neither time nor memory nor a number of steps ended the search.</param>
/// <param name="Broken">The rule that is broken, if one is.</param>
/// <param name="Violation">What is broken, if something is.</param>
/// <param name="Path">The shortest way there, for <see cref="World.Replay"/>.</param>
internal sealed record ExplorerReport(
    string Scenario, long Distinct, long Transitions, int Depth, double Seconds, bool IsExhausted, Rule? Broken, string? Violation, string? Path)
{
    /// <summary>How often each kind of step led to a new state: what was never done was not explored.</summary>
    public IReadOnlyDictionary<string, long> NewStates { get; init; } = new Dictionary<string, long>();

    /// <summary>States of single nodes; what is kept of each waiting state of the cluster refers to them.</summary>
    public int NodeStates { get; init; }

    /// <summary>Of the processor; more than <see cref="Seconds"/> where the collector works beside.</summary>
    public double ProcessorSeconds { get; init; }

    /// <summary>The heap's size at the end, bytes.</summary>
    public long HeapBytes { get; init; }

    /// <summary>Most states that waited at once to be expanded.</summary>
    public int Widest { get; init; }

    public string Describe()
    {
        var verdict = Violation is not null ? $"VIOLATION of {Broken}: {Violation}{Environment.NewLine}  path: {Path}"
            : IsExhausted ? "exhausted, nothing found"
            : "NOT exhausted, nothing found so far";
        return FormattableString.Invariant(
            $"{Scenario,-12} {Distinct,10} states {Transitions,11} steps, depth {Depth,3}, {Seconds:F1} s ({ProcessorSeconds:F1} s of processor), {HeapBytes >> 20} MiB, {NodeStates} states of single nodes, widest {Widest}: {verdict}");
    }
}

/// <summary>Visits every state that a scenario's bounds allow, the nearest first. One thread. States are kept as 128-bit names with the
/// step that led there; worlds only where they are to be expanded still. Breadth first, so the first violation has a shortest path.</summary>
internal static class BreadthFirstSearch
{
    /// <summary>Some 80 bytes each, and 300 more while it waits: about 4 GB.</summary>
    public const int DefaultMaxStates = 40_000_000;

    /// <summary>Searches until everything was seen, something is broken, or a limit of time or states is reached.</summary>
    public static ExplorerReport Run(Scenario scenario, TimeSpan limit, Action<string>? progress = null, int maxStates = DefaultMaxStates)
    {
        var watch = Stopwatch.StartNew();
        using var process = Process.GetCurrentProcess();
        var processorAtStart = process.TotalProcessorTime;
        var seen = new HashSet<UInt128>();
        var steps = new List<(int Parent, ExplorerAction Action)>();
        var level = new List<(World World, int State)>();
        var next = new List<(World World, int State)>();
        var actions = new List<ExplorerAction>();
        long transitions = 0;
        var depth = 0;
        var widest = 1;
        World? root = null;
        try
        {
            root = World.Prepared(scenario);
        }
        catch (ViolationException error)
        {
            return Report(false, error, null);
        }

        seen.Add(root.Fingerprint());
        steps.Add((-1, default));
        level.Add((root, 0));
        while (level.Count > 0)
        {
            depth++;
            for (var i = 0; i < level.Count; i++)
            {
                var (world, state) = level[i];
                level[i] = default; // Lets go of it.
                actions.Clear();
                world.AddActions(actions);
                foreach (var action in actions)
                {
                    transitions++;
                    World? successor;
                    try
                    {
                        successor = world.Next(action);
                    }
                    catch (ViolationException error)
                    {
                        steps.Add((state, action));
                        return Report(false, error, PathTo(steps, steps.Count - 1));
                    }

                    if (successor is null || !seen.Add(successor.Fingerprint())) continue;
                    steps.Add((state, action));
                    next.Add((successor, steps.Count - 1));
                }

                if ((i & 0xFF) == 0 && (watch.Elapsed > limit || seen.Count > maxStates)) return Report(false, null, null);
            }

            progress?.Invoke($"{scenario.Name}: depth {depth}, {seen.Count} states, {next.Count} new, {watch.Elapsed.TotalSeconds:F0} s");
            widest = Math.Max(widest, next.Count);
            (level, next) = (next, level);
            next.Clear();
        }

        return Report(true, null, null);

        ExplorerReport Report(bool isExhausted, ViolationException? violation, string? path)
        {
            process.Refresh();
            return new ExplorerReport(scenario.Name, seen.Count, transitions, depth, watch.Elapsed.TotalSeconds, isExhausted, violation?.Rule, violation?.Message, path)
            {
                NodeStates = root?.NodeStates ?? 0,
                Widest = widest,
                ProcessorSeconds = (process.TotalProcessorTime - processorAtStart).TotalSeconds,
                HeapBytes = GC.GetTotalMemory(forceFullCollection: false),
                NewStates = steps.Skip(1).GroupBy(step => step.Action.Kind).OrderBy(kind => kind.Key)
                    .ToDictionary(kind => kind.Key.ToString(), kind => kind.LongCount()),
            };
        }
    }

    private static string PathTo(List<(int Parent, ExplorerAction Action)> steps, int state)
    {
        var path = new List<string>();
        for (; steps[state].Parent >= 0; state = steps[state].Parent) path.Add(steps[state].Action.ToString());
        path.Reverse();
        return string.Join(' ', path);
    }
}
