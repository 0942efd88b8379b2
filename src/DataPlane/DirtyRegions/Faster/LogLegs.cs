using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.DirtyRegions.Faster;

/// <summary>The one or two disks of a log: every piece of work is done on all of them at the same time and counts only if
/// all did it. The first failure is final. A disk that the committed state takes from the log (it was given up: lost) is left
/// behind, also in the middle of work, and the log goes on with the other. Work is given by one thread at a time.</summary>
internal sealed class LogLegs : IDisposable
{
    private readonly IReadOnlyList<IBlockDevice> _devices;
    private readonly long _slotOffset;
    private readonly Thread? _second;
    private readonly SemaphoreSlim _start = new(0);
    private readonly SemaphoreSlim _done = new(0);
    private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Func<LogLeg, DeviceStatus>? _work;
    // What a write to a volume on other disks may wait for this log is below a second; leaving a disk is one commit.
    private static readonly TimeSpan SlowAfter = TimeSpan.FromMilliseconds(400);

    private readonly ManualResetEventSlim _firstDone = new();
    private readonly bool[] _isLeft = new bool[2];
    private DirtyLogFailure? _failure;
    private bool _isDisposed;

    public LogLegs(IReadOnlyList<IBlockDevice> devices, long slotOffset)
    {
        Invariant.Require(devices.Count is 1 or 2, "A log is on one or two disks.");
        _devices = devices;
        _slotOffset = slotOffset;
        if (devices.Count == 1) return;
        _second = new Thread(RunSecond) { IsBackground = true, Name = "dirty log leg" };
        _second.Start();
    }

    /// <summary>What broke, or null.</summary>
    public DirtyLogFailure? Failure => Volatile.Read(ref _failure);

    /// <summary>Ends when something broke.</summary>
    public Task Failed => _failed.Task;

    /// <summary>Does the work on every disk.</summary>
    /// <returns>False if it, or anything before it, failed anywhere.</returns>
    public bool Do(Func<LogLeg, DeviceStatus> work)
    {
        if (Failure is not null) return false;
        if (_second is not null)
        {
            _work = work;
            _firstDone.Reset();
            _start.Release();
        }

        DoOn(0, work);
        _firstDone.Set();
        if (_second is not null) WaitForSecond();
        if (Volatile.Read(ref _isLeft[0]) && (_second is null || Volatile.Read(ref _isLeft[1])))
            Fail("every disk of the dirty log is lost", _devices[^1].Name);
        return Failure is null;
    }

    /// <summary>Records what broke, if it is the first.</summary>
    public void Fail(string message, string? disk, bool isFull = false, bool isUnreachable = false)
    {
        Interlocked.CompareExchange(ref _failure, new DirtyLogFailure(message, disk, isFull, IsUnreachable: isUnreachable), null);
        _failed.TrySetResult();
    }

    public void Dispose()
    {
        if (_second is not null)
        {
            _isDisposed = true;
            _start.Release();
            _second.Join();
        }

        _start.Dispose();
        _done.Dispose();
        _firstDone.Dispose();
    }

    private void WaitForSecond()
    {
        while (!_done.Wait(SlowAfter)) TellSlow(1);
    }

    /// <summary>One disk has done its part, the other not: the log should leave it, if it can go on with the one.</summary>
    private void TellSlow(int index)
    {
        if (!Volatile.Read(ref _isLeft[1 - index]) && Failure is null && _devices[index] is PortDevice { Slow: { } tell }) tell();
    }

    private void RunSecond()
    {
        while (true)
        {
            _start.Wait();
            if (_isDisposed) return;
            DoOn(1, _work!);
            _done.Release();
            while (!_firstDone.Wait(SlowAfter)) TellSlow(0);
        }
    }

#pragma warning disable CA1031 // A device that throws has failed, whatever it throws; its thread must answer all the same.
    private void DoOn(int index, Func<LogLeg, DeviceStatus> work)
    {
        var device = _devices[index];
        if (Volatile.Read(ref _isLeft[index])) return;
        try
        {
            var status = work(new LogLeg(device, _slotOffset));
            if (device is PortDevice { IsGivenUp: true }) Volatile.Write(ref _isLeft[index], true);
            else if (status == DeviceStatus.NoSpace) Fail($"there is no space for the dirty log on disk {device.Name}", disk: null, isFull: true);
            else if (status != DeviceStatus.Ok) Fail($"the dirty log could not be written to disk {device.Name}: {status}", device.Name, isUnreachable: status == DeviceStatus.Unreachable);
        }
        catch (Exception e)
        {
            Fail($"the dirty log could not be written to disk {device.Name}: {e.Message}", device.Name);
        }
    }
#pragma warning restore CA1031

    /// <summary>A disk, with offsets counted from the slot.</summary>
    internal readonly struct LogLeg(IBlockDevice device, long slotOffset)
    {
        public DeviceStatus Write(long offset, ReadOnlySpan<byte> buffer) => device.Write(slotOffset + offset, buffer);

        public DeviceStatus Zero(long offset, long lengthBytes) =>
            device.WriteZeroes(slotOffset + offset, lengthBytes, mayUnmap: false);

        public DeviceStatus Flush() => device.Flush();

        /// <summary>Writes a block and flushes.</summary>
        public DeviceStatus WriteThrough(long offset, AlignedBuffer block)
        {
            var status = Write(offset, block.GetSpan()[..SlotLayout.BlockBytes]);
            return status == DeviceStatus.Ok ? Flush() : status;
        }
    }
}
