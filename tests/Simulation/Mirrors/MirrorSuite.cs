using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Simulation.Harness;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>The mirrors of three nodes, as <see cref="MirrorSimulation"/> runs them, for run and replay.</summary>
public sealed class MirrorSuite : ISimulationSuite
{
    /// <inheritdoc/>
    public string Name => "mirror";

    /// <inheritdoc/>
    public SimulationResult Run(ulong seed, Action<string>? trace)
    {
        var result = MirrorSimulation.Run(seed, MirrorFaults.None, trace);
        return result.IsOk
            ? new SimulationResult(result.TraceHash, result.Events, result.VirtualMs, result.Figures)
            : throw new SimulationException($"{result.Violation} ({result.Figures})");
    }
}
