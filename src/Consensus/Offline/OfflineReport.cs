using System.Text.Json.Serialization;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus.Offline;

/// <summary>What a data directory's log is worth.</summary>
public enum OfflineVerdict
{
    /// <summary>Opens with everything that was written.</summary>
    [JsonStringEnumMemberName("intact")]
    Intact,

    /// <summary>Opens; what never was durable is cut: a normal crash.</summary>
    [JsonStringEnumMemberName("tornTail")]
    TornTail,

    /// <summary>A snapshot is damaged, but the log and an older one still give everything.</summary>
    [JsonStringEnumMemberName("snapshotDamaged")]
    SnapshotDamaged,

    /// <summary>Does not open: something that was durable is not what it was.</summary>
    [JsonStringEnumMemberName("damaged")]
    Damaged,
}

/// <summary>One segment file of the log.</summary>
public sealed record OfflineSegment(string Name, long LengthBytes, int Frames, ulong FirstIndex, ulong LastIndex, bool IsObsolete);

/// <summary>One snapshot file.</summary>
/// <param name="Index">Last entry it covers.</param>
/// <param name="Term">Its term.</param>
/// <param name="Bytes">Of the file; 0 if it cannot be read.</param>
/// <param name="Members">Who took part, as text; null if damaged.</param>
/// <param name="Damage">What is wrong; null if sound.</param>
public sealed record OfflineSnapshot(ulong Index, ulong Term, long Bytes, string? Members, string? Damage);

/// <summary>All that the files of a node that does not run say.</summary>
public sealed record OfflineReport(
    string Directory, ushort NodeId, Guid ClusterId, string ClusterName, ulong Incarnation, OfflineVerdict Verdict, string? Damage,
    ulong Term, ushort? VotedFor, ulong Commit, ulong BaseIndex, ulong LastIndex, ulong LastTerm, ulong KnownDurableFrames, int CutFrames,
    string? Members, string? Quarantine, bool IsRecoveryPending, IReadOnlyList<OfflineSegment> Segments, IReadOnlyList<OfflineSnapshot> Snapshots)
{
    /// <summary>The last entries of the intact prefix, as many as were asked for.</summary>
    [JsonIgnore]
    public IReadOnlyList<LogEntryView> Entries { get; init; } = [];

    /// <summary>Names of the members, where the log or a snapshot tells them.</summary>
    public IReadOnlyDictionary<ushort, string> Names { get; init; } = new Dictionary<ushort, string>();

    /// <summary>Frames in order of the files, if they were asked for.</summary>
    public IReadOnlyList<OfflineFrame>? Frames { get; init; }
}

/// <summary>One frame of the log: what one write put there.</summary>
/// <param name="Segment">File.</param>
/// <param name="Offset">In it, in bytes.</param>
/// <param name="Sequence">Counts frames from 1.</param>
/// <param name="Bytes">With its header.</param>
/// <param name="FirstIndex">First entry in it; above <paramref name="LastIndex"/> or 0 if there is none.</param>
/// <param name="LastIndex">Of the log after it.</param>
/// <param name="Term">Of its hard state.</param>
/// <param name="Commit">Of its hard state.</param>
/// <param name="IsIntact">False for what stands behind the first frame that is not whole.</param>
public sealed record OfflineFrame(
    string Segment, long Offset, ulong Sequence, long Bytes, ulong FirstIndex, ulong LastIndex, ulong Term, ulong Commit, bool IsIntact);

/// <summary>What disaster recovery made.</summary>
/// <param name="Directory">The new data directory.</param>
/// <param name="NodeId">The node, the only voter.</param>
/// <param name="Name">Its name in the configuration; may be empty.</param>
/// <param name="Address">HOST:PORT of its peer listener.</param>
/// <param name="OldClusterId">Whose members must never be started again.</param>
/// <param name="NewClusterId">The new generation; members of the old one are refused.</param>
/// <param name="ClusterName">As before.</param>
/// <param name="WasDamaged">False if the whole log was kept.</param>
/// <param name="KeptLastIndex">Last entry kept of the old log.</param>
/// <param name="KeptCommit">Highest index that the old node knew to be committed; entries behind it are kept and count as committed now.</param>
/// <param name="LostKnownDurableFrames">Frames that were durable and are lost.</param>
/// <param name="Receipt">receipt.json, as written.</param>
public sealed record RecoveryResult(
    string Directory, ushort NodeId, string Name, string Address, Guid OldClusterId, Guid NewClusterId, string ClusterName, bool WasDamaged,
    ulong KeptLastIndex, ulong KeptCommit, ulong LostKnownDurableFrames, string Receipt);
