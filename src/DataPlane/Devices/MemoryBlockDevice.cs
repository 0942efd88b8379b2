using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Devices;

/// <summary>A disk in memory for tests and simulation; memory is taken where something was written. Any thread.</summary>
internal sealed class MemoryBlockDevice : IBlockDevice
{
    private const int ChunkBytes = 64 << 10;
    private readonly Lock _gate = new();
    private readonly byte[]?[] _chunks;

    /// <summary>A device that reads as zeros.</summary>
    public MemoryBlockDevice(string name, long sizeBytes, int sectorBytes = 512)
    {
        Invariant.Require(sizeBytes % sectorBytes == 0, "A device has whole sectors.");
        Name = name;
        SizeBytes = sizeBytes;
        SectorBytes = sectorBytes;
        _chunks = new byte[]?[(sizeBytes + ChunkBytes - 1) / ChunkBytes];
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public long SizeBytes { get; }

    /// <inheritdoc/>
    public int SectorBytes { get; }

    /// <inheritdoc/>
    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        RequireRange(offset, buffer.Length);
        lock (_gate)
        {
            while (buffer.Length > 0)
            {
                var inChunk = (int)(offset % ChunkBytes);
                var part = buffer[..Math.Min(buffer.Length, ChunkBytes - inChunk)];
                if (_chunks[offset / ChunkBytes] is { } chunk) chunk.AsSpan(inChunk, part.Length).CopyTo(part);
                else part.Clear();
                offset += part.Length;
                buffer = buffer[part.Length..];
            }
        }

        return DeviceStatus.Ok;
    }

    /// <inheritdoc/>
    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        RequireRange(offset, buffer.Length);
        lock (_gate)
        {
            while (buffer.Length > 0)
            {
                var inChunk = (int)(offset % ChunkBytes);
                var part = buffer[..Math.Min(buffer.Length, ChunkBytes - inChunk)];
                part.CopyTo((_chunks[offset / ChunkBytes] ??= new byte[ChunkBytes]).AsSpan(inChunk));
                offset += part.Length;
                buffer = buffer[part.Length..];
            }
        }

        return DeviceStatus.Ok;
    }

    /// <inheritdoc/>
    public DeviceStatus Flush() => DeviceStatus.Ok;

    /// <inheritdoc/>
    public DeviceStatus Trim(long offset, long lengthBytes) => WriteZeroes(offset, lengthBytes, mayUnmap: true);

    /// <inheritdoc/>
    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        RequireRange(offset, lengthBytes);
        lock (_gate)
        {
            while (lengthBytes > 0)
            {
                var inChunk = (int)(offset % ChunkBytes);
                var part = (int)Math.Min(lengthBytes, ChunkBytes - inChunk);
                if (part == ChunkBytes) _chunks[offset / ChunkBytes] = null;
                else _chunks[offset / ChunkBytes]?.AsSpan(inChunk, part).Clear();
                offset += part;
                lengthBytes -= part;
            }
        }

        return DeviceStatus.Ok;
    }

    /// <summary>Makes this device's content that of <paramref name="other"/>, of the same size.</summary>
    public void CopyFrom(MemoryBlockDevice other)
    {
        Invariant.Require(other.SizeBytes == SizeBytes, "Images have one size.");
        lock (_gate)
        {
            for (var i = 0; i < _chunks.Length; i++) _chunks[i] = other._chunks[i]?.ToArray();
        }
    }

    /// <summary>Inverts bits of one byte, as a fault.</summary>
    public void Flip(long offset, byte bits = 0xFF)
    {
        lock (_gate) (_chunks[offset / ChunkBytes] ??= new byte[ChunkBytes])[offset % ChunkBytes] ^= bits;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private void RequireRange(long offset, long lengthBytes) =>
        Invariant.Require(
            offset >= 0 && lengthBytes >= 0 && offset <= SizeBytes - lengthBytes
                && offset % SectorBytes == 0 && lengthBytes % SectorBytes == 0,
            "Callers pass whole sectors inside the device.");
}
