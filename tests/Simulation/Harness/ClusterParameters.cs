using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Harness;

/// <summary>What one seed draws before it begins (swarm testing): many runs lack some faults, so that others go deep.</summary>
internal sealed record ClusterParameters
{
    /// <summary>The initial voters, 1 to 7.</summary>
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

    /// <summary>A stall lasts up to this; the watchdog acts after 1 s.</summary>
    public required int StallMs { get; init; }

    public required double FlushErrorChance { get; init; }

    /// <summary>Mean time between faults of each kind; 0 for none.</summary>
    public required int CrashEveryMs { get; init; }

    /// <summary>All nodes lose power at once.</summary>
    public required int BlackoutEveryMs { get; init; }

    public required int PartitionEveryMs { get; init; }

    public required int PauseEveryMs { get; init; }

    public required int TransferEveryMs { get; init; }

    /// <summary>Changes of membership. Only workloads that say so see them.</summary>
    public required int MemberEveryMs { get; init; }

    /// <summary>A bit flips or a block lands in the wrong place, on a disk that the cluster can do without.</summary>
    public required int DamageEveryMs { get; init; }

    /// <summary>A disk is full for a while.</summary>
    public required int FullEveryMs { get; init; }

    /// <summary>Power fails between two operations of a disk, recovery's among them.</summary>
    public required int DiskPowerEveryMs { get; init; }

    public required int HeartbeatMs { get; init; }

    public required int ElectionTimeoutMinMs { get; init; }

    public required int ElectionTimeoutMaxMs { get; init; }

    public required int MaxInflightBytes { get; init; }

    public required long MaxUncommittedBytes { get; init; }

    public required int MaxPendingReads { get; init; }

    public required int ProposeEveryMs { get; init; }

    public required int ReadEveryMs { get; init; }

    public required int SegmentBytes { get; init; }

    public required int MaxAppendBytes { get; init; }

    public required int MaxInflightMessages { get; init; }

    public required int MaxPartialInflight { get; init; }

    public required int FaultPhaseMs { get; init; }

    public required int TickMs { get; init; }

    /// <summary>Entries from one snapshot to the next; 0 for none.</summary>
    public required int SnapshotEvery { get; init; }

    /// <summary>Entries from one checkpoint to the next.</summary>
    public required int CheckpointEvery { get; init; }

    public required int ChunkBytes { get; init; }

    public required long MaxRetainedBytes { get; init; }

    /// <summary>The state machine is behind by up to this.</summary>
    public required int ApplyMs { get; init; }

    public required bool LeaseReads { get; init; }

    /// <summary>Clocks run faster or slower by up to this.</summary>
    public required int ClockPermille { get; init; }

    /// <summary>The others hear at once that a process is gone.</summary>
    public required double PeerLostChance { get; init; }

    /// <summary>Copies of directories are made, and put back later.</summary>
    public int RestoreEveryMs { get; init; }

    /// <summary>How often a peer is many seconds late in saying what it knows of a life.</summary>
    public double SlowClaimChance { get; init; }

    /// <summary>Disks carry beats, and whole majorities are put back; 0 for neither.</summary>
    public int BeatEveryMs { get; init; }

    public required bool Priorities { get; init; }

    /// <summary>One node's state goes wrong silently.</summary>
    public required bool Corrupts { get; init; }

    /// <summary>Some nodes stay down when the rest is healed.</summary>
    public required bool LeavesDead { get; init; }

    /// <summary>After healing: members change, leadership is handed on, a node that hears only some others must disturb nobody.</summary>
    public required bool Exercises { get; init; }

