using RaftMirror.Consensus.Model;

namespace RaftMirror.Simulation.Harness;

/// <summary>A copy of a node's data directory, as an operator's backup has it: log, snapshots, identity and all.</summary>
/// <param name="Log">Files of the log.</param>
/// <param name="Snapshots">Files of the snapshots.</param>
/// <param name="Incarnation">In which it was made.</param>
/// <param name="Starts">Of the identity.</param>
/// <param name="Seeded">Of the identity.</param>
/// <param name="Known">What it knows of the peers.</param>
/// <param name="Bound">How far the node had bound itself.</param>
/// <param name="Configuration">Who took part.</param>
internal sealed record DirectoryCopy(
    IReadOnlyDictionary<string, byte[]> Log, IReadOnlyDictionary<string, byte[]> Snapshots, ulong Incarnation, ulong[] Starts,
    (Promised Forgiven, EntryId Floor) Seeded, IReadOnlyList<KnownLife> Known, Promised Bound, Configuration Configuration)
{
    /// <summary>The log as the checker knows it.</summary>
    public required (HardState HardState, EntryId Base, LogEntry[] Entries) Shadow { get; init; }
}
