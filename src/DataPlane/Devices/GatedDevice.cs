namespace RaftMirror.DataPlane.Devices;

/// <summary>Delays calls until they are let through, so that a test decides what is in flight instead of sleeping.
/// Any thread.</summary>
internal sealed class GatedDevice(IBlockDevice inner) : WrappedDevice(inner)
{
    private readonly object _gate = new();
    private DeviceOperations _held;
    private int _waiting;

    /// <summary>Calls of these kinds wait from now on.</summary>
    public void Hold(DeviceOperations operations)
    {
        lock (_gate) _held |= operations;
    }

    /// <summary>Lets every waiting call go on, and later ones pass.</summary>
    public void Release()
    {
        lock (_gate)
        {
            _held = DeviceOperations.None;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits until at least <paramref name="count"/> calls are held.</summary>
    /// <returns>False if that did not come true in time.</returns>
    public bool WaitUntilHeld(int count, TimeSpan timeout)
    {
        var deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_gate)
        {
            while (_waiting < count)
            {
                var left = deadline - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, (int)left)) return _waiting >= count;
            }

            return true;
        }
    }

    /// <inheritdoc/>
    protected override DeviceStatus Before(DeviceOperations operation, long offset, long lengthBytes)
    {
        lock (_gate)
        {
            if ((_held & operation) == 0) return DeviceStatus.Ok;
            _waiting++;
            Monitor.PulseAll(_gate);
            while ((_held & operation) != 0) Monitor.Wait(_gate);
            _waiting--;
        }

        return DeviceStatus.Ok;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        Release();
        base.Dispose(disposing);
    }
}
