using System.Buffers.Binary;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>What an entry of the dirty log says.</summary>
public enum DirtyLogEntryKind : byte
{
    /// <summary>A run of regions is dirty.</summary>
    Mark = 1,

    /// <summary>A run of regions is clean.</summary>
    Clear = 2,

    /// <summary>Regions whose bits are set are dirty; others are left as they are.</summary>
    MarkBits = 3,

    /// <summary>Regions whose bits are set are clean; others are left as they are.</summary>
    ClearBits = 4,

    /// <summary>From here to <see cref="SnapshotEnd"/> the marks are all that there are.</summary>
    SnapshotBegin = 5,

    /// <summary>The snapshot is complete: it replaces what was before it.</summary>
    SnapshotEnd = 6,
}

/// <summary>One entry of the dirty log. Little-endian:
/// <code>
///  0  4  CRC-32C of all that follows, to the entry's end
///  4  1  kind
///  5  1  format version, 1
///  6  2  zero
///  8  8  incarnation of the writer
/// 16  8  generation of the list of log disks
/// 24  8  sequence: 1 for the first entry of the incarnation, then without a gap
/// 32  4  volume number
/// 36  4  number of words (bits kinds), else 0
/// 40  8  first region
/// 48  8  number of regions
/// 56     words of 64 regions, lowest bit first
/// </code>
/// The checksum is ours because that of FasterLog is an XOR and is not checked everywhere.</summary>
public readonly record struct DirtyLogEntry(
    DirtyLogEntryKind Kind, ulong Incarnation, ulong Generation, ulong Sequence, uint Volume, long FirstRegion, long RegionCount, int Words)
{
    /// <summary>Bytes before the words.</summary>
    public const int HeaderBytes = 56;

    /// <summary>Most words of an entry, so that it fits a page with FasterLog's header.</summary>
    public const int MaxWords = 448;

    /// <summary>Size of the largest entry.</summary>
    public const int MaxBytes = HeaderBytes + (MaxWords * 8);

    private const byte Version = 1;

    /// <summary>Size of this entry.</summary>
    public int SizeBytes => HeaderBytes + (Words * 8);

    private bool HasBits => Kind is DirtyLogEntryKind.MarkBits or DirtyLogEntryKind.ClearBits;

    /// <summary>Writes the entry.</summary>
    /// <param name="into">At least <see cref="SizeBytes"/>.</param>
    /// <param name="words">As many as <see cref="Words"/>.</param>
    public void Write(Span<byte> into, ReadOnlySpan<ulong> words)
    {
        Invariant.Require(words.Length == Words && Words <= MaxWords && HasBits == (Words > 0), "Bits go with the bits kinds.");
        Invariant.Require(!HasBits || RegionCount <= Words * 64L, "Every region has a bit.");
        var entry = into[..SizeBytes];
        entry[..HeaderBytes].Clear();
        entry[4] = (byte)Kind;
        entry[5] = Version;
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[16..], Generation);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[24..], Sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[32..], Volume);
        BinaryPrimitives.WriteInt32LittleEndian(entry[36..], Words);
        BinaryPrimitives.WriteInt64LittleEndian(entry[40..], FirstRegion);
        BinaryPrimitives.WriteInt64LittleEndian(entry[48..], RegionCount);
        for (var i = 0; i < words.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(entry[(HeaderBytes + (i * 8))..], words[i]);
        BinaryPrimitives.WriteUInt32LittleEndian(entry, Crc32C.Compute(entry[4..]));
    }

    /// <summary>Reads an entry that is not trusted.</summary>
    /// <returns>Null and the entry, or what is wrong with it.</returns>
    public static string? TryRead(ReadOnlySpan<byte> bytes, out DirtyLogEntry entry)
    {
        entry = default;
        if (bytes.Length < HeaderBytes) return "an entry is too short";
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Crc32C.Compute(bytes[4..])) return "an entry has a wrong checksum";
        if (bytes[5] != Version) return $"an entry has the unknown version {bytes[5]}";
        entry = new DirtyLogEntry(
            (DirtyLogEntryKind)bytes[4],
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[32..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[40..]),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[48..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[36..]));
        if (entry.Kind is < DirtyLogEntryKind.Mark or > DirtyLogEntryKind.SnapshotEnd) return $"an entry has the unknown kind {bytes[4]}";
        if (entry.Words is < 0 or > MaxWords || entry.HasBits != (entry.Words > 0) || bytes.Length != entry.SizeBytes)
            return "an entry has a wrong length";
        if (entry.FirstRegion < 0 || entry.RegionCount < 0 || entry.FirstRegion > RegionBitmap.MaxRegions - entry.RegionCount
            || (entry.HasBits && (entry.RegionCount > entry.Words * 64L || entry.FirstRegion % 64 != 0)))
            return "an entry names impossible regions";
        return null;
    }

    /// <summary>A word of an entry that was read.</summary>
    public static ulong WordAt(ReadOnlySpan<byte> bytes, int index) =>
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[(HeaderBytes + (index * 8))..]);
}
