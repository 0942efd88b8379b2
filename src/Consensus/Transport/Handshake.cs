using System.Buffers.Binary;
using System.Text;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>What a connection is for. Values are on the wire.</summary>
internal enum Lane : byte
{
    /// <summary>Raft messages, from the dialler to the listener only.</summary>
    Raft = 1,

    /// <summary>Requests from the dialler, answers from the listener: a large one never delays a heartbeat.</summary>
    Rpc = 2,

    /// <summary>As <see cref="Rpc"/>, for snapshots: rate limited, so that they delay no other request.</summary>
    Snapshot = 3,
}

/// <summary>Why a handshake was refused. Values are on the wire and in log messages.</summary>
internal enum HandshakeStatus : ushort
{
    Accepted = 0,

    /// <summary>Not our protocol, or damaged.</summary>
    Malformed = 1,
    VersionMismatch = 2,
    WrongCluster = 3,

    /// <summary>The dialler claims to be this node, or nobody.</summary>
    UnknownPeer = 4,

    /// <summary>The dialler wanted another node.</summary>
    WrongNode = 5,

    /// <summary>A later life of this peer has been seen: a process that should be dead is not, or its directory was put back (design §14.24).</summary>
    StaleIncarnation = 6,

    /// <summary>Too many connections.</summary>
    Busy = 7,

    /// <summary>The dialler was a member and has been removed for good.</summary>
    Removed = 8,

    /// <summary>The certificate does not name the node that the peer claims to be.</summary>
    WrongIdentity = 9,
}

/// <summary>The protocol versions that a node speaks, lowest to highest.</summary>
internal readonly record struct VersionRange(ushort Lowest, ushort Highest)
{
    /// <summary>This build's. Version 1 knew neither nonces nor dial-back addresses.</summary>
    public static readonly VersionRange Own = new(2, 2);

    /// <summary>The highest version in both, or null.</summary>
    public ushort? CommonWith(VersionRange other)
    {
        var highest = Math.Min(Highest, other.Highest);
        return highest >= Math.Max(Lowest, other.Lowest) ? highest : null;
    }

    public override string ToString() => $"{Lowest} to {Highest}";
}

/// <summary>
/// The dialler's first bytes, little-endian. The first 9 and the checksum's place stay in all versions, so that every version can
/// refuse every other politely.
/// <code>
///  0 4 magic "RMPT"   4 2 lowest version   6 2 highest version   8 1 lane   9 3 zero   12 16 cluster id
/// 28 2 from   30 2 to   32 8 feature bits   40 8 incarnation   48 8 nonce   56 1 address bytes   57 3 zero
/// 60 4 CRC-32C of bytes 0..59; then the dialler's own peer address, HOST:PORT (UTF-8), and its CRC-32C 4
/// </code>
/// </summary>
/// <param name="Versions">What the dialler speaks.</param>
/// <param name="Lane">What the connection is for.</param>
/// <param name="ClusterId">The dialler's cluster.</param>
/// <param name="From">Who dials.</param>
/// <param name="To">Whom it wants.</param>
/// <param name="Incarnation">The dialler's life.</param>
/// <param name="Features">What it can do.</param>
/// <param name="Nonce">Random: the reply must repeat it, so that a recorded reply is not taken for a live node.</param>
internal readonly record struct Hello(
    VersionRange Versions, Lane Lane, Guid ClusterId, NodeId From, NodeId To, ulong Incarnation, ulong Features, ulong Nonce)
{
    public const int Bytes = 64;
    public const int MaxAddressBytes = 255;
    internal const uint Magic = 0x54504D52;

    /// <summary>Where the dialler listens; empty if unknown.</summary>
    public string Address { get; init; } = string.Empty;

    public byte[] Encode()
    {
        var address = Encoding.UTF8.GetBytes(Address);
        if (address.Length > MaxAddressBytes) throw new ArgumentException("An address has at most 255 bytes.");
        var bytes = new byte[Bytes + address.Length + 4];
        var buffer = bytes.AsSpan();
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[4..], Versions.Lowest);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[6..], Versions.Highest);
        buffer[8] = (byte)Lane;
        ClusterId.TryWriteBytes(buffer[12..]);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[28..], From.Value);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[30..], To.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[32..], Features);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[40..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[48..], Nonce);
        buffer[56] = (byte)address.Length;
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[60..], Crc32C.Compute(buffer[..60]));
        address.CopyTo(buffer[Bytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[^4..], Crc32C.Compute(address));
        return bytes;
    }

    /// <summary>Decodes the first 64 bytes.</summary>
    /// <param name="buffer">64 bytes.</param>
    /// <param name="tailBytes">How many bytes follow in version 2: address and checksum.</param>
    public static Hello? Decode(ReadOnlySpan<byte> buffer, out int tailBytes)
    {
        tailBytes = buffer[56] + 4;
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) != Magic) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer[60..]) != Crc32C.Compute(buffer[..60])) return null;
        if (buffer[8] is < (byte)Lane.Raft or > (byte)Lane.Snapshot) return null;
        return new Hello(
            new VersionRange(BinaryPrimitives.ReadUInt16LittleEndian(buffer[4..]), BinaryPrimitives.ReadUInt16LittleEndian(buffer[6..])),
            (Lane)buffer[8],
            new Guid(buffer.Slice(12, 16)),
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(buffer[28..])),
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(buffer[30..])),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[40..]),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[32..]),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[48..]));
    }

    /// <summary>Decodes what follows the first 64 bytes; null if damaged.</summary>
    public static string? DecodeAddress(ReadOnlySpan<byte> tail) =>
        BinaryPrimitives.ReadUInt32LittleEndian(tail[^4..]) == Crc32C.Compute(tail[..^4]) ? Encoding.UTF8.GetString(tail[..^4]) : null;
}

