using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>Names a snapshot's content: two nodes that offer the same hold the same bytes.</summary>
/// <param name="Last">The last entry that it covers.</param>
/// <param name="LengthBytes">Of the file.</param>
/// <param name="Crc">The checksum in the footer, as in <see cref="SnapshotMeta.Crc"/>.</param>
internal readonly record struct SnapshotOffer(EntryId Last, long LengthBytes, uint Crc)
{
    public static SnapshotOffer Of(SnapshotMeta meta) => new(meta.Last, meta.LengthBytes, meta.Crc);
}