    public static ClusterParameters Draw(Xoshiro random, bool isElastic)
    {
        var (shortest, heartbeats) = (150 + random.Next(350), 4 + random.Next(5));
        var parameters = new ClusterParameters
        {
            Nodes = random.Next(12) switch { 0 => 1, 1 => 2, 2 => 4, 3 or 4 => 5, 5 when isElastic => 6 + random.Next(2), _ => 3 },
            Loss = random.Chance(0.5) ? random.NextDouble() * 0.25 : 0,
            Duplication = random.Chance(0.5) ? random.NextDouble() * 0.3 : 0,
            DelayMs = random.Next(1, 30),
            SlowChance = random.Chance(0.4) ? random.NextDouble() * 0.1 : 0,
            LateEchoChance = random.Chance(0.2) ? 0.2 + (random.NextDouble() * 0.6) : 0,
            DiskMs = random.Next(1, 20),
            StallChance = random.Chance(0.3) ? 0.02 : 0,
            StallMs = random.Chance(0.5) ? 2000 : 5000,
            FlushErrorChance = random.Chance(0.2) ? 0.003 : 0,
            CrashEveryMs = random.Chance(0.7) ? random.Next(300, 3000) : 0,
            BlackoutEveryMs = random.Chance(0.2) ? random.Next(1000, 5000) : 0,
            PartitionEveryMs = random.Chance(0.6) ? random.Next(500, 3000) : 0,
            PauseEveryMs = random.Chance(0.4) ? random.Next(500, 4000) : 0,
            TransferEveryMs = random.Chance(0.3) ? random.Next(300, 3000) : 0,
            MemberEveryMs = isElastic && random.Chance(0.6) ? random.Next(50, 1200) : 0,
            DamageEveryMs = isElastic && random.Chance(0.2) ? random.Next(1000, 5000) : 0,
            FullEveryMs = random.Chance(0.1) ? random.Next(1000, 5000) : 0,
            ProposeEveryMs = random.Next(5, 60),
            ReadEveryMs = random.Next(10, 100),
            SegmentBytes = random.Next(3) switch { 0 => 16 * 1024, 1 => 32 * 1024, _ => 128 * 1024 },
            MaxAppendBytes = random.Chance(0.5) ? 512 : 16 * 1024,
            MaxInflightMessages = random.Chance(0.3) ? 2 : 32,
            MaxPartialInflight = random.Chance(0.5) ? 1 : 32,
            FaultPhaseMs = random.Next(3000, 12000),
            TickMs = random.Next(6, 24),
            SnapshotEvery = random.Chance(0.85) ? (int)(8 * Math.Pow(25, random.NextDouble())) : 0,
            CheckpointEvery = random.Next(4, 40),
            ChunkBytes = 64 << random.Next(5),
            MaxRetainedBytes = random.Chance(0.3) ? 4096 << random.Next(4) : 64 * 1024 * 1024,
            ApplyMs = random.Chance(0.5) ? random.Next(1, 40) : 0,
            LeaseReads = isElastic && random.Chance(0.3),
            ClockPermille = 0,
            PeerLostChance = random.Chance(0.5) ? 0.8 : 0,
            Priorities = isElastic && random.Chance(0.3),
            Corrupts = isElastic && random.Chance(0.1),
            DiskPowerEveryMs = isElastic && random.Chance(0.3) ? random.Next(500, 4000) : 0,
            HeartbeatMs = isElastic ? shortest / heartbeats : 50,
            ElectionTimeoutMinMs = isElastic ? shortest : 300,
            ElectionTimeoutMaxMs = isElastic ? (int)(shortest * (1.5 + random.NextDouble())) : 600,
            MaxInflightBytes = isElastic && random.Chance(0.3) ? 1024 << random.Next(4) : 8 * 1024 * 1024,
            MaxUncommittedBytes = isElastic && random.Chance(0.3) ? 2048 << random.Next(4) : 64 * 1024 * 1024,
            MaxPendingReads = isElastic && random.Chance(0.2) ? 2 + random.Next(10) : 65536,
            LeavesDead = isElastic && random.Chance(0.4),
            Exercises = isElastic && random.Chance(0.5),
        };
        if (!isElastic)
        {
            // A state of many kilobytes, that is not to be moved all the time.
            parameters = parameters with
            {
                SnapshotEvery = parameters.SnapshotEvery * 8,
                ChunkBytes = parameters.ChunkBytes * 64,
                MaxRetainedBytes = 64 * 1024 * 1024,
            };
        }

        parameters = parameters with { ClockPermille = parameters.LeaseReads ? 4 : random.Chance(0.3) ? 50 : 10 };
        if (!parameters.Corrupts || parameters.Nodes < 3 || parameters.SnapshotEvery == 0) return parameters with { Corrupts = false };

        // Digests tell who is wrong only while most are right: this fault comes alone.
        return parameters with { MemberEveryMs = 0, DamageEveryMs = 0, LeavesDead = false };
    }
}
