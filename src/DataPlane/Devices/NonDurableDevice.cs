using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Devices;

/// <summary>A disk with a volatile cache: at <see cref="Crash"/> each change that was not flushed is kept, lost or torn at a
/// sector boundary, by a seed. Content is in memory. Any thread.</summary>
internal sealed class NonDurableDevice : IBlockDevice
{
    private readonly Lock _gate = new();
    private readonly MemoryBlockDevice _current;
    private readonly MemoryBlockDevice _durable;
    private readonly List<(long Offset, byte[] Data)> _pending = [];
    private readonly Xoshiro _random;
    private long _changesUntilCrash = long.MaxValue;

    /// <summary>A device that reads as zeros.</summary>
    public NonDurableDevice(string name, long sizeBytes, ulong seed, int sectorBytes = 512)
    {
        _current = new MemoryBlockDevice(name, sizeBytes, sectorBytes);
        _durable = new MemoryBlockDevice(name, sizeBytes, sectorBytes);
        _random = new Xoshiro(seed);
    }

    /// <inheritdoc/>
    public string Name => _current.Name;

    /// <inheritdoc/>
    public long SizeBytes => _current.SizeBytes;

    /// <inheritdoc/>
    public int SectorBytes => _current.SectorBytes;

    /// <summary>True from a crash to <see cref="Restart"/>: every call ends with <see cref="DeviceStatus.Unreachable"/>.</summary>
    public bool IsDown { get; private set; }

    /// <summary>Crashes by itself before the change (write, zeroes, trim or flush) after that many more.</summary>
    public void CrashAfter(long changes)
    {
        lock (_gate) _changesUntilCrash = changes;
    }

    /// <summary>Power goes: unflushed changes are kept, lost or torn, and nothing reaches the disk any more.</summary>
    public void Crash()
    {
        lock (_gate) CrashLocked();
    }

    /// <summary>Power is back; the disk holds what survived.</summary>
    public void Restart()
    {
        lock (_gate)
        {
            IsDown = false;
            _changesUntilCrash = long.MaxValue;
        }
    }

    /// <summary>Inverts bits of one byte of what is on the disk, as a fault.</summary>
    public void Flip(long offset, byte bits = 0xFF)
    {
        _current.Flip(offset, bits);
        _durable.Flip(offset, bits);
    }

    /// <inheritdoc/>
    public DeviceStatus Read(long offset, Span<byte> buffer)
    {
        lock (_gate) return IsDown ? DeviceStatus.Unreachable : _current.Read(offset, buffer);
    }

    /// <inheritdoc/>
    public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer)
    {
        lock (_gate)
        {
            if (!CountChange()) return DeviceStatus.Unreachable;
            _pending.Add((offset, buffer.ToArray()));
            return _current.Write(offset, buffer);
        }
    }

    /// <inheritdoc/>
    public DeviceStatus Flush()
    {
        lock (_gate)
        {
            if (!CountChange()) return DeviceStatus.Unreachable;
            foreach (var (offset, data) in _pending) _durable.Write(offset, data);
            _pending.Clear();
            return DeviceStatus.Ok;
        }
    }

    /// <inheritdoc/>
    public DeviceStatus Trim(long offset, long lengthBytes) => WriteZeroes(offset, lengthBytes, mayUnmap: true);

    /// <inheritdoc/>
    public DeviceStatus WriteZeroes(long offset, long lengthBytes, bool mayUnmap)
    {
        const int slice = 1 << 20;
        for (; lengthBytes > 0; offset += slice, lengthBytes -= slice)
        {
            var status = Write(offset, new byte[Math.Min(lengthBytes, slice)]);
            if (status != DeviceStatus.Ok) return status;
        }

        return DeviceStatus.Ok;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _current.Dispose();
        _durable.Dispose();
    }

    private bool CountChange()
    {
        if (IsDown) return false;
        if (_changesUntilCrash-- > 0) return true;
        CrashLocked();
        return false;
    }

    private void CrashLocked()
    {
        if (IsDown) return;
        IsDown = true;
        foreach (var (offset, data) in _pending)
        {
            var fate = _random.Next(4);
            for (var at = 0; at < data.Length; at += SectorBytes)
            {
                // 0 lost, 1 kept, 2 torn: any subset of its sectors, 3 torn: a prefix.
                var isKept = fate == 1 || (fate == 2 && _random.Chance(0.5));
                if (fate == 3 && _random.Chance(4.0 * SectorBytes / (data.Length + SectorBytes))) break;
                if (isKept || fate == 3) _durable.Write(offset + at, data.AsSpan(at, SectorBytes));
            }
        }

        _pending.Clear();
        _current.CopyFrom(_durable);
    }
}
