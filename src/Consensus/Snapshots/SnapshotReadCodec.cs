using System.Buffers.Binary;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>What became of a request for a chunk. On wire: never renumber.</summary>
internal enum ChunkStatus : byte
{
    /// <summary>Here it is.</summary>
    Chunk = 0,

    /// <summary>The node has no such snapshot, or no more.</summary>
    Gone = 1,

    /// <summary>The offset or length is impossible.</summary>
    BadRange = 2,

    /// <summary>The node's copy is damaged.</summary>
    Damaged = 3,
}

/// <summary>A request for a part of a snapshot.</summary>
internal readonly record struct ChunkRequest(EntryId Last, long Offset, int LengthBytes);

/// <summary>The answer.</summary>
/// <param name="Status">Whether there is a chunk; without one the rest is empty.</param>
/// <param name="Snapshot">What the source holds: length and checksum must be those of the snapshot that is being received.</param>
/// <param name="Offset">Of the chunk.</param>
/// <param name="Bytes">The chunk.</param>
/// <param name="Crc">CRC-32C of <paramref name="Bytes"/>.</param>
internal sealed record ChunkAnswer(ChunkStatus Status, SnapshotOffer Snapshot, long Offset, ReadOnlyMemory<byte> Bytes, uint Crc)
{
    public static ChunkAnswer Failed(ChunkStatus status) => new(status, default, 0, default, 0);
}

/// <summary>
/// Requests of the method "raft.snapshot.read" and their answers, little-endian. Pure, any thread.
/// <code>
/// request    0  8 term       8  8 index    16  8 offset    24  4 length    28  4 zero
/// answer     0  1 status     1  3 zero      4  4 checksum of the chunk
///            8  8 term      16  8 index    24  8 length of the snapshot    32  4 checksum of the snapshot   36  4 zero
///           40  8 offset    48  the chunk
/// </code>
/// </summary>
internal static class SnapshotReadCodec
{
    public const string Method = "raft.snapshot.read";
    private const int RequestBytes = 32;
    private const int AnswerBytes = 48;

    public static byte[] Encode(ChunkRequest request)
    {
        var bytes = new byte[RequestBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, request.Last.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), request.Last.Index);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), request.Offset);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(24), request.LengthBytes);
        return bytes;
    }

    /// <returns>Null, or what is wrong.</returns>
    public static string? TryDecode(ReadOnlySpan<byte> data, out ChunkRequest request)
    {
        request = default;
        if (data.Length != RequestBytes) return $"a request for a chunk of {data.Length} bytes";
        if (BinaryPrimitives.ReadUInt32LittleEndian(data[28..]) != 0) return "reserved bytes are not zero";
        request = new ChunkRequest(
            new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(data), BinaryPrimitives.ReadUInt64LittleEndian(data[8..])),
            BinaryPrimitives.ReadInt64LittleEndian(data[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(data[24..]));
        return null;
    }

    public static byte[] Encode(ChunkAnswer answer)
    {
        var bytes = new byte[AnswerBytes + answer.Bytes.Length];
        bytes[0] = (byte)answer.Status;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), answer.Crc);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), answer.Snapshot.Last.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), answer.Snapshot.Last.Index);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(24), answer.Snapshot.LengthBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(32), answer.Snapshot.Crc);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(40), answer.Offset);
        answer.Bytes.CopyTo(bytes.AsMemory(AnswerBytes));
        return bytes;
    }

    /// <param name="data">One answer, no more; the answer's chunk is a part of it.</param>
    /// <param name="answer">The answer, if sound; its chunk's checksum is right.</param>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryDecode(ReadOnlyMemory<byte> data, out ChunkAnswer answer)
    {
        answer = ChunkAnswer.Failed(ChunkStatus.Damaged);
        var header = data.Span;
        if (header.Length < AnswerBytes) return "an answer is cut short";
        if (header[0] > (byte)ChunkStatus.Damaged) return $"unknown status {header[0]} of a chunk";
        if (header[1] != 0 || header[2] != 0 || header[3] != 0 || BinaryPrimitives.ReadUInt32LittleEndian(header[36..]) != 0)
            return "reserved bytes are not zero";
        var status = (ChunkStatus)header[0];
        var bytes = data[AnswerBytes..];
        if (bytes.Length > SnapshotStore.MaxChunkBytes) return $"a chunk of {bytes.Length} bytes";
        if (status == ChunkStatus.Chunk == (bytes.Length == 0)) return "a chunk without bytes, or bytes without a chunk";
        var crc = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        if (Crc32C.Compute(bytes.Span) != crc) return "a chunk's checksum is wrong";
        answer = new ChunkAnswer(
            status,
            new SnapshotOffer(
                new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(header[8..]), BinaryPrimitives.ReadUInt64LittleEndian(header[16..])),
                BinaryPrimitives.ReadInt64LittleEndian(header[24..]),
                BinaryPrimitives.ReadUInt32LittleEndian(header[32..])),
            BinaryPrimitives.ReadInt64LittleEndian(header[40..]),
            bytes,
            crc);
        return null;
    }
}
