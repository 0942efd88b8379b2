using System.Buffers.Binary;
using System.Net.Sockets;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>Bytes from a peer that break the protocol: the connection ends.</summary>
internal sealed class ProtocolException(string message) : IOException(message);

/// <summary>What a frame carries. Values are on the wire.</summary>
internal enum FrameKind : byte
{
    Raft = 1,
    Request = 2,
    Response = 3,
    Cancel = 4,
}

/// <summary>Frames on a connection: length of the body 4, kind 1, zero 3, CRC-32C over the first 8 bytes and the body 4; then the body.
/// One reader and one writer at a time.</summary>
internal sealed class FrameStream : IDisposable
{
    public const int HeaderBytes = 12;

    private readonly NetworkStream _stream;
    private readonly byte[] _readHeader = new byte[HeaderBytes];

    public FrameStream(Socket socket)
    {
        socket.NoDelay = true;
        _stream = new NetworkStream(socket, ownsSocket: true);
    }

    public NetworkStream Raw => _stream;

    /// <summary>A buffer for a frame whose body is written after the header.</summary>
    public static byte[] Rent(int bodyBytes) => new byte[HeaderBytes + bodyBytes];

    /// <summary>Completes the header of a frame from <see cref="Rent"/>.</summary>
    public static void Seal(byte[] frame, FrameKind kind)
    {
        BinaryPrimitives.WriteInt32LittleEndian(frame, frame.Length - HeaderBytes);
        frame[4] = (byte)kind;
        var crc = Crc32C.Append(Crc32C.Compute(frame.AsSpan(0, 8)), frame.AsSpan(HeaderBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(8), crc);
    }

    public ValueTask WriteAsync(byte[] frame, CancellationToken cancellationToken) => _stream.WriteAsync(frame, cancellationToken);

    /// <summary>Reads one frame.</summary>
    /// <param name="maxBodyBytes">More is a protocol error, found before anything is allocated.</param>
    /// <param name="cancellationToken">Ends the connection's use.</param>
    public async ValueTask<(FrameKind Kind, byte[] Body)> ReadAsync(int maxBodyBytes, CancellationToken cancellationToken)
    {
        await _stream.ReadExactlyAsync(_readHeader, cancellationToken);
        var length = BinaryPrimitives.ReadInt32LittleEndian(_readHeader);
        if (length < 0 || length > maxBodyBytes) throw new ProtocolException($"a frame of {length} bytes; at most {maxBodyBytes} are allowed");
        if (_readHeader[4] is < (byte)FrameKind.Raft or > (byte)FrameKind.Cancel) throw new ProtocolException("an unknown kind of frame");
        var body = new byte[length];
        await _stream.ReadExactlyAsync(body, cancellationToken);
        var crc = Crc32C.Append(Crc32C.Compute(_readHeader.AsSpan(0, 8)), body);
        if (BinaryPrimitives.ReadUInt32LittleEndian(_readHeader.AsSpan(8)) != crc) throw new ProtocolException("a wrong checksum");
        return ((FrameKind)_readHeader[4], body);
    }

    public void Dispose() => _stream.Dispose();
}
