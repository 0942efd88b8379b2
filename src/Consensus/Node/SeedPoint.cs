using System.Buffers.Binary;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>Where the node stands whose history counts: 8 floor term, 8 floor index, 8 term, 8 index, little-endian.</summary>
/// <param name="Floor">An entry that its history has, and all that it goes on with.</param>
/// <param name="Promised">How far it is bound itself.</param>
internal readonly record struct SeedPoint(EntryId Floor, Promised Promised)
{
    public byte[] Encode()
    {
        var bytes = new byte[32];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Floor.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), Floor.Index);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), Promised.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), Promised.Index);
        return bytes;
    }

    public static SeedPoint Decode(ReadOnlySpan<byte> bytes) => new(
        new EntryId(BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..])),
        new Promised(BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..])));
}
