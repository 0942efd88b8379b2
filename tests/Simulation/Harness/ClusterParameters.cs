using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>What one seed draws before it begins (swarm testing): many runs lack some faults, so that others go deep.</summary>
internal sealed record ClusterParameters
{
    public required int Nodes { get; init; }

    public required double Loss { get; init; }

    public required double Duplication { get; init; }

    public required int DelayMs { get; init; }

    public required double SlowChance { get; init; }

    /// <summary>How often an echo of a heartbeat is late by up to 1.2 s. Partitions then mostly cut the leader off: it goes on
    /// believing, on old echoes, while another is elected, and clients still read there.</summary>
    public required double LateEchoChance { get; init; }

    public required int DiskMs { get; init; }

    public required double StallChance { get; init; }

    public required double FlushErrorChance { get; init; }

    /// <summary>Mean time between faults of each kind; 0 for none.</summary>
    public required int CrashEveryMs { get; init; }

    public required int PartitionEveryMs { get; init; }

    public required int PauseEveryMs { get; init; }

    public required int TransferEveryMs { get; init; }

    public required int ProposeEveryMs { get; init; }

    public required int ReadEveryMs { get; init; }

    public required int SegmentBytes { get; init; }

    public required int MaxAppendBytes { get; init; }

    public required int MaxInflightMessages { get; init; }

    public required int FaultPhaseMs { get; init; }

    public static ClusterParameters Draw(Xoshiro random) => new()
    {
        Nodes = random.Next(10) switch { 0 => 1, 1 => 2, 2 => 4, 3 or 4 => 5, _ => 3 },
        Loss = random.Chance(0.5) ? random.NextDouble() * 0.25 : 0,
        Duplication = random.Chance(0.5) ? random.NextDouble() * 0.3 : 0,
        DelayMs = random.Next(1, 30),
        SlowChance = random.Chance(0.4) ? random.NextDouble() * 0.1 : 0,
        LateEchoChance = random.Chance(0.2) ? 0.2 + (random.NextDouble() * 0.6) : 0,
        DiskMs = random.Next(1, 20),
        StallChance = random.Chance(0.3) ? 0.02 : 0,
        FlushErrorChance = random.Chance(0.2) ? 0.003 : 0,
        CrashEveryMs = random.Chance(0.7) ? random.Next(300, 3000) : 0,
        PartitionEveryMs = random.Chance(0.6) ? random.Next(500, 3000) : 0,
        PauseEveryMs = random.Chance(0.4) ? random.Next(500, 4000) : 0,
        TransferEveryMs = random.Chance(0.3) ? random.Next(500, 3000) : 0,
        ProposeEveryMs = random.Next(5, 60),
        ReadEveryMs = random.Next(10, 100),
        SegmentBytes = random.Next(3) switch { 0 => 16 * 1024, 1 => 64 * 1024, _ => 256 * 1024 },
        MaxAppendBytes = random.Chance(0.5) ? 512 : 16 * 1024,
        MaxInflightMessages = random.Chance(0.3) ? 2 : 32,
        FaultPhaseMs = random.Next(3000, 12000),
    };
}
