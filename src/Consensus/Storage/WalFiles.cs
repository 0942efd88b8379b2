using System.Buffers.Binary;
using System.Globalization;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>The names of a log's files. Others in the directory are left alone.</summary>
internal static class WalFiles
{
    /// <summary>Highest frame known to be durable; see <see cref="WalMark"/>.</summary>
    public const string Mark = "durable.mark";

    /// <summary>Where the log starts, once it was compacted; see <see cref="WalStart"/>.</summary>
    public const string Start = "log.start";

    /// <summary>The next <see cref="Start"/> while it is written; means nothing.</summary>
    public const string NextStart = "log.next";

    private const string SegmentPrefix = "seg-";
    private const string SparePrefix = "spare-";
    private const string Suffix = ".wal";

    public static string Segment(ulong id) => SegmentPrefix + id.ToString("D12", CultureInfo.InvariantCulture) + Suffix;

    /// <summary>The name of a dropped segment that waits to be used again.</summary>
    public static string Spare(ulong id) => SparePrefix + id.ToString("D12", CultureInfo.InvariantCulture) + Suffix;

    public static bool LooksLikeSegment(string name) => name.StartsWith(SegmentPrefix, StringComparison.Ordinal);

    public static bool IsSpare(string name) => name.StartsWith(SparePrefix, StringComparison.Ordinal);

    public static bool TryParseSegment(string name, out ulong id)
    {
        id = 0;
        return LooksLikeSegment(name) && name.EndsWith(Suffix, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(SegmentPrefix.Length, name.Length - SegmentPrefix.Length - Suffix.Length),
                NumberStyles.None, CultureInfo.InvariantCulture, out id)
            && id > 0 && Segment(id) == name;
    }
}

/// <summary>durable.mark, one block: magic "RMDM" (4), zero (4), frame sequence (8), CRC of bytes 0..15 (4). Written after each flush and
/// not flushed itself, so after loss of power it may lag, never lead. All zeros only before the first segment exists.</summary>
internal static class WalMark
{
    public const int Bytes = 20;
    private const uint Magic = 0x4D444D52; // "RMDM"

    public static void Encode(ulong sequence, Span<byte> mark)
    {
        mark.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(mark, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(mark[8..], sequence);
        BinaryPrimitives.WriteUInt32LittleEndian(mark[16..], Crc32C.Compute(mark[..16]));
    }

    /// <returns>Null if the bytes are no mark.</returns>
    public static ulong? Decode(ReadOnlySpan<byte> mark)
    {
        var isIntact = BinaryPrimitives.ReadUInt32LittleEndian(mark) == Magic
            && BinaryPrimitives.ReadUInt32LittleEndian(mark[16..]) == Crc32C.Compute(mark[..16]);
        return isIntact ? BinaryPrimitives.ReadUInt64LittleEndian(mark[8..]) : null;
    }
}

/// <summary>
/// log.start, one block: where a compacted log starts. Replaced whole (new file, flush, rename) before a segment is dropped, so the loss of
/// the first segment is never taken for a log that starts later.
/// <code>
///   0  4 magic "RMLS"          24  8 frame known durable, at least that   48  4 chain value of the first frame
///   4  4 format, 1             32  8 base: term                           52  8 zero
///   8  8 first segment id      40  8 base: index                          60  4 CRC of bytes 0..59
///  16  8 first frame's sequence
/// </code>
/// </summary>
/// <param name="SegmentId">The first segment; files of lower ones are rubbish.</param>
/// <param name="FirstSequence">Of the first frame of that segment. It was durable.</param>
/// <param name="ChainCrc">What that frame's chain field holds.</param>
/// <param name="DurableSequence">A frame known durable when this was written.</param>
/// <param name="Base">The entry before the first frame's; a durable snapshot covers it.</param>
internal readonly record struct WalStart(ulong SegmentId, ulong FirstSequence, uint ChainCrc, ulong DurableSequence, EntryId Base)
{
    public const int Bytes = 64;
    private const uint Magic = 0x534C4D52; // "RMLS"
    private const uint Format = 1;

    /// <summary>Of a log that was never compacted.</summary>
    public static WalStart Origin { get; } = new(1, 1, 0, 0, default);

    public void Encode(Span<byte> start)
    {
        start.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(start, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(start[4..], Format);
        BinaryPrimitives.WriteUInt64LittleEndian(start[8..], SegmentId);
        BinaryPrimitives.WriteUInt64LittleEndian(start[16..], FirstSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(start[24..], DurableSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(start[32..], Base.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(start[40..], Base.Index);
        BinaryPrimitives.WriteUInt32LittleEndian(start[48..], ChainCrc);
        BinaryPrimitives.WriteUInt32LittleEndian(start[60..], Crc32C.Compute(start[..60]));
    }

    /// <returns>Null if the bytes are no start record.</returns>
    public static WalStart? Decode(ReadOnlySpan<byte> start)
    {
        var isIntact = BinaryPrimitives.ReadUInt32LittleEndian(start) == Magic
            && BinaryPrimitives.ReadUInt32LittleEndian(start[4..]) == Format
            && BinaryPrimitives.ReadUInt32LittleEndian(start[60..]) == Crc32C.Compute(start[..60]);
        if (!isIntact) return null;
        return new WalStart(
            BinaryPrimitives.ReadUInt64LittleEndian(start[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(start[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(start[48..]),
            BinaryPrimitives.ReadUInt64LittleEndian(start[24..]),
            new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(start[32..]), BinaryPrimitives.ReadUInt64LittleEndian(start[40..])));
    }
}
