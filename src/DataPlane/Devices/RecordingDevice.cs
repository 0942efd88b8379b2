namespace RaftMirror.DataPlane.Devices;

/// <summary>One call, as it ended.</summary>
internal readonly record struct DeviceCall(
    string Device, DeviceOperations Operation, long Offset, long LengthBytes, DeviceStatus Status);

/// <summary>Calls of one or more devices in the order in which they ended. Any thread.</summary>
internal sealed class DeviceRecord
{
    private readonly Lock _gate = new();
    private readonly List<DeviceCall> _calls = [];

    /// <summary>A copy of what was recorded so far.</summary>
    public IReadOnlyList<DeviceCall> Calls
    {
        get
        {
            lock (_gate) return [.. _calls];
        }
    }

    /// <summary>Forgets what was recorded.</summary>
    public void Clear()
    {
        lock (_gate) _calls.Clear();
    }

    /// <summary>Adds a call.</summary>
    public void Add(DeviceCall call)
    {
        lock (_gate) _calls.Add(call);
    }
}

/// <summary>Records every call, for assertions about order. Share one record between devices to see their order.</summary>
internal sealed class RecordingDevice(IBlockDevice inner, DeviceRecord record) : WrappedDevice(inner)
{
    /// <inheritdoc/>
    public override DeviceStatus Read(long offset, Span<byte> buffer) =>
        Record(DeviceOperations.Read, offset, buffer.Length, base.Read(offset, buffer));

    /// <inheritdoc/>
    public override DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer) =>
        Record(DeviceOperations.Write, offset, buffer.Length, base.Write(offset, buffer));

    /// <inheritdoc/>
    public override DeviceStatus Flush() => Record(DeviceOperations.Flush, 0, 0, base.Flush());

    /// <inheritdoc/>
    public override DeviceStatus Trim(long offset, long lengthBytes) =>
        Record(DeviceOperations.Trim, offset, lengthBytes, base.Trim(offset, lengthBytes));

    /// <inheritdoc/>
    public override DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap) =>
        Record(DeviceOperations.WriteZeroes, offset, lengthBytes, base.WriteZeroes(offset, lengthBytes, mayUnmap));

    private DeviceStatus Record(DeviceOperations operation, long offset, long lengthBytes, DeviceStatus status)
    {
        record.Add(new DeviceCall(Name, operation, offset, lengthBytes, status));
        return status;
    }
}
