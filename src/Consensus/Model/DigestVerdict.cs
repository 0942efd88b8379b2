using System.Buffers.Binary;

namespace RaftMirror.Consensus.Model;

/// <summary>What a majority found the state to be. In the log as an entry of type <see cref="EntryType.Digest"/>: 8 bytes index,
/// 8 bytes digest, 1 byte 1 if a majority agrees; little-endian.</summary>
/// <param name="Index">The checkpoint: state after this entry.</param>
/// <param name="Value">The majority's digest; 0 without one.</param>
/// <param name="IsAgreed">False if no two sufficiently many agree: nobody can say who is right, so nobody goes on.</param>
internal readonly record struct DigestVerdict(ulong Index, ulong Value, bool IsAgreed)
{
    public const int Bytes = 17;

    public byte[] Encode()
    {
        var bytes = new byte[Bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Index);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), Value);
        bytes[16] = IsAgreed ? (byte)1 : (byte)0;
        return bytes;
    }

    public static DigestVerdict Decode(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]), bytes[16] != 0);
}
