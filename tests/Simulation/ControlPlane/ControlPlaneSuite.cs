using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>The production control plane, replicated by the production consensus engine, with leases: see <see cref="ControlPlaneWorkload"/>.</summary>
public sealed class ControlPlaneSuite : ISimulationSuite
{
    /// <inheritdoc/>
    public string Name => "controlplane";

    /// <inheritdoc/>
    public SimulationResult Run(ulong seed, Action<string>? trace) => Run(seed, SeededBug.None, trace);

    internal static SimulationResult Run(ulong seed, SeededBug bug, Action<string>? trace) =>
        new ClusterSimulation(seed, random => new ControlPlaneWorkload(random, bug), trace).Run();
}
