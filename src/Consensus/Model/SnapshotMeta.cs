namespace RaftMirror.Consensus.Model;

/// <summary>What a snapshot stands for. The same on every node that takes one at the same index.</summary>
/// <param name="Last">The last entry that it covers.</param>
/// <param name="Configuration">Who took part after that entry, committed.</param>
/// <param name="LengthBytes">Of the whole file.</param>
/// <param name="Crc">CRC-32C of all but the last 4 bytes, which hold it: a file that ends in its own checksum has one CRC whatever is in it.</param>
internal sealed record SnapshotMeta(EntryId Last, Configuration Configuration, long LengthBytes, uint Crc);
