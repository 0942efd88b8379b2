using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.DiskIo;

/// <summary>The calls that are in one disk's kernel queue now, and since when: given-up ones too, since nothing recalls a call. Any
/// thread. Bounded by the threads that make calls.</summary>
internal sealed class RunningCalls
{
    private readonly Lock _gate = new();
    private Call[] _calls = new Call[8];
    private int _count;

    /// <summary>How many.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _count;
        }
    }

    /// <summary>A call is about to be made.</summary>
    /// <returns>To be named at its end.</returns>
    public int Begin(DeviceOperations operation, long nowNs)
    {
        lock (_gate)
        {
            var index = Array.FindIndex(_calls, static call => call.Operation == DeviceOperations.None);
            if (index < 0)
            {
                index = _calls.Length;
                Array.Resize(ref _calls, 2 * index);
            }

            _calls[index] = new Call(operation, nowNs);
            _count++;
            return index;
        }
    }

    /// <summary>The call has come back.</summary>
    public void End(int index)
    {
        lock (_gate)
        {
            _calls[index] = default;
            _count--;
        }
    }

    /// <summary>Start of the oldest call; <see cref="long.MaxValue"/> if there is none.</summary>
    public long OldestNs()
    {
        lock (_gate)
        {
            var oldest = long.MaxValue;
            foreach (var call in _calls)
            {
                if (call.Operation != DeviceOperations.None) oldest = Math.Min(oldest, call.StartedNs);
            }

            return oldest;
        }
    }

    private readonly record struct Call(DeviceOperations Operation, long StartedNs);
}

/// <summary>A device whose calls are counted while they run. Long zeroing is cut, so that the age of a call tells of the
/// device and not of how much was asked.</summary>
internal sealed class WatchedDevice(IBlockDevice inner, RunningCalls calls, Func<long> nowNs) : IBlockDevice
{
    private const long SliceBytes = 8 << 20;

    public string Name => inner.Name;

    public long SizeBytes => inner.SizeBytes;

    public int SectorBytes => inner.SectorBytes;

    public ulong SpaceId => inner.SpaceId;

    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        var call = calls.Begin(DeviceOperations.Read, nowNs());
        try
        {
            return inner.Read(offset, buffer);
        }
        finally
        {
            calls.End(call);
        }
    }

    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        var call = calls.Begin(DeviceOperations.Write, nowNs());
        try
        {
            return inner.Write(offset, buffer);
        }
        finally
        {
            calls.End(call);
        }
    }

    public DeviceStatus Flush()
    {
        var call = calls.Begin(DeviceOperations.Flush, nowNs());
        try
        {
            return inner.Flush();
        }
        finally
        {
            calls.End(call);
        }
    }

    public DeviceStatus Trim(long offset, long lengthBytes)
    {
        var call = calls.Begin(DeviceOperations.Trim, nowNs());
        try
        {
            return inner.Trim(offset, lengthBytes);
        }
        finally
        {
            calls.End(call);
        }
    }

    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        var status = DeviceStatus.Ok;
        while (lengthBytes > 0 && status == DeviceStatus.Ok)
        {
            var slice = Math.Min(lengthBytes, SliceBytes);
            var call = calls.Begin(DeviceOperations.WriteZeroes, nowNs());
            try
            {
                status = inner.WriteZeroes(offset, slice, mayUnmap);
            }
            finally
            {
                calls.End(call);
            }

            (offset, lengthBytes) = (offset + slice, lengthBytes - slice);
        }

        return status;
    }

    public void Dispose() => inner.Dispose();
}
