using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Consensus;

/// <summary>The consensus engine under a small state machine: swarm parameters, faults, healing, the checks of ClusterChecker.</summary>
public sealed class ConsensusSuite : ISimulationSuite
{
    /// <inheritdoc/>
    public string Name => "consensus";

    /// <inheritdoc/>
    public SimulationResult Run(ulong seed, Action<string>? trace) =>
        new ClusterSimulation(seed, _ => new SessionWorkload(), trace).Run();
}
