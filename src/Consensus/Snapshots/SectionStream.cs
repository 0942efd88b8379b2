using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>Reads a part of a file, and no more of it. The file was checked before, but is read a second time here: at its end the
/// stream checks again, and throws instead of saying "end". One thread.</summary>
internal sealed class SectionStream(ISnapshotFile file, long start, long lengthBytes, uint crc) : Stream
{
    private long _position;
    private uint _crc;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => lengthBytes;

    public override long Position
    {
        get => _position;
        set => throw new NotSupportedException();
    }

    /// <exception cref="InvalidDataException">The content is no longer what was checked.</exception>
    public override int Read(Span<byte> buffer)
    {
        if (buffer.Length == 0) return 0;
        var count = (int)Math.Min(buffer.Length, lengthBytes - _position);
        if (count == 0)
        {
            if (_crc != crc) throw new InvalidDataException("A snapshot's section reads differently from when it was checked.");
            return 0;
        }

        file.Read(start + _position, buffer[..count]);
        _crc = Crc32C.Append(_crc, buffer[..count]);
        _position += count;
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int ReadByte()
    {
        Span<byte> one = stackalloc byte[1];
        return Read(one) == 0 ? -1 : one[0];
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
