using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring;

/// <summary>Threads that make the blocking device calls of one set. The queue is bounded by the volumes' admission: at most
/// <see cref="MirrorOptions.MaxRequests"/> requests per volume, each with one call per leg and extent at a time.</summary>
internal sealed class LegIoPool : IDisposable
{
    /// <summary>Enough for several disks at a useful queue depth; the calls block, they do not compute.</summary>
    public const int DefaultThreads = 16;

    private readonly Queue<(MirrorVolume Volume, MirrorEffect Effect, PendingRequest? Request)> _queue = new();
    private readonly Thread[] _threads;
    private readonly Action<Exception> _fatal;
    private bool _isStopping;

    public LegIoPool(string name, int threads, Action<Exception> fatal)
    {
        _fatal = fatal;
        _threads = new Thread[threads];
        for (var i = 0; i < threads; i++)
        {
            _threads[i] = new Thread(Run) { IsBackground = true, Name = $"leg I/O {name} {i}" };
            _threads[i].Start();
        }
    }

    public void Enqueue(MirrorVolume volume, in MirrorEffect effect, PendingRequest? request)
    {
        lock (_queue)
        {
            _queue.Enqueue((volume, effect, request));
            Monitor.Pulse(_queue);
        }
    }

    public void Dispose()
    {
        lock (_queue)
        {
            _isStopping = true;
            Monitor.PulseAll(_queue);
        }

        foreach (var thread in _threads) thread.Join();
    }

    private void Run()
    {
        try
        {
            while (TryDequeue(out var work)) work.Volume.Execute(work.Effect, work.Request);
        }
#pragma warning disable CA1031 // Whatever a device call or a core threw: the node must stop, not only this thread.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _fatal(exception);
        }
    }

    private bool TryDequeue(out (MirrorVolume Volume, MirrorEffect Effect, PendingRequest? Request) work)
    {
        lock (_queue)
        {
            while (_queue.Count == 0)
            {
                if (_isStopping)
                {
                    work = default;
                    return false;
                }

                Monitor.Wait(_queue);
            }

            work = _queue.Dequeue();
            return true;
        }
    }
}

/// <summary>Carries out a copy plan with blocking calls.</summary>
internal static class RangeCopier
{
    private const int CompareBytes = 64 << 10;

    /// <summary>Reads the source, compares each target and writes where it differs.</summary>
    /// <param name="plan">What to copy.</param>
    /// <param name="find">Disk by name; null if it is not open.</param>
    /// <param name="mayGoOn">Asked before each device call; false once the lease is over.</param>
    public static CopyResult Copy(CopyPlan plan, Func<string, IBlockDevice?> find, Func<bool> mayGoOn)
    {
        using var source = AlignedBufferPool.Shared.Rent((int)plan.Range.Length);
        using var target = AlignedBufferPool.Shared.Rent((int)plan.Range.Length);
        long copied = 0, compared = 0;
        foreach (var part in plan.Legs[0])
        {
            if (!mayGoOn()) return LeaseLost(copied, compared);
            var status = find(part.Disk)?.Read(part.DiskOffset, Slice(source, part.BufferOffset, part.Length)) ?? DeviceStatus.Unreachable;
            if (status != DeviceStatus.Ok) return new CopyResult(status, 0, part.Disk, false, copied, compared);
        }

        for (var leg = 1; leg < plan.Legs.Count; leg++)
        {
            foreach (var part in plan.Legs[leg])
            {
                var device = find(part.Disk);
                if (device is null) return new CopyResult(DeviceStatus.Unreachable, leg, part.Disk, true, copied, compared);
                if (!mayGoOn()) return LeaseLost(copied, compared);
                // A target that cannot be read may still be written; the write tells.
                var isReadable = device.Read(part.DiskOffset, Slice(target, part.BufferOffset, part.Length)) == DeviceStatus.Ok;
                for (long at = 0; at < part.Length; at += CompareBytes)
                {
                    var length = Math.Min(CompareBytes, part.Length - at);
                    var wanted = Slice(source, part.BufferOffset + at, length);
                    if (isReadable && wanted.SequenceEqual(Slice(target, part.BufferOffset + at, length)))
                    {
                        compared += length;
                        continue;
                    }

                    if (!mayGoOn()) return LeaseLost(copied, compared);
                    var status = device.Write(part.DiskOffset + at, wanted);
                    if (status != DeviceStatus.Ok) return new CopyResult(status, leg, part.Disk, true, copied, compared);
                    copied += length;
                }
            }
        }

        return new CopyResult(DeviceStatus.Ok, 0, null, false, copied, compared);
    }

    private static CopyResult LeaseLost(long copied, long compared) =>
        new(DeviceStatus.IoError, 0, null, false, copied, compared, IsLeaseLost: true);

    private static Span<byte> Slice(AlignedBuffer buffer, long offset, long length) =>
        buffer.GetSpan().Slice((int)offset, (int)length);
}
