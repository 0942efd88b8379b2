namespace RaftMirror.Simulation.Harness;

/// <summary>One kind of simulated system. Implementations have a constructor without parameters and are found by type; each
/// Run is self-contained, so that seeds may run on several threads at once.</summary>
public interface ISimulationSuite
{
    /// <summary>The name given to --suite.</summary>
    string Name { get; }

    /// <summary>Runs one seed to its end.</summary>
    /// <param name="seed">Decides everything.</param>
    /// <param name="trace">Takes one line per event, for replay; null to save the time.</param>
    /// <returns>What happened; the same for the same seed.</returns>
    /// <exception cref="SimulationException">An invariant was broken or the system did not recover.</exception>
    SimulationResult Run(ulong seed, Action<string>? trace);
}

/// <summary>What one run did.</summary>
/// <param name="TraceHash">Over every event: equal for equal seeds.</param>
/// <param name="Events">Number of events.</param>
/// <param name="VirtualMs">Simulated time.</param>
/// <param name="Summary">One line for people.</param>
public sealed record SimulationResult(ulong TraceHash, long Events, long VirtualMs, string Summary);

/// <summary>A run found a defect.</summary>
public sealed class SimulationException(string message, Exception? inner = null) : Exception(message, inner);
