using System.Buffers;
using System.Buffers.Binary;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>Frames out of a connection's bytes: many frames per read, no array per frame. One reader at a time. The buffer grows
/// with what has arrived, never with what a header announces.</summary>
internal sealed class FrameReader(Stream stream) : IDisposable
{
    /// <summary>A frame that has begun must get this much further within the stall timeout, or end.</summary>
    public const int ProgressBytes = 64 * 1024;
    private const int SmallBytes = 64 * 1024;
    private const int KeptBytes = 1024 * 1024;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(SmallBytes);
    private int _start;
    private int _end;
    private int _progress;
    private long _waitingSinceMs;

    /// <summary>Since when an incomplete frame waits for its next 64 KiB; 0 if none does. Any thread.</summary>
    public long WaitingSinceMs => Volatile.Read(ref _waitingSinceMs);

    /// <summary>Takes the next frame if it has arrived whole.</summary>
    /// <param name="maxBodyBytes">More is a protocol error, found before anything is allocated.</param>
    /// <param name="kind">Its kind.</param>
    /// <param name="body">Valid until <see cref="FillAsync"/> or <see cref="Fill"/>.</param>
    public bool TryRead(int maxBodyBytes, out FrameKind kind, out ReadOnlyMemory<byte> body)
    {
        kind = default;
        body = default;
        var available = _end - _start;
        if (available < FrameBuffer.HeaderBytes) return false;
        var header = _buffer.AsSpan(_start, FrameBuffer.HeaderBytes);
        var length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length < 0 || length > maxBodyBytes) throw new ProtocolException($"a frame of {length} bytes; at most {maxBodyBytes} are allowed");
        if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) is < (uint)FrameKind.Raft or > (uint)FrameKind.Cancel)
            throw new ProtocolException("an unknown kind of frame");
        if (available - FrameBuffer.HeaderBytes < length) return false;
        var content = _buffer.AsMemory(_start + FrameBuffer.HeaderBytes, length);
        var crc = Crc32C.Append(Crc32C.Compute(header[..8]), content.Span);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header[8..]) != crc) throw new ProtocolException("a wrong checksum");
        kind = (FrameKind)header[4];
        body = content;
        _start += FrameBuffer.HeaderBytes + length;
        _progress = 0; // What is left belongs to another frame, which has its own time.
        Volatile.Write(ref _waitingSinceMs, 0);
        return true;
    }

    /// <summary>Reads more bytes; to be called when <see cref="TryRead"/> found no whole frame.</summary>
    /// <exception cref="EndOfStreamException">The peer closed the connection.</exception>
    public async ValueTask FillAsync(CancellationToken cancellationToken)
    {
        BeginFill();
        EndFill(await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken));
    }

    /// <summary>As <see cref="FillAsync"/>, waiting on the caller's thread until the connection ends, by whatever side.</summary>
    public void Fill()
    {
        BeginFill();
        EndFill(stream.Read(_buffer.AsSpan(_end)));
    }

    public void Dispose()
    {
        var buffer = _buffer;
        _buffer = [];
        if (buffer.Length > 0) ArrayPool<byte>.Shared.Return(buffer);
    }

    private void BeginFill()
    {
        MakeRoom();
        Volatile.Write(ref _waitingSinceMs, _end == 0 ? 0 : _waitingSinceMs != 0 ? _waitingSinceMs : Environment.TickCount64);
    }

    private void EndFill(int count)
    {
        if (count == 0) throw new EndOfStreamException(_end == 0 ? "the peer closed the connection" : "the peer closed the connection within a frame");
        _end += count;
        _progress += count;
        if (_progress >= ProgressBytes || _waitingSinceMs == 0)
        {
            _progress = 0;
            Volatile.Write(ref _waitingSinceMs, 0);
        }
    }

    private void MakeRoom()
    {
        var left = _end - _start;
        if (left == 0 && _buffer.Length > KeptBytes) Replace(SmallBytes);
        else if (left == _buffer.Length) Replace(_buffer.Length * 2);
        else if (_start > 0) _buffer.AsSpan(_start, left).CopyTo(_buffer);
        _start = 0;
        _end = left;
    }

    private void Replace(int bytes)
    {
        var other = ArrayPool<byte>.Shared.Rent(bytes);
        _buffer.AsSpan(_start, _end - _start).CopyTo(other);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = other;
    }
}
