using System.Buffers.Binary;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Messages;

/// <summary>
/// Raft messages as bytes, little-endian. Sender and receiver are the connection's, not the message's.
/// <code>
///   0  1 kind   1  1 flags (1 reject, 2 transfer)   2  2 zero    4  4 number of entries
///   8  8 term  16  8 log term  24  8 log index      32  8 commit 40  8 round  48  8 hint term  56  8 hint index
/// then per entry:
///   0  8 term   8  1 type   9  1 zero  10  2 proposer  12  4 payload bytes  16  8 incarnation  24  8 sequence, payload
/// A claim has no entries; their number is that of starts, and after the header stand:
///   0  8 incarnation   8 16 recovered: term, index  24 16 forgiven: term, index  40 16 floor: term, index  56 8 each start, newest first
/// </code>
/// </summary>
internal static class MessageCodec
{
    private const int HeaderBytes = 64;
    private const int EntryHeaderBytes = 32;
    private const int LifeBytes = 56;

    public static int Length(in Message message)
    {
        var length = HeaderBytes;
        if (message.Life is { } life) return length + LifeBytes + (8 * life.Starts.Length);
        foreach (ref readonly var entry in message.Entries.Span) length += EntryHeaderBytes + entry.Payload.Length;
        return length;
    }

    /// <summary>Encodes into <paramref name="buffer"/>, which has at least <see cref="Length"/> bytes.</summary>
    public static void Encode(in Message message, Span<byte> buffer)
    {
        buffer[..HeaderBytes].Clear();
        buffer[0] = (byte)message.Kind;
        buffer[1] = (byte)((message.Reject ? 1 : 0) | (message.IsTransfer ? 2 : 0));
        BinaryPrimitives.WriteInt32LittleEndian(buffer[4..], message.Entries.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[8..], message.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[16..], message.Log.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[24..], message.Log.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[32..], message.Commit);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[40..], message.Round);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[48..], message.Hint.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[56..], message.Hint.Index);
        if (message.Life is { } life)
        {
            EncodeLife(life, buffer);
            return;
        }

        var position = HeaderBytes;
        foreach (ref readonly var entry in message.Entries.Span)
        {
            var header = buffer.Slice(position, EntryHeaderBytes);
            header.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(header, entry.Term);
            header[8] = (byte)entry.Type;
            BinaryPrimitives.WriteUInt16LittleEndian(header[10..], entry.Proposal.Node);
            BinaryPrimitives.WriteInt32LittleEndian(header[12..], entry.Payload.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(header[16..], entry.Proposal.Incarnation);
            BinaryPrimitives.WriteUInt64LittleEndian(header[24..], entry.Proposal.Sequence);
            entry.Payload.Span.CopyTo(buffer[(position + EntryHeaderBytes)..]);
            position += EntryHeaderBytes + entry.Payload.Length;
        }
    }

    /// <summary>Decodes bytes that a peer sent. Nothing in them is believed.</summary>
    /// <param name="data">One message, no more. Copied.</param>
    /// <param name="from">The connection's peer.</param>
    /// <param name="to">This node.</param>
    /// <param name="message">The message, if sound.</param>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryDecode(ReadOnlySpan<byte> data, NodeId from, NodeId to, out Message message)
    {
        message = default;
        if (data.Length < HeaderBytes) return "a message is too short";
        if (data[0] is < (byte)MessageKind.PreVote or > (byte)MessageKind.Committed) return $"unknown message kind {data[0]}";
        if (data[1] > 3) return "unknown flags";
        var count = BinaryPrimitives.ReadInt32LittleEndian(data[4..]);
        if (data[0] == (byte)MessageKind.Claim) return DecodeClaim(data, count, from, to, out message);
        if (count < 0 || count > (data.Length - HeaderBytes) / EntryHeaderBytes) return "an impossible number of entries";
        var kind = (MessageKind)data[0];
        if (count > 0 && kind != MessageKind.Append) return "entries in a message that has none";
        var term = BinaryPrimitives.ReadUInt64LittleEndian(data[8..]);
        var log = new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(data[16..]), BinaryPrimitives.ReadUInt64LittleEndian(data[24..]));
        if (kind == MessageKind.Append && log.Term > term) return "an entry of a later term than its leader's";
        var entries = count == 0 ? [] : new LogEntry[count];
        var error = DecodeEntries(data[HeaderBytes..], term, log, entries);
        if (error is not null) return error;
        message = new Message
        {
            Kind = kind,
            From = from,
            To = to,
            Term = term,
            Log = log,
            Commit = BinaryPrimitives.ReadUInt64LittleEndian(data[32..]),
            Round = BinaryPrimitives.ReadUInt64LittleEndian(data[40..]),
            Hint = new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(data[48..]), BinaryPrimitives.ReadUInt64LittleEndian(data[56..])),
            Reject = (data[1] & 1) != 0,
            IsTransfer = (data[1] & 2) != 0,
            Entries = entries,
        };
        return null;
    }

    private static void EncodeLife(NodeLife life, Span<byte> buffer)
    {
        BinaryPrimitives.WriteInt32LittleEndian(buffer[4..], life.Starts.Length);
        var body = buffer[HeaderBytes..];
        BinaryPrimitives.WriteUInt64LittleEndian(body, life.Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(body[8..], life.Recovered.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(body[16..], life.Recovered.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(body[24..], life.Forgiven.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(body[32..], life.Forgiven.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(body[40..], life.Floor.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(body[48..], life.Floor.Index);
        for (var i = 0; i < life.Starts.Length; i++) BinaryPrimitives.WriteUInt64LittleEndian(body[(LifeBytes + (8 * i))..], life.Starts[i]);
    }

    private static string? DecodeClaim(ReadOnlySpan<byte> data, int count, NodeId from, NodeId to, out Message message)
    {
        message = default;
        if (count is < 1 or > NodeLife.MaxStarts || data.Length != HeaderBytes + LifeBytes + (8 * count)) return "a claim of an impossible length";
        var body = data[HeaderBytes..];
        var starts = new ulong[count];
        for (var i = 0; i < count; i++) starts[i] = BinaryPrimitives.ReadUInt64LittleEndian(body[(LifeBytes + (8 * i))..]);
        message = new Message
        {
            Kind = MessageKind.Claim,
            From = from,
            To = to,
            Term = BinaryPrimitives.ReadUInt64LittleEndian(data[8..]),
            Log = new EntryId(ReadAt(data, 16), ReadAt(data, 24)),
            Commit = ReadAt(data, 32),
            Hint = new EntryId(ReadAt(data, 48), ReadAt(data, 56)),
            Reject = (data[1] & 1) != 0,
            IsTransfer = (data[1] & 2) != 0,
            Life = new NodeLife(
                BinaryPrimitives.ReadUInt64LittleEndian(body), starts, new Promised(ReadAt(body, 8), ReadAt(body, 16)),
                new Promised(ReadAt(body, 24), ReadAt(body, 32)), new EntryId(ReadAt(body, 40), ReadAt(body, 48))),
        };
        return message.Life.Incarnation == 0 ? "a claim of no life" : null;

        static ulong ReadAt(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);
    }

    private static string? DecodeEntries(ReadOnlySpan<byte> data, ulong leaderTerm, EntryId previous, LogEntry[] entries)
    {
        // One array for all payloads of a message: they enter the log together and leave it about together.
        ReadOnlyMemory<byte> owned = entries.Length == 0 ? default : data.ToArray();
        for (var i = 0; i < entries.Length; i++)
        {
            if (data.Length < EntryHeaderBytes) return "an entry is cut short";
            var length = BinaryPrimitives.ReadInt32LittleEndian(data[12..]);
            if (length < 0 || length > data.Length - EntryHeaderBytes) return "an entry is cut short";
            var id = new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(data), previous.Index + 1);
            if (id.Term < previous.Term || id.Term > leaderTerm) return "terms fall along the log";
            if (data[8] is < (byte)EntryType.Noop or > (byte)EntryType.Digest) return $"unknown entry type {data[8]}";
            var proposal = new ProposalId(
                BinaryPrimitives.ReadUInt16LittleEndian(data[10..]),
                BinaryPrimitives.ReadUInt64LittleEndian(data[16..]),
                BinaryPrimitives.ReadUInt64LittleEndian(data[24..]));
            var payload = owned.Slice(owned.Length - data.Length + EntryHeaderBytes, length);
            if (Refuse((EntryType)data[8], payload.Span) is { } error) return error;
            entries[i] = new LogEntry(id, (EntryType)data[8], proposal, payload);
            data = data[(EntryHeaderBytes + length)..];
            previous = id;
        }

        return data.Length == 0 ? null : "bytes follow the last entry";
    }

    /// <summary>What the core itself reads must be readable before it is in the log.</summary>
    private static string? Refuse(EntryType type, ReadOnlySpan<byte> payload) => type switch
    {
        EntryType.Configuration => ConfigurationCodec.TryDecode(payload, out _),
        EntryType.Digest when payload.Length != DigestVerdict.Bytes => "a digest of a wrong length",
        EntryType.Noop when payload.Length is not (0 or 8) => "a no-op with a payload that is no start",
        _ => null,
    };
}
