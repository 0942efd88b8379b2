using System.Buffers.Binary;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>
/// Between the load generator and a server, little-endian, pipelined in both directions:
/// <code>
/// request:  0 4 bytes that follow, 4 1 kind, 5 8 id, 13 body (a put: 0 2 bytes of the key, 2 key, value)
/// response: 0 4 bytes that follow, 4 1 status, 5 8 id, 13 body
/// </code>
/// </summary>
internal static class ClientProtocol
{
    public const int HeaderBytes = 13;
    public const int MaxFrameBytes = 1 << 20;

    /// <summary>Answered when the command is committed and applied.</summary>
    public const byte Put = 1;

    /// <summary>Answered with the server's <see cref="ProcessStatus"/> as JSON.</summary>
    public const byte Status = 2;

    public const byte Done = 0;
    public const byte Failed = 1;

    /// <summary>The key that every put of a run sets: the same as etcd's.</summary>
    public static ReadOnlySpan<byte> Key => "bench/key-0000001"u8;

    /// <summary>Writes the header of a frame whose body has <paramref name="bodyBytes"/> bytes.</summary>
    public static void WriteHeader(Span<byte> frame, byte kind, ulong id, int bodyBytes)
    {
        BinaryPrimitives.WriteInt32LittleEndian(frame, HeaderBytes - 4 + bodyBytes);
        frame[4] = kind;
        BinaryPrimitives.WriteUInt64LittleEndian(frame[5..], id);
    }

    /// <summary>A whole put, with bytes that do not repeat.</summary>
    public static byte[] MakePut(int valueBytes)
    {
        var frame = new byte[HeaderBytes + 2 + Key.Length + valueBytes];
        WriteHeader(frame, Put, 0, frame.Length - HeaderBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(HeaderBytes), (ushort)Key.Length);
        Key.CopyTo(frame.AsSpan(HeaderBytes + 2));
        new Random(1).NextBytes(frame.AsSpan(HeaderBytes + 2 + Key.Length));
        return frame;
    }

    /// <summary>Finds the first whole frame.</summary>
    /// <returns>Its length, or 0 if more bytes are needed.</returns>
    /// <exception cref="InvalidDataException">No frame of this protocol.</exception>
    public static int FrameLength(ReadOnlySpan<byte> received)
    {
        if (received.Length < HeaderBytes) return 0;
        var length = BinaryPrimitives.ReadInt32LittleEndian(received);
        if (length is < HeaderBytes - 4 or > MaxFrameBytes) throw new InvalidDataException($"a frame of {length} bytes");
        return received.Length >= length + 4 ? length + 4 : 0;
    }

    public static ulong Id(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt64LittleEndian(frame[5..]);
}

/// <summary>What a server of ours says of itself.</summary>
/// <param name="Pid">Its process.</param>
/// <param name="IsLeader">It leads and has applied an entry of its own term.</param>
/// <param name="Term">Raft's term.</param>
/// <param name="Applied">Puts applied by its state machine.</param>
/// <param name="AllocatedBytes">Managed bytes allocated since the process began.</param>
internal sealed record ProcessStatus(int Pid, bool IsLeader, ulong Term, long Applied, long AllocatedBytes);
