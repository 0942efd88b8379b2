using System.Buffers.Binary;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// What a node that serves leaves on its disks with each stamp (design §14.24): what is committed, and what it knows of the lives of the members. When a
/// majority of directories is put back while nobody who knows better is up, the disks still do. It is as true as what a peer says, and
/// judged by the same rule. Untrusted: it is read from a disk. Little-endian:
/// <code>
///   0  4 magic "RMDT"  4  2 format, 1  6  2 number of lives, at most 19  8 16 cluster id (RFC 9562 byte order)  24  2 writer  26  6 zero
///  32 16 the last entry that the writer had applied: term, index
///  48 50 each life: 2 node, 8 incarnation, 8 start, 16 promised: term, index, 16 forgiven: term, index
///      4 CRC-32C of all before
/// </code>
/// </summary>
/// <param name="Cluster">The generation of the cluster that it speaks of: one that was recovered by force has another.</param>
/// <param name="Writer">Who wrote it.</param>
/// <param name="Committed">An entry that was committed then.</param>
/// <param name="Lives">The writer's own first, then those of voters, then of others, as many as fit.</param>
internal sealed record Testimony(Guid Cluster, NodeId Writer, EntryId Committed, KnownLife[] Lives)
{
    /// <summary>What a label holds beside its stamp.</summary>
    public const int MaxBytes = 1024;

    public const int MaxLives = (MaxBytes - HeaderBytes - CrcBytes) / LifeBytes;
    private const int HeaderBytes = 48;
    private const int LifeBytes = 50;
    private const int CrcBytes = 4;
    private const uint Magic = 0x54444D52; // "RMDT"
    private const ushort Format = 1;

    public byte[] Encode()
    {
        var count = Math.Min(Lives.Length, MaxLives);
        var bytes = new byte[HeaderBytes + (count * LifeBytes) + CrcBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), Format);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), (ushort)count);
        Cluster.TryWriteBytes(bytes.AsSpan(8), bigEndian: true, out _);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(24), Writer.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(32), Committed.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(40), Committed.Index);
        for (var i = 0; i < count; i++) Encode(bytes.AsSpan(HeaderBytes + (i * LifeBytes), LifeBytes), Lives[i]);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(bytes.Length - CrcBytes), Crc32C.Compute(bytes.AsSpan(0, bytes.Length - CrcBytes)));
        return bytes;
    }

    /// <summary>Reads what a disk holds.</summary>
    /// <returns>Null if it is none, or of another format.</returns>
    public static Testimony? TryDecode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length is < HeaderBytes + CrcBytes or > MaxBytes) return null;
        var body = bytes[..^CrcBytes];
        var count = BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]);
        var isSound = BinaryPrimitives.ReadUInt32LittleEndian(bytes) == Magic
            && BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]) == Format
            && body.Length == HeaderBytes + (count * LifeBytes)
            && BinaryPrimitives.ReadUInt32LittleEndian(bytes[body.Length..]) == Crc32C.Compute(body);
        if (!isSound) return null;
        var lives = new KnownLife[count];
        for (var i = 0; i < count; i++) lives[i] = Decode(body.Slice(HeaderBytes + (i * LifeBytes), LifeBytes));
        return new Testimony(
            new Guid(bytes.Slice(8, 16), bigEndian: true), new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(bytes[24..])),
            new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..])), lives);
    }

    private static void Encode(Span<byte> target, in KnownLife life)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(target, life.Node.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(target[2..], life.Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(target[10..], life.Start);
        BinaryPrimitives.WriteUInt64LittleEndian(target[18..], life.Promised.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(target[26..], life.Promised.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(target[34..], life.Forgiven.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(target[42..], life.Forgiven.Index);
    }

    private static KnownLife Decode(ReadOnlySpan<byte> source) => new(
        new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(source)), BinaryPrimitives.ReadUInt64LittleEndian(source[2..]),
        BinaryPrimitives.ReadUInt64LittleEndian(source[10..]),
        new Promised(BinaryPrimitives.ReadUInt64LittleEndian(source[18..]), BinaryPrimitives.ReadUInt64LittleEndian(source[26..])),
        new Promised(BinaryPrimitives.ReadUInt64LittleEndian(source[34..]), BinaryPrimitives.ReadUInt64LittleEndian(source[42..])));
}
