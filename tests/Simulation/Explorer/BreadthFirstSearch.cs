using System.Diagnostics;

namespace RaftMirror.Simulation.Explorer;

/// <summary>What a search found.</summary>
/// <param name="Scenario">Its name.</param>
/// <param name="Distinct">States that differ.</param>
/// <param name="Transitions">Steps taken, to known states too.</param>
/// <param name="Depth">Steps of the longest path begun.</param>
/// <param name="Seconds">Time.</param>
/// <param name="IsComplete">True if nothing was left to explore within the bounds, of which depth may be one.</param>
/// <param name="Violation">What is broken, if something is.</param>
/// <param name="Path">The shortest way there, for <see cref="World.Replay"/>.</param>
internal sealed record ExplorerReport(
    string Scenario, long Distinct, long Transitions, int Depth, double Seconds, bool IsComplete, string? Violation, string? Path)
{
    /// <summary>How often each kind of step led to a new state: what was never done was not explored.</summary>
    public IReadOnlyDictionary<string, long> NewStates { get; init; } = new Dictionary<string, long>();

    public string Describe()
    {
        var verdict = Violation is not null ? $"VIOLATION: {Violation}{Environment.NewLine}  path: {Path}"
            : IsComplete ? "complete, nothing found"
            : "out of time, nothing found so far";
        return FormattableString.Invariant(
            $"{Scenario,-12} {Distinct,10} states {Transitions,11} steps, depth {Depth,3}, {Seconds,7:F1} s, {Distinct / Math.Max(Seconds, 0.001),8:F0} states/s: {verdict}");
    }
}

/// <summary>Visits every state that a scenario's bounds allow, the nearest first. One thread. States are kept as 128-bit names with the
/// step that led there; worlds only where they are to be expanded still.</summary>
internal static class BreadthFirstSearch
{
    /// <summary>Searches until everything was seen, something is broken or time is up.</summary>
    public static ExplorerReport Run(Scenario scenario, TimeSpan limit, Action<string>? progress = null)
    {
        var watch = Stopwatch.StartNew();
        var seen = new HashSet<UInt128>();
        var steps = new List<(int Parent, ExplorerAction Action)>();
        var level = new List<(World World, int State)>();
        var next = new List<(World World, int State)>();
        var actions = new List<ExplorerAction>();
        long transitions = 0;
        var depth = 0;
        World root;
        try
        {
            root = World.Prepared(scenario);
        }
        catch (ViolationException error)
        {
            return Report(false, $"{error.Message}, already in the prelude", null);
        }

        seen.Add(root.Fingerprint());
        steps.Add((-1, default));
        level.Add((root, 0));
        while (level.Count > 0 && depth < scenario.MaxDepth)
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
                        return Report(false, error.Message, PathTo(steps, steps.Count - 1));
                    }

                    if (successor is null || !seen.Add(successor.Fingerprint())) continue;
                    steps.Add((state, action));
                    next.Add((successor, steps.Count - 1));
                }

                if ((i & 0xFF) == 0 && watch.Elapsed > limit) return Report(false, null, null);
            }

            progress?.Invoke($"{scenario.Name}: depth {depth}, {seen.Count} states, {next.Count} new, {watch.Elapsed.TotalSeconds:F0} s");
            (level, next) = (next, level);
            next.Clear();
        }

        return Report(true, null, null);

        ExplorerReport Report(bool isComplete, string? violation, string? path) =>
            new(scenario.Name, seen.Count, transitions, depth, watch.Elapsed.TotalSeconds, isComplete, violation, path)
            {
                NewStates = steps.Skip(1).GroupBy(step => step.Action.Kind).OrderBy(kind => kind.Key)
                    .ToDictionary(kind => kind.Key.ToString(), kind => kind.LongCount()),
            };
    }

    private static string PathTo(List<(int Parent, ExplorerAction Action)> steps, int state)
    {
        var path = new List<string>();
        for (; steps[state].Parent >= 0; state = steps[state].Parent) path.Add(steps[state].Action.ToString());
        path.Reverse();
        return string.Join(' ', path);
    }
}
