using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

/// <summary>Bugs of joining that a run can be given; those of the verdict itself are mutants of the data plane.</summary>
internal enum ExchangeBug
{
    /// <summary>The product as it is.</summary>
    None,

    /// <summary>A node believes the label alone: no nonce is exchanged with a node that serves.</summary>
    SkipsProof,
}

/// <summary>How a run ended.</summary>
/// <param name="Violation">Null if every check held; else which one did not, when and where.</param>
/// <param name="TraceHash">Of all that happened, in order: the same seed gives the same.</param>
/// <param name="Figures">What the run covered, for people.</param>
/// <param name="Events">Number of events.</param>
/// <param name="VirtualMs">Simulated time.</param>
internal sealed record MirrorResult(string? Violation, ulong TraceHash, string Figures, long Events, long VirtualMs)
{
    public bool IsOk => Violation is null;
}

/// <summary>Whole mirrors on one thread: the real cores of three nodes, simulated disks, logs, clock and network, and a committed
/// state held by one oracle. A fault phase (kills, pauses, lost messages, disk errors), a heal phase, then all must be well.</summary>
internal static class MirrorSimulation
{
    /// <summary>Runs a seed; the kind of volume follows from it.</summary>
    public static MirrorResult Run(ulong seed, MirrorFaults faults = MirrorFaults.None, Action<string>? log = null, ExchangeBug exchange = ExchangeBug.None)
    {
        var random = new Xoshiro(seed);
        var (recovery, writers) = random.Next(5) switch
        {
            0 or 1 => (RecoveryMode.Log, WriterMode.One),
            2 or 3 => (RecoveryMode.Log, WriterMode.All),
            _ => (RecoveryMode.App, WriterMode.All),
        };
        var world = new MirrorWorld(random, recovery, writers, faults, log);
        if (seed % 2 == 0) world.FillDisks(new Xoshiro(seed ^ 0x46554c4c)); // Of its own numbers, so that a seed's other faults stay what they are.
        if (seed % 11 == 0) world.HangDisks(new Xoshiro(seed ^ 0x48414e47));
        if (seed % 3 == 0 || exchange != ExchangeBug.None) world.ExchangeDisks(new Xoshiro(seed ^ 0x4449534b), exchange == ExchangeBug.SkipsProof);
        try
        {
            world.Run();
            return new MirrorResult(null, world.TraceHash, world.Figures, world.Events, world.NowMs);
        }
        catch (MirrorViolationException violation)
        {
            return new MirrorResult(violation.Message, world.TraceHash, world.Figures, world.Events, world.NowMs);
        }
        catch (InvariantException broken)
        {
            return new MirrorResult($"{world.Where}: {broken}", world.TraceHash, world.Figures, world.Events, world.NowMs);
        }
    }
}

/// <summary>A checker's finding.</summary>
internal sealed class MirrorViolationException(string message) : Exception(message);
