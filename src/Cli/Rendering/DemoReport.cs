namespace RaftMirror.Cli.Rendering;

/// <summary>What the demo did; every figure is measured.</summary>
internal sealed record DemoReport
{
    public required string Script { get; init; }

    public required int Nodes { get; init; }

    public required string Directory { get; init; }

    public required bool Ok { get; init; }

    public required IReadOnlyList<DemoStep> Steps { get; init; }
}

/// <summary>One step.</summary>
/// <param name="Number">From 1.</param>
/// <param name="Title">What was done.</param>
/// <param name="Ok">It went as promised.</param>
/// <param name="Result">Figures, for people.</param>
/// <param name="Figures">The same as numbers; the unit is in the name.</param>
internal sealed record DemoStep(int Number, string Title, bool Ok, string Result, IReadOnlyDictionary<string, double> Figures);
