using RaftMirror.Chaos.Node;

namespace RaftMirror.Chaos;

/// <summary>What one run does.</summary>
internal sealed record ChaosOptions
{
    /// <summary>Draws faults and workload. The same seed gives the same plan, but not the same timing: processes are real.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>How long clients work and faults happen.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Objects live so long; then their histories are checked and new ones are made.</summary>
    public TimeSpan Round { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>1 to 7.</summary>
    public int Nodes { get; init; } = 3;

    /// <summary>Clients that work at once, each one operation at a time.</summary>
    public int Clients { get; init; } = 12;

    /// <summary>Longest pause of a client between two operations, in milliseconds.</summary>
    public int ThinkMs { get; init; } = 25;

    /// <summary>Barriers may be answered from leases.</summary>
    public bool LeaseReads { get; init; }

    /// <summary>What is wrong with the nodes.</summary>
    public Bug Bug { get; init; }

    /// <summary>Which faults are drawn, by name; all if empty.</summary>
    public IReadOnlyList<string> Faults { get; init; } = [];

    /// <summary>No faults at all.</summary>
    public bool IsCalm { get; init; }

    /// <summary>End at the first history that is wrong.</summary>
    public bool StopAtFailure { get; init; }

    /// <summary>Histories that are wrong are written to files, which stay.</summary>
    public bool KeepsHistories { get; init; } = true;

    /// <summary>Longest time that a fault lasts, in milliseconds.</summary>
    public int LongestFaultMs { get; init; } = 3000;
}
