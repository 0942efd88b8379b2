using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.DiskIo;

/// <summary>A port as a device whose calls cannot hang their caller: each is made by a thread of the port, on memory of its own, and is
/// given up after a limit, or when the disk is. Given-up calls, and all later ones once the disk was given up, end as
/// unreachable. Any thread.</summary>
internal sealed class PortDevice : IBlockDevice
{
    private readonly DiskPort _port;
    private readonly TimeSpan _limit;
    private readonly bool _ownsPort;
    private readonly Lock _gate = new();
    private readonly List<Call> _waiting = [];
    private bool _isGivenUp;

    /// <param name="port">Open: its device is there.</param>
    /// <param name="device">For name and sizes.</param>
    /// <param name="limit">How long a call may take; infinite for those that somebody gives up.</param>
    /// <param name="ownsPort">The port ends with it.</param>
    public PortDevice(DiskPort port, IBlockDevice device, TimeSpan limit, bool ownsPort = false)
    {
        (_port, _limit, _ownsPort) = (port, limit, ownsPort);
        (SizeBytes, SectorBytes) = (device.SizeBytes, device.SectorBytes);
    }

    public string Name => _port.Name;

    public long SizeBytes { get; }

    public int SectorBytes { get; }

    /// <summary>Called when whoever uses it finds it slow beside another; null: nobody hears it.</summary>
    public Action? Slow { get; init; }

    /// <summary>True after <see cref="GiveUp"/>.</summary>
    public bool IsGivenUp
    {
        get
        {
            lock (_gate) return _isGivenUp;
        }
    }

    /// <summary>Opens something that may hang.</summary>
    /// <exception cref="IOException">It cannot be opened, or not within the limit; then it is closed if it opens after all.</exception>
    public static PortDevice Open(string name, Func<IBlockDevice> open, TimeSpan limit, Func<long> nowNs)
    {
        IOException? failure = null;
        var port = new DiskPort(name, nowNs, static exception => Environment.FailFast("A device call broke an invariant.", exception));
        port.BeginOpen(open, outcome => failure = outcome);
        if (!port.Opened.Wait(limit))
        {
            port.Close();
            throw new IOException($"Disk '{name}' does not answer: it could not be opened within {limit.TotalSeconds:0.#} s.");
        }

        if (port.Opened.Result is { } device) return new PortDevice(port, device, limit, ownsPort: true);
        port.Close();
        throw failure ?? new IOException($"Disk '{name}' cannot be opened.");
    }

    /// <summary>The disk is lost: calls that wait end now, later ones at once.</summary>
    public void GiveUp()
    {
        lock (_gate)
        {
            _isGivenUp = true;
            foreach (var call in _waiting) call.Wake();
        }
    }

    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        var call = new Call(buffer.Length, (device, memory) => device.Read(offset, memory));
        try
        {
            var status = Do(call);
            if (status == DeviceStatus.Ok) call.Memory.CopyTo(buffer);
            return status;
        }
        finally
        {
            call.Dispose();
        }
    }

    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        using var call = new Call(buffer.Length, (device, memory) => device.Write(offset, memory));
        buffer.CopyTo(call.Memory);
        return Do(call);
    }

    public DeviceStatus Flush()
    {
        using var call = new Call(0, static (device, _) => device.Flush());
        return Do(call);
    }

    public DeviceStatus Trim(long offset, long lengthBytes)
    {
        using var call = new Call(0, (device, _) => device.Trim(offset, lengthBytes));
        return Do(call);
    }

    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        using var call = new Call(0, (device, _) => device.WriteZeroes(offset, lengthBytes, mayUnmap));
        return Do(call);
    }

    /// <summary>Closes the port if it owns it; does not wait.</summary>
    public void Dispose()
    {
        if (_ownsPort) _port.Close();
    }

    private DeviceStatus Do(Call call)
    {
        lock (_gate)
        {
            if (_isGivenUp) return DeviceStatus.Unreachable;
            _waiting.Add(call);
        }

        _port.EnqueueUrgent(call);
        var hasEnded = call.Wait(_limit);
        lock (_gate) _waiting.Remove(call);
        if (hasEnded || !_port.GiveUp(call)) return call.Status;
        return DeviceStatus.Unreachable;
    }

    private delegate DeviceStatus Work(IBlockDevice device, Span<byte> memory);

    /// <summary>A call with its memory, which has two holders: who waits, and the thread that makes the call.</summary>
    private sealed class Call : DiskCall, IDisposable
    {
        private readonly AlignedBuffer? _buffer;
        private readonly int _length;
        private readonly Work _work;
        private readonly object _gate = new();
        private bool _hasEnded;
        private bool _isWoken;

        public Call(int length, Work work)
        {
            (_length, _work) = (length, work);
            if (length == 0) return;
            _buffer = AlignedBufferPool.Shared.Rent(length);
            _buffer.Retain(); // For the thread.
        }

        public DeviceStatus Status { get; private set; } = DeviceStatus.Unreachable;

        public Span<byte> Memory => _buffer is null ? default : _buffer.GetSpan()[.._length];

        public override DeviceStatus Execute(IBlockDevice device) => _work(device, Memory);

        public override void Ended(DeviceStatus status)
        {
            lock (_gate)
            {
                Status = status;
                _hasEnded = true;
                Monitor.PulseAll(_gate);
            }

            Release();
        }

        public override void Release() => _buffer?.Dispose();

        public void Wake()
        {
            lock (_gate)
            {
                _isWoken = true;
                Monitor.PulseAll(_gate);
            }
        }

        /// <returns>True once it has ended; false after the limit or <see cref="Wake"/>.</returns>
        public bool Wait(TimeSpan limit)
        {
            var deadline = limit == Timeout.InfiniteTimeSpan ? long.MaxValue : Environment.TickCount64 + (long)limit.TotalMilliseconds;
            lock (_gate)
            {
                while (!_hasEnded && !_isWoken)
                {
                    var left = deadline == long.MaxValue ? Timeout.Infinite : deadline - Environment.TickCount64;
                    if (left == 0 || left < Timeout.Infinite || !Monitor.Wait(_gate, (int)left)) break;
                }

                return _hasEnded;
            }
        }

        public void Dispose() => _buffer?.Dispose();
    }
}

/// <summary>Opens disks whose calls cannot hang their caller.</summary>
public static class BoundedDisk
{
    /// <summary>Opens a disk within a limit; later calls that take longer than it end as unreachable. What hangs stays with a thread of its
    /// own, and so does its memory.</summary>
    /// <param name="name">For messages.</param>
    /// <param name="open">Blocks; throws an IOException if the disk cannot be used.</param>
    /// <param name="limit">For the opening, and for each call.</param>
    /// <exception cref="IOException">It cannot be used, or does not answer in time.</exception>
    public static IBlockDevice Open(string name, Func<IBlockDevice> open, TimeSpan limit) =>
        PortDevice.Open(name, open, limit, static () => Primitives.Linux.BootTimeNanoseconds());
}
