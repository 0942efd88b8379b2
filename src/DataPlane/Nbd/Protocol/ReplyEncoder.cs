using System.Buffers.Binary;

namespace RaftMirror.DataPlane.Nbd.Protocol;

/// <summary>Writes replies. Data of a READ follows its header and is sent from the buffer it was read into.
/// <code>
/// simple:     0 magic u32 | 4 error u32 | 8 cookie u64 | 16 data
/// structured: 0 magic u32 | 4 flags u16 (1 = last) | 6 type u16 | 8 cookie u64 | 16 length u32 | 20 payload
///   data:     20 offset u64 | 28 data
///   error:    20 error u32 | 24 text length u16 | 26 text
///   status:   20 context u32 | 24 extent length u32 | 28 extent flags u32
/// </code></summary>
internal static class ReplyEncoder
{
    /// <summary>Longest text of an error.</summary>
    public const int MaxTextBytes = 128;

    /// <summary>Room that any reply needs, without the data of a READ.</summary>
    public const int MaxHeaderBytes = 26 + MaxTextBytes;

    private const ushort Done = 1;

    /// <summary>Writes what comes before the data of a successful READ: one chunk, so that DF holds by itself.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteReadHeader(Span<byte> target, in RequestHeader request, bool structured)
    {
        if (!structured) return WriteSimple(target, request.Cookie, NbdError.None);
        if (request.Length == 0) return WriteChunk(target, ChunkType.None, request.Cookie, 0);
        WriteChunk(target, ChunkType.OffsetData, request.Cookie, request.Length + 8);
        BinaryPrimitives.WriteUInt64BigEndian(target[20..], request.Offset);
        return 28;
    }

    /// <summary>Writes the success of any other command. Also with structured replies it may be simple, and is shorter.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteSuccess(Span<byte> target, in RequestHeader request) =>
        WriteSimple(target, request.Cookie, NbdError.None);

    /// <summary>Writes an error, with text where the client understands chunks.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteError(Span<byte> target, in RequestHeader request, NbdRefusal refusal, bool structured)
    {
        var error = NbdErrors.Number(refusal);
        if (!structured) return WriteSimple(target, request.Cookie, error);
        var text = NbdErrors.Text(refusal);
        WriteChunk(target, ChunkType.Error, request.Cookie, (uint)(6 + text.Length));
        BinaryPrimitives.WriteUInt32BigEndian(target[20..], (uint)error);
        BinaryPrimitives.WriteUInt16BigEndian(target[24..], (ushort)text.Length);
        text.CopyTo(target[26..]);
        return 26 + text.Length;
    }

    /// <summary>Writes the answer to BLOCK_STATUS: one extent over the whole range, allocated and not known to be
    /// zero. That is always true of a mirror without thin provisioning.</summary>
    /// <returns>Bytes written.</returns>
    public static int WriteAllocated(Span<byte> target, in RequestHeader request)
    {
        WriteChunk(target, ChunkType.BlockStatus, request.Cookie, 12);
        BinaryPrimitives.WriteUInt32BigEndian(target[20..], NbdWire.AllocationContextId);
        BinaryPrimitives.WriteUInt32BigEndian(target[24..], request.Length);
        BinaryPrimitives.WriteUInt32BigEndian(target[28..], 0);
        return 32;
    }

    private static int WriteSimple(Span<byte> target, ulong cookie, NbdError error)
    {
        BinaryPrimitives.WriteUInt32BigEndian(target, NbdWire.SimpleReplyMagic);
        BinaryPrimitives.WriteUInt32BigEndian(target[4..], (uint)error);
        BinaryPrimitives.WriteUInt64BigEndian(target[8..], cookie);
        return 16;
    }

    private static int WriteChunk(Span<byte> target, ChunkType type, ulong cookie, uint lengthBytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(target, NbdWire.StructuredReplyMagic);
        BinaryPrimitives.WriteUInt16BigEndian(target[4..], Done);
        BinaryPrimitives.WriteUInt16BigEndian(target[6..], (ushort)type);
        BinaryPrimitives.WriteUInt64BigEndian(target[8..], cookie);
        BinaryPrimitives.WriteUInt32BigEndian(target[16..], lengthBytes);
        return 20;
    }
}
