using RaftMirror.Consensus.Offline;
using RaftMirror.Contracts;

namespace RaftMirror.Cli.Rendering;

// What is printed about the data directory of a node that does not run.

/// <summary>Answer of <c>raft inspect</c>.</summary>
internal sealed record RaftInspectReport(string? Name, OfflineReport Node)
{
    /// <summary>The last entries, if they were asked for.</summary>
    public IReadOnlyList<RaftLogEntry> Entries { get; init; } = [];
}

/// <summary>Answer of <c>raft verify</c>.</summary>
/// <param name="Directory">What was looked at.</param>
/// <param name="Verdict">intact, tornTail, snapshotDamaged or damaged.</param>
/// <param name="Starts">A node starts from it.</param>
/// <param name="Damage">What is wrong and where; null if nothing is.</param>
/// <param name="LastIndex">Last entry of the intact prefix.</param>
/// <param name="CutFrames">Frames that never were durable and would be cut.</param>
internal sealed record RaftVerifyReport(
    string Directory, OfflineVerdict Verdict, bool Starts, string? Damage, ulong LastIndex, int CutFrames);

/// <summary>Answer of <c>raft recover</c>.</summary>
/// <param name="Name">The node, the only voter of the new generation.</param>
/// <param name="Recovery">What was done.</param>
internal sealed record RaftRecoverReport(string Name, RecoveryResult Recovery);
