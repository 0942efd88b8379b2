using System.Buffers.Binary;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>
/// One frame of the write-ahead log: a hard state and entries that replace everything from the first one's index on.
/// Little-endian; a frame starts at a multiple of 4096 and is padded with zeros to the next.
/// <code>
///   0  4 magic "RMWF"            56  8 hard state: term         100  4 CRC of the previous frame's bytes 0..123
///   4  2 format, 1               64  2 hard state: vote         104  8 highest frame known durable when this was written
///   6  2 flags: 1 reset           66  6 zero                     112  8 incarnation of the writer
///   8  8 segment id              72  8 commit hint              120  4 zero
///  16  8 frame sequence          80  4 number of entries        124  4 CRC of bytes 0..123
///  24  8 first index             84  4 bytes of entry headers
///  32  8 last index              88  4 bytes of payloads
///  40  8 previous entry: index   92  4 CRC of entry headers
///  48  8 previous entry: term    96  4 zero
/// then per entry 48 bytes:
///   0  8 term     8  1 type     9  1 zero   10  2 proposer   12  4 payload bytes
///  16  8 proposer's incarnation  24  8 proposal sequence     32  4 CRC of the payload   36 12 zero
/// then the payloads, one after the other.
/// </code>
/// CRCs are CRC-32C. Each payload is covered by its CRC in the entry header, so that it is summed once.
/// A reset frame stands for an installed snapshot whose last entry is the frame's previous entry: nothing before it counts, and it is
/// the first of its segment. Segment ids are never used twice for frames that may be read: with sequence, chain (offset 100) and
/// incarnation they make stale frames of a recycled segment unreadable.
/// </summary>
internal readonly record struct WalFrame
{
    public const int BlockBytes = 4096;
    public const int HeaderBytes = 128;
    public const int EntryHeaderBytes = LogEntry.OverheadBytes;

    /// <summary>Largest body that recovery believes.</summary>
    public const int MaxBodyBytes = 64 * 1024 * 1024;

    private const uint Magic = 0x46574D52; // "RMWF"
    private const ushort Format = 1;
    private const ushort ResetFlag = 1;

    public required ulong SegmentId { get; init; }

    public required ulong Sequence { get; init; }

    public required EntryId Previous { get; init; }

    public required HardState HardState { get; init; }

    public required uint ChainCrc { get; init; }

    public required ulong DurableSequence { get; init; }

    public required ulong Incarnation { get; init; }

    /// <summary>A snapshot that ends with <see cref="Previous"/> replaced everything before.</summary>
    public bool IsReset { get; init; }

    public int EntryCount { get; init; }

    public int PayloadBytes { get; init; }

    /// <summary>The header's own checksum: the next frame's chain value.</summary>
    public uint HeaderCrc { get; init; }

    public uint EntryHeadersCrc { get; init; }

    public long PaddedBytes => PaddedLength(EntryCount, PayloadBytes);

    public static long PaddedLength(int entryCount, long payloadBytes)
    {
        var length = HeaderBytes + ((long)entryCount * EntryHeaderBytes) + payloadBytes;
        return (length + BlockBytes - 1) / BlockBytes * BlockBytes;
    }

    /// <summary>Encodes a frame into <paramref name="buffer"/>, which is exactly as long as the padded frame and may hold anything.</summary>
    /// <returns>The header checksum, for the next frame's chain.</returns>
    public uint Encode(ReadOnlySpan<LogEntry> entries, Span<byte> buffer)
    {
        var headers = buffer.Slice(HeaderBytes, entries.Length * EntryHeaderBytes);
        var payloadStart = HeaderBytes + headers.Length;
        var position = payloadStart;
        buffer[..payloadStart].Clear();
        for (var i = 0; i < entries.Length; i++)
        {
            ref readonly var entry = ref entries[i];
            var header = headers.Slice(i * EntryHeaderBytes, EntryHeaderBytes);
            var payload = entry.Payload.Span;
            BinaryPrimitives.WriteUInt64LittleEndian(header, entry.Term);
            header[8] = (byte)entry.Type;
            BinaryPrimitives.WriteUInt16LittleEndian(header[10..], entry.Proposal.Node);
            BinaryPrimitives.WriteInt32LittleEndian(header[12..], payload.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(header[16..], entry.Proposal.Incarnation);
            BinaryPrimitives.WriteUInt64LittleEndian(header[24..], entry.Proposal.Sequence);
            BinaryPrimitives.WriteUInt32LittleEndian(header[32..], Crc32C.Compute(payload));
            payload.CopyTo(buffer[position..]);
            position += payload.Length;
        }

        buffer[position..].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[4..], Format);
        if (IsReset) BinaryPrimitives.WriteUInt16LittleEndian(buffer[6..], ResetFlag);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[8..], SegmentId);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[16..], Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[24..], Previous.Index + 1);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[32..], Previous.Index + (ulong)entries.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[40..], Previous.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[48..], Previous.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[56..], HardState.Term);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[64..], HardState.Vote.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[72..], HardState.Commit);
        BinaryPrimitives.WriteInt32LittleEndian(buffer[80..], entries.Length);
        BinaryPrimitives.WriteInt32LittleEndian(buffer[84..], headers.Length);
        BinaryPrimitives.WriteInt32LittleEndian(buffer[88..], position - payloadStart);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[92..], Crc32C.Compute(headers));
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[100..], ChainCrc);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[104..], DurableSequence);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[112..], Incarnation);
        var crc = Crc32C.Compute(buffer[..124]);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[124..], crc);
        return crc;
    }

    /// <summary>Reads a header; the body is not looked at.</summary>
    /// <returns>Null if these bytes are no intact header.</returns>
    public static WalFrame? DecodeHeader(ReadOnlySpan<byte> header)
    {
        if (header.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic) return null;
        var crc = BinaryPrimitives.ReadUInt32LittleEndian(header[124..]);
        if (Crc32C.Compute(header[..124]) != crc || BinaryPrimitives.ReadUInt16LittleEndian(header[4..]) != Format) return null;
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(header[6..]);
        var count = BinaryPrimitives.ReadInt32LittleEndian(header[80..]);
        var payloadBytes = BinaryPrimitives.ReadInt32LittleEndian(header[88..]);
        var first = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
        var last = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        var previous = BinaryPrimitives.ReadUInt64LittleEndian(header[40..]);
        var isSane = (flags & ~ResetFlag) == 0 && count >= 0 && payloadBytes >= 0
            && ((long)count * EntryHeaderBytes) + payloadBytes <= MaxBodyBytes
            && BinaryPrimitives.ReadInt32LittleEndian(header[84..]) == count * EntryHeaderBytes
            && first == previous + 1 && last == previous + (ulong)count
            && BinaryPrimitives.ReadUInt64LittleEndian(header[104..]) < BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
        if (!isSane) return null;
        return new WalFrame
        {
            SegmentId = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]),
            Sequence = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]),
            Previous = new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(header[48..]), previous),
            HardState = new HardState(
                BinaryPrimitives.ReadUInt64LittleEndian(header[56..]),
                new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(header[64..])),
                BinaryPrimitives.ReadUInt64LittleEndian(header[72..])),
            ChainCrc = BinaryPrimitives.ReadUInt32LittleEndian(header[100..]),
            DurableSequence = BinaryPrimitives.ReadUInt64LittleEndian(header[104..]),
            Incarnation = BinaryPrimitives.ReadUInt64LittleEndian(header[112..]),
            IsReset = flags == ResetFlag,
            EntryCount = count,
            PayloadBytes = payloadBytes,
            HeaderCrc = crc,
            EntryHeadersCrc = BinaryPrimitives.ReadUInt32LittleEndian(header[92..]),
        };
    }

    /// <summary>Reads the entries of a frame whose header is intact.</summary>
    /// <param name="frame">At least the unpadded frame.</param>
    /// <returns>Null if a checksum or a length is wrong.</returns>
    public LogEntry[]? DecodeEntries(ReadOnlySpan<byte> frame)
    {
        var headers = frame.Slice(HeaderBytes, EntryCount * EntryHeaderBytes);
        var payloads = frame.Slice(HeaderBytes + headers.Length, PayloadBytes);
        if (Crc32C.Compute(headers) != EntryHeadersCrc && !Mutants.DamageUnnoticed) return null;
        var entries = new LogEntry[EntryCount];
        for (var i = 0; i < entries.Length; i++)
        {
            var header = headers.Slice(i * EntryHeaderBytes, EntryHeaderBytes);
            var length = BinaryPrimitives.ReadInt32LittleEndian(header[12..]);
            if (length < 0 || length > payloads.Length) return null;
            var payload = payloads[..length].ToArray();
            if (Crc32C.Compute(payload) != BinaryPrimitives.ReadUInt32LittleEndian(header[32..]) && !Mutants.DamageUnnoticed) return null;
            payloads = payloads[length..];
            var proposal = new ProposalId(
                BinaryPrimitives.ReadUInt16LittleEndian(header[10..]),
                BinaryPrimitives.ReadUInt64LittleEndian(header[16..]),
                BinaryPrimitives.ReadUInt64LittleEndian(header[24..]));
            var id = new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(header), Previous.Index + 1 + (ulong)i);
            entries[i] = new LogEntry(id, (EntryType)header[8], proposal, payload);
        }

        return payloads.Length == 0 ? entries : null;
    }
}
