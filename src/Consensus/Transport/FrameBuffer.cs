using System.Buffers;
using System.Buffers.Binary;
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

/// <summary>Frames one after the other in a pooled array that grows. Length of the body 4, kind 1, zero 3, CRC-32C over the first
/// 8 bytes and the body 4; then the body. One thread at a time.</summary>
internal sealed class FrameBuffer : IDisposable
{
    public const int HeaderBytes = 12;
    private const int SmallBytes = 16 * 1024;
    private const int KeptBytes = 1024 * 1024;

    private byte[] _bytes = ArrayPool<byte>.Shared.Rent(SmallBytes);
    private int _start;

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Memory => _bytes.AsMemory(0, Length);

    /// <summary>A frame of its own array, for tests.</summary>
    public static byte[] Single(FrameKind kind, ReadOnlySpan<byte> body)
    {
        using var buffer = new FrameBuffer();
        buffer.Add(kind, body, []);
        return buffer.Memory.ToArray();
    }

    /// <summary>Begins a frame; its body is to be written into the span, then <see cref="Seal"/>.</summary>
    public Span<byte> Begin(int bodyBytes)
    {
        var needed = checked(Length + HeaderBytes + bodyBytes);
        if (needed > _bytes.Length) Grow(needed);
        _start = Length;
        Length = needed;
        return _bytes.AsSpan(_start + HeaderBytes, bodyBytes);
    }

    /// <summary>Completes the frame begun last.</summary>
    public void Seal(FrameKind kind)
    {
        var frame = _bytes.AsSpan(_start, Length - _start);
        BinaryPrimitives.WriteInt32LittleEndian(frame, frame.Length - HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[4..], (byte)kind);
        var crc = Crc32C.Append(Crc32C.Compute(frame[..8]), frame[HeaderBytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[8..], crc);
    }

    /// <summary>Adds a whole frame whose body is <paramref name="head"/> and <paramref name="rest"/>.</summary>
    public void Add(FrameKind kind, ReadOnlySpan<byte> head, ReadOnlySpan<byte> rest)
    {
        var body = Begin(head.Length + rest.Length);
        head.CopyTo(body);
        rest.CopyTo(body[head.Length..]);
        Seal(kind);
    }

    /// <summary>Empties it; an array that one large frame needed goes back.</summary>
    public void Clear()
    {
        Length = 0;
        if (_bytes.Length <= KeptBytes) return;
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = ArrayPool<byte>.Shared.Rent(SmallBytes);
    }

    public void Dispose()
    {
        var bytes = _bytes;
        _bytes = [];
        Length = 0;
        if (bytes.Length > 0) ArrayPool<byte>.Shared.Return(bytes);
    }

    private void Grow(int needed)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, _bytes.Length * 2));
        _bytes.AsSpan(0, Length).CopyTo(larger);
        if (_bytes.Length > 0) ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = larger;
    }
}
