using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Tests.Metadata;

/// <summary>A disk of any size that keeps what was written, sector by sector.</summary>
internal sealed class SparseDevice(long sizeBytes, int sectorBytes = 512) : IBlockDevice
{
    private readonly SortedDictionary<long, byte[]> _sectors = [];

    public string Name => "sparse";

    public long SizeBytes { get; } = sizeBytes / sectorBytes * sectorBytes;

    public int SectorBytes => sectorBytes;

    /// <summary>Offsets of the sectors that are not zero.</summary>
    public IEnumerable<long> Written => _sectors.Where(static pair => pair.Value.AsSpan().IndexOfAnyExcept((byte)0) >= 0).Select(static pair => pair.Key);

    /// <summary>Sets bytes anywhere.</summary>
    public void Put(long position, ReadOnlySpan<byte> bytes)
    {
        for (var i = 0; i < bytes.Length; i++) Sector((position + i) / sectorBytes * sectorBytes)[(position + i) % sectorBytes] = bytes[i];
    }

    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        Require(offset, buffer.Length);
        buffer.Clear();
        for (var at = 0; at < buffer.Length; at += sectorBytes)
        {
            if (_sectors.TryGetValue(offset + at, out var sector)) sector.CopyTo(buffer[at..]);
        }

        return DeviceStatus.Ok;
    }

    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        Require(offset, buffer.Length);
        Put(offset, buffer);
        return DeviceStatus.Ok;
    }

    public DeviceStatus Flush() => DeviceStatus.Ok;

    public DeviceStatus Trim(long offset, long lengthBytes) => WriteZeroes(offset, lengthBytes, true);

    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        Require(offset, lengthBytes);
        foreach (var key in _sectors.Keys.Where(key => key >= offset && key < offset + lengthBytes).ToList()) _sectors.Remove(key);
        return DeviceStatus.Ok;
    }

    public void Dispose()
    {
    }

    private byte[] Sector(long offset)
    {
        if (!_sectors.TryGetValue(offset, out var sector)) _sectors[offset] = sector = new byte[sectorBytes];
        return sector;
    }

    private void Require(long offset, long length) =>
        Xunit.Assert.True(offset >= 0 && offset % sectorBytes == 0 && length % sectorBytes == 0 && offset + length <= SizeBytes, $"{offset}+{length}");
}
