namespace RaftMirror.DataPlane.Devices;

/// <summary>What a device is asked to do.</summary>
[Flags]
internal enum DeviceOperations
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Read.</summary>
    Read = 1,

    /// <summary>Write.</summary>
    Write = 2,

    /// <summary>Flush; it has no range.</summary>
    Flush = 4,

    /// <summary>Trim.</summary>
    Trim = 8,

    /// <summary>Write zeroes.</summary>
    WriteZeroes = 16,

    /// <summary>Everything that changes content.</summary>
    Changes = Write | Trim | WriteZeroes,

    /// <summary>Everything.</summary>
    All = Read | Changes | Flush,
}

/// <summary>A device around another, for faults and observation, as nbdkit's filters are. Owns <see cref="Inner"/>.</summary>
internal abstract class WrappedDevice(IBlockDevice inner) : IBlockDevice
{
    /// <summary>The device that is wrapped.</summary>
    public IBlockDevice Inner { get; } = inner;

    /// <inheritdoc/>
    public string Name => Inner.Name;

    /// <inheritdoc/>
    public long SizeBytes => Inner.SizeBytes;

    /// <inheritdoc/>
    public int SectorBytes => Inner.SectorBytes;

    /// <inheritdoc/>
    public ulong SpaceId => Inner.SpaceId;

    /// <inheritdoc/>
    public virtual DeviceStatus Read(long offset, Span<byte> buffer)
    {
        var status = Before(DeviceOperations.Read, offset, buffer.Length);
        return status == DeviceStatus.Ok ? Inner.Read(offset, buffer) : status;
    }

    /// <inheritdoc/>
    public virtual DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        var status = Before(DeviceOperations.Write, offset, buffer.Length);
        return status == DeviceStatus.Ok ? Inner.Write(offset, buffer) : status;
    }

    /// <inheritdoc/>
    public virtual DeviceStatus Flush()
    {
        var status = Before(DeviceOperations.Flush, 0, 0);
        return status == DeviceStatus.Ok ? Inner.Flush() : status;
    }

    /// <inheritdoc/>
    public virtual DeviceStatus Trim(long offset, long lengthBytes)
    {
        var status = Before(DeviceOperations.Trim, offset, lengthBytes);
        return status == DeviceStatus.Ok ? Inner.Trim(offset, lengthBytes) : status;
    }

    /// <inheritdoc/>
    public virtual DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        var status = Before(DeviceOperations.WriteZeroes, offset, lengthBytes);
        return status == DeviceStatus.Ok ? Inner.WriteZeroes(offset, lengthBytes, mayUnmap) : status;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Called before each call reaches <see cref="Inner"/>; anything but Ok ends it there.</summary>
    protected virtual DeviceStatus Before(DeviceOperations operation, long offset, long lengthBytes) => DeviceStatus.Ok;

    /// <summary>Disposes of <see cref="Inner"/>.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing) Inner.Dispose();
    }
}
