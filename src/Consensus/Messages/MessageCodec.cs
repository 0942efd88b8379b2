using System.Buffers.Binary;
using RaftMirror.Consensus.Core;

namespace RaftMirror.Consensus.Messages;

/// <summary>
/// Raft messages as bytes, little-endian. Sender and receiver are the connection's, not the message's.
/// <code>
///   0  1 kind   1  1 flags (1 reject, 2 transfer)   2  2 zero    4  4 number of entries
///   8  8 term  16  8 log term  24  8 log index      32  8 commit 40  8 round  48  8 hint term  56  8 hint index
/// then per entry:
///   0  8 term   8  1 type   9  1 zero  10  2 proposer  12  4 payload bytes  16  8 incarnation  24  8 sequence, payload
/// </code>
/// </summary>
internal static class MessageCodec
{
    private const int HeaderBytes = 64;
    private const int EntryHeaderBytes = 32;

    public static int Length(in Message message)
    {
        var length = HeaderBytes;
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
        if (data[0] is < (byte)MessageKind.PreVote or > (byte)MessageKind.InstallSnapshot) return $"unknown message kind {data[0]}";
        if (data[1] > 3) return "unknown flags";
        var count = BinaryPrimitives.ReadInt32LittleEndian(data[4..]);
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
        EntryType.Noop when payload.Length != 0 => "a no-op with a payload",
        _ => null,
    };
}
