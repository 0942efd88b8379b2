using System.Buffers.Binary;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>What a connection is for. Values are on the wire.</summary>
internal enum Lane : byte
{
    /// <summary>Raft messages, from the dialler to the listener only.</summary>
    Raft = 1,

    /// <summary>Requests from the dialler, answers from the listener: a large one never delays a heartbeat.</summary>
    Rpc = 2,
}

/// <summary>Why a handshake was refused. Values are on the wire and in log messages.</summary>
internal enum HandshakeStatus : ushort
{
    Accepted = 0,

    /// <summary>Not our protocol, or damaged.</summary>
    Malformed = 1,
    VersionMismatch = 2,
    WrongCluster = 3,

    /// <summary>The dialler is no member.</summary>
    UnknownPeer = 4,

    /// <summary>The dialler wanted another node.</summary>
    WrongNode = 5,

    /// <summary>A later life of this peer has been seen: a process that should be dead is not, or its state was rolled back.</summary>
    StaleIncarnation = 6,

    /// <summary>Too many connections of this peer.</summary>
    Busy = 7,
}

/// <summary>The first bytes from the dialler: 64, little-endian. Magic "RMPT" 4, lowest and highest protocol version 2 + 2,
/// lane 1, zero 3, cluster id 16, from 2, to 2, zero 8, incarnation 8, zero 12, CRC-32C of bytes 0..59 4.</summary>
internal readonly record struct Hello(
    ushort LowestVersion, ushort HighestVersion, Lane Lane, Guid ClusterId, NodeId From, NodeId To, ulong Incarnation)
{
    public const int Bytes = 64;
    public const ushort Version = 1;
    internal const uint Magic = 0x54504D52;

    public void Encode(Span<byte> buffer)
    {
        buffer[..Bytes].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[4..], LowestVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[6..], HighestVersion);
        buffer[8] = (byte)Lane;
        ClusterId.TryWriteBytes(buffer[12..]);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[28..], From.Value);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[30..], To.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[40..], Incarnation);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[60..], Crc32C.Compute(buffer[..60]));
    }

    public static Hello? Decode(ReadOnlySpan<byte> buffer)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) != Magic) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer[60..]) != Crc32C.Compute(buffer[..60])) return null;
        if (buffer[8] is not ((byte)Lane.Raft or (byte)Lane.Rpc)) return null;
        return new Hello(
            BinaryPrimitives.ReadUInt16LittleEndian(buffer[4..]),
            BinaryPrimitives.ReadUInt16LittleEndian(buffer[6..]),
            (Lane)buffer[8],
            new Guid(buffer.Slice(12, 16)),
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(buffer[28..])),
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(buffer[30..])),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[40..]));
    }
}

/// <summary>The listener's answer: 64 bytes. Magic "RMPT" 4, status 2, version 2, cluster id 16, node 2, zero 6, incarnation 8,
/// zero 20, CRC-32C of bytes 0..59 4.</summary>
internal readonly record struct HelloReply(HandshakeStatus Status, ushort Version, Guid ClusterId, NodeId Node, ulong Incarnation)
{
    public void Encode(Span<byte> buffer)
    {
        buffer[..Hello.Bytes].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, Hello.Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[4..], (ushort)Status);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[6..], Version);
        ClusterId.TryWriteBytes(buffer[8..]);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[24..], Node.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[32..], Incarnation);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[60..], Crc32C.Compute(buffer[..60]));
    }

    public static HelloReply? Decode(ReadOnlySpan<byte> buffer)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) != Hello.Magic) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer[60..]) != Crc32C.Compute(buffer[..60])) return null;
        return new HelloReply(
            (HandshakeStatus)BinaryPrimitives.ReadUInt16LittleEndian(buffer[4..]),
            BinaryPrimitives.ReadUInt16LittleEndian(buffer[6..]),
            new Guid(buffer.Slice(8, 16)),
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(buffer[24..])),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[32..]));
    }
}
