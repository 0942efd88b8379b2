using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>As <see cref="ConsensusSuite"/>, and directories are put back to older copies (design §14.24).</summary>
public sealed class RestoreSuite : ISimulationSuite
{
    /// <inheritdoc/>
    public string Name => "restores";

    /// <inheritdoc/>
    public SimulationResult Run(ulong seed, Action<string>? trace) =>
        new ClusterSimulation(seed, random => new SessionWorkload(random.Chance(0.3) ? random.Next(16 * 1024) : 0), trace, restores: true).Run();
}

/// <summary>As <see cref="ConsensusSuite"/>, and majorities of directories are put back, which only the disks can tell (docs/adr/0023).</summary>
public sealed class BeatSuite : ISimulationSuite
{
    /// <inheritdoc/>
    public string Name => "beats";

    /// <inheritdoc/>
    public SimulationResult Run(ulong seed, Action<string>? trace) =>
        new ClusterSimulation(seed, random => new SessionWorkload(random.Chance(0.3) ? random.Next(16 * 1024) : 0), trace, restores: true, beats: true).Run();
}
