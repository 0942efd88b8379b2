using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.DiskIo;

/// <summary>Work for one disk that blocks: queued, carried out by one of the disk's threads, and told of once. Whoever waits may
/// give it up; then it is told of at once, and its end in the kernel changes nothing but the count of calls there.</summary>
internal abstract class DiskCall
{
    private const int Queued = 0, Running = 1, Over = 2, GivenUp = 3;
    private int _state;

    /// <summary>Makes the device calls. Blocks; a thread of the disk.</summary>
    public abstract DeviceStatus Execute(IBlockDevice device);

    /// <summary>How it ended, once, unless it was given up. No thread uses it or its memory any more. Any thread; must not block.</summary>
    public abstract void Ended(DeviceStatus status);

    /// <summary>No device ever saw it: the disk is not open here, or not yet. Once, instead of <see cref="Ended"/>.</summary>
    public virtual void Refused() => Ended(DeviceStatus.Unreachable);

    /// <summary>Given up, and come back (or never begun): no thread uses its memory any more.</summary>
    public abstract void Release();

    /// <summary>Back to unused; its owner knows that no thread has it.</summary>
    protected void Reset() => _state = Queued;

    /// <summary>A thread takes it.</summary>
    internal bool TryRun() => Interlocked.CompareExchange(ref _state, Running, Queued) == Queued;

    /// <summary>It is over.</summary>
    /// <returns>False if it was given up meanwhile.</returns>
    internal bool TryEnd() => Interlocked.CompareExchange(ref _state, Over, Running) == Running;

    /// <summary>Nobody waits for it any longer.</summary>
    /// <returns>Whether that came in time, and whether it was running.</returns>
    internal (bool IsGivenUp, bool WasRunning) TryGiveUp()
    {
        if (Interlocked.CompareExchange(ref _state, GivenUp, Queued) == Queued) return (true, false);
        return (Interlocked.CompareExchange(ref _state, GivenUp, Running) == Running, true);
    }
}
