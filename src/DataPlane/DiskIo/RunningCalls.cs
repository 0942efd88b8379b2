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
    /// <returns>To be disposed of, once, when the call has come back.</returns>
    public RunningCall Begin(DeviceOperations operation, long nowNs)
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
            return new RunningCall(this, index);
        }
    }

    internal void End(int index)
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

/// <summary>One of <see cref="RunningCalls"/>.</summary>
internal readonly struct RunningCall(RunningCalls calls, int index) : IDisposable
{
    public void Dispose() => calls.End(index);
}

/// <summary>A device whose calls are counted while they run. Long zeroing is cut, so that the age of a call tells of the
/// device and not of how much was asked.</summary>
internal sealed class WatchedDevice(IBlockDevice inner, RunningCalls calls, Func<long> nowNs) : WrappedDevice(inner)
{
    private const long SliceBytes = 8 << 20;

    public override DeviceStatus Read(long offset, Span<byte> buffer)
    {
        using var call = calls.Begin(DeviceOperations.Read, nowNs());
        return Inner.Read(offset, buffer);
    }

    public override DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        using var call = calls.Begin(DeviceOperations.Write, nowNs());
        return Inner.Write(offset, buffer);
    }

    public override DeviceStatus Flush()
    {
        using var call = calls.Begin(DeviceOperations.Flush, nowNs());
        return Inner.Flush();
    }

    public override DeviceStatus Trim(long offset, long lengthBytes)
    {
        using var call = calls.Begin(DeviceOperations.Trim, nowNs());
        return Inner.Trim(offset, lengthBytes);
    }

    public override DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        var status = DeviceStatus.Ok;
        while (lengthBytes > 0 && status == DeviceStatus.Ok)
        {
            var slice = Math.Min(lengthBytes, SliceBytes);
            using (calls.Begin(DeviceOperations.WriteZeroes, nowNs())) status = Inner.WriteZeroes(offset, slice, mayUnmap);
            (offset, lengthBytes) = (offset + slice, lengthBytes - slice);
        }

        return status;
    }
}
