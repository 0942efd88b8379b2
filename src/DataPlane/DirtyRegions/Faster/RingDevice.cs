using FASTER.core;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;

namespace RaftMirror.DataPlane.DirtyRegions.Faster;

/// <summary>FasterLog's device: a ring of segments in a slot. Writes reach the disks in address order: one that starts
/// beyond the durable end waits until the gap is filled, so that a crash leaves no hole. Each is flushed before
/// it is reported. A segment's slot is taken over by zeroing it, flush, header, flush, and only when the segment that it
/// held is before the log's begin. Any thread calls; one thread of its own does the work.</summary>
internal sealed unsafe class RingDevice : StorageDeviceBase
{
    private readonly SlotLayout _layout;
    private readonly LogLegs _legs;
    private readonly ulong _incarnation;
    private readonly object _gate = new();
    private readonly List<PendingWrite> _queue = [];
    private readonly AlignedBuffer _header = AlignedBufferPool.Shared.Rent(SlotLayout.BlockBytes);
    private readonly Thread _thread;
    private long _end;
    private long _newestSegment = -1;
    private long _firstSegment;
    private bool _isDisposed;

    public RingDevice(string name, SlotLayout layout, LogLegs legs, ulong incarnation)
        : base(name, SlotLayout.BlockBytes, -1)
    {
        _layout = layout;
        _legs = legs;
        _incarnation = incarnation;
        _thread = new Thread(Run) { IsBackground = true, Name = "dirty log" };
        _thread.Start();
    }

    /// <inheritdoc/>
    public override void WriteAsync(
        IntPtr sourceAddress, int segmentId, ulong destinationAddress, uint numBytesToWrite, DeviceIOCompletionCallback callback, object context)
    {
        var address = ((long)segmentId << _layout.SegmentBits) + (long)destinationAddress;
        lock (_gate)
        {
            if (!_isDisposed)
            {
                _queue.Add(new PendingWrite(address, sourceAddress, (int)numBytesToWrite, callback, context));
                Monitor.Pulse(_gate);
                return;
            }
        }

        callback(1, 0, context);
    }

    /// <summary>A writer starts from an empty log and keeps what it may read in memory: nothing is read back.</summary>
    public override void ReadAsync(
        int segmentId, ulong sourceAddress, IntPtr destinationAddress, uint readLength, DeviceIOCompletionCallback callback, object context)
    {
        _legs.Fail("the dirty log was read by its writer, which never needs to", null);
        callback(1, 0, context);
    }

    /// <summary>Says nothing here: FasterLog calls it from a task of its own, on a busy machine long after the ring needs the room.</summary>
    public override void RemoveSegmentAsync(int segment, AsyncCallback callback, IAsyncResult result) => callback(result);

    /// <summary>What lies before an address is not needed any more: a commit that says so is durable.</summary>
    /// <param name="begin">The log's begin in that commit.</param>
    public void Release(long begin)
    {
        lock (_gate) _firstSegment = Math.Max(_firstSegment, begin >> _layout.SegmentBits);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        lock (_gate)
        {
            if (_isDisposed) return;
            _isDisposed = true;
            Monitor.Pulse(_gate);
        }

        _thread.Join();
        _header.Dispose();
    }

    private void Run()
    {
        var batch = new List<PendingWrite>();
        while (TakeBatch(batch))
        {
            var isDone = _legs.Failure is null && IsContiguous(batch) && WriteBatch(batch);
            if (isDone) _end = Math.Max(_end, batch[^1].End);
            foreach (var write in batch) write.Callback(isDone ? 0u : 5u, isDone ? (uint)write.Length : 0, write.Context);
            batch.Clear();
        }
    }

    // Neighbouring writes share a flush. False: disposed, and everything was answered.
    private bool TakeBatch(List<PendingWrite> batch)
    {
        lock (_gate)
        {
            while (true)
            {
                _queue.Sort(static (a, b) => a.Address.CompareTo(b.Address));
                var end = _end;
                var isFinal = _isDisposed || _legs.Failure is not null;
                while (_queue.Count > 0 && (isFinal || _queue[0].Address <= end))
                {
                    end = Math.Max(end, _queue[0].End);
                    batch.Add(_queue[0]);
                    _queue.RemoveAt(0);
                }

                if (batch.Count > 0) return true;
                if (_isDisposed) return false;
                Monitor.Wait(_gate);
            }
        }
    }

    private bool WriteBatch(List<PendingWrite> batch)
    {
        foreach (var write in batch)
        {
            if (!TakeOver(write.Address >> _layout.SegmentBits)) return false;
        }

        return _legs.Do(leg =>
        {
            foreach (var write in batch)
            {
                var status = leg.Write(_layout.OffsetOf(write.Address), new ReadOnlySpan<byte>((void*)write.Source, write.Length));
                if (status != DeviceStatus.Ok) return status;
            }

            return leg.Flush();
        });
    }

    // Not so only when writes are given up at the end.
    private bool IsContiguous(List<PendingWrite> batch)
    {
        var end = _end;
        foreach (var write in batch)
        {
            if (write.Address > end) return false;
            end = Math.Max(end, write.End);
        }

        return true;
    }

    private bool TakeOver(long segment)
    {
        if (segment <= _newestSegment) return true;
        long first;
        lock (_gate) first = _firstSegment;
        if (segment - first >= _layout.SegmentCount)
        {
            _legs.Fail("the dirty log's ring is full, though it should have been compacted", null);
            return false;
        }

        // The first lap finds zeros: the slot was just formatted.
        if (segment >= _layout.SegmentCount
            && !_legs.Do(leg =>
            {
                var status = leg.Zero(_layout.SegmentHeaderOffset(segment), SlotLayout.BlockBytes + _layout.SegmentBytes);
                return status == DeviceStatus.Ok ? leg.Flush() : status;
            }))
        {
            return false;
        }

        new SegmentHeader(segment, _incarnation).Write(_header.GetSpan());
        _newestSegment = segment;
        return _legs.Do(leg => leg.WriteThrough(_layout.SegmentHeaderOffset(segment), _header));
    }

    private readonly record struct PendingWrite(
        long Address, IntPtr Source, int Length, DeviceIOCompletionCallback Callback, object Context)
    {
        public long End => Address + Length;
    }
}