/// <summary>
/// The listener's answer, 64 bytes. The first 8 and the checksum's place stay in all versions.
/// <code>
///  0 4 magic "RMPT"   4 2 status   6 2 highest version   8 16 cluster id   24 2 node   26 2 lowest version   28 8 incarnation
/// 36 8 feature bits   44 8 the hello's nonce   52 8 challenge   60 4 CRC-32C of bytes 0..59
/// </code>
/// </summary>
/// <param name="Status">Accepted, or why not.</param>
/// <param name="Versions">What the listener speaks; the highest common one is spoken.</param>
/// <param name="ClusterId">The listener's cluster.</param>
/// <param name="Node">Who answers.</param>
/// <param name="Incarnation">The listener's life.</param>
/// <param name="Features">What it can do.</param>
/// <param name="Nonce">The hello's.</param>
/// <param name="Challenge">Random: the dialler must repeat it before anything it says counts, so that a recorded dialler
/// is not taken for a live one. Refused for a stale incarnation: the later one that was seen.</param>
internal readonly record struct HelloReply(
    HandshakeStatus Status, VersionRange Versions, Guid ClusterId, NodeId Node, ulong Incarnation, ulong Features, ulong Nonce, ulong Challenge)
{
    public void Encode(Span<byte> buffer)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, Hello.Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[4..], (ushort)Status);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[6..], Versions.Highest);
        ClusterId.TryWriteBytes(buffer[8..]);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[24..], Node.Value);
        BinaryPrimitives.WriteUInt16LittleEndian(buffer[26..], Versions.Lowest);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[28..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[36..], Features);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[44..], Nonce);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[52..], Challenge);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[60..], Crc32C.Compute(buffer[..60]));
    }

    public static HelloReply? Decode(ReadOnlySpan<byte> buffer)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer) != Hello.Magic) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(buffer[60..]) != Crc32C.Compute(buffer[..60])) return null;
        return new HelloReply(
            (HandshakeStatus)BinaryPrimitives.ReadUInt16LittleEndian(buffer[4..]),
            new VersionRange(BinaryPrimitives.ReadUInt16LittleEndian(buffer[26..]), BinaryPrimitives.ReadUInt16LittleEndian(buffer[6..])),
            new Guid(buffer.Slice(8, 16)),
            new NodeId(BinaryPrimitives.ReadUInt16LittleEndian(buffer[24..])),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[28..]),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[36..]),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[44..]),
            BinaryPrimitives.ReadUInt64LittleEndian(buffer[52..]));
    }
}

/// <summary>The dialler's last word of the handshake, 16 bytes: magic "RMPC" 4, the challenge 8, CRC-32C of bytes 0..11 4.
/// Frames follow at once.</summary>
internal static class ChallengeAnswer
{
    public const int Bytes = 16;
    private const uint Magic = 0x43504D52;

    public static void Encode(ulong challenge, Span<byte> buffer)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(buffer, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(buffer[4..], challenge);
        BinaryPrimitives.WriteUInt32LittleEndian(buffer[12..], Crc32C.Compute(buffer[..12]));
    }

    public static bool IsAnswerTo(ulong challenge, ReadOnlySpan<byte> buffer) =>
        BinaryPrimitives.ReadUInt32LittleEndian(buffer) == Magic
        && BinaryPrimitives.ReadUInt64LittleEndian(buffer[4..]) == challenge
        && BinaryPrimitives.ReadUInt32LittleEndian(buffer[12..]) == Crc32C.Compute(buffer[..12]);
}

/// <summary>The peer, or we, refused the handshake.</summary>
internal sealed class HandshakeRefusedException(HandshakeStatus status, string detail = "")
    : IOException($"handshake refused: {status}{(detail.Length > 0 ? $" ({detail})" : string.Empty)}")
{
    public HandshakeStatus Status { get; } = status;

    /// <summary>If the peer has seen a later life of this node: which.</summary>
    public ulong LaterIncarnation { get; init; }
}
