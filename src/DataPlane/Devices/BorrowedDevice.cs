namespace RaftMirror.DataPlane.Devices;

/// <summary>A device that somebody else owns and closes. Any thread, as the device.</summary>
/// <param name="owner">The device; it outlives this loan.</param>
public sealed class BorrowedDevice(IBlockDevice owner) : IBlockDevice
{
    /// <inheritdoc/>
    public string Name => owner.Name;

    /// <inheritdoc/>
    public long SizeBytes => owner.SizeBytes;

    /// <inheritdoc/>
    public int SectorBytes => owner.SectorBytes;

    /// <inheritdoc/>
    public ulong SpaceId => owner.SpaceId;

    /// <inheritdoc/>
    public DeviceStatus Read(long offset, Span<byte> buffer) => owner.Read(offset, buffer);

    /// <inheritdoc/>
    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer) => owner.Write(offset, buffer);

    /// <inheritdoc/>
    public DeviceStatus Flush() => owner.Flush();

    /// <inheritdoc/>
    public DeviceStatus Trim(long offset, long lengthBytes) => owner.Trim(offset, lengthBytes);

    /// <inheritdoc/>
    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap) => owner.WriteZeroes(offset, lengthBytes, mayUnmap);

    /// <inheritdoc/>
    public void Dispose()
    {
        // The owner closes it.
    }
}
