using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>Carries out a copy plan: reads the source, compares each target with it and writes where it differs. One step after the other,
/// each a call in the queue of the disk that it concerns, so that a disk that hangs holds up no other's copies. One step at a time
/// has it.</summary>
internal sealed class RangeCopy(MirrorVolume volume, ulong id, CopyPlan plan, Func<string, DiskPort?> find)
{
    private const int CompareBytes = 64 << 10;
    private readonly AlignedBuffer _source = AlignedBufferPool.Shared.Rent((int)plan.Range.Length);
    private readonly Lock _gate = new();
    private volatile bool _isAbandoned;
    private Step? _step;
    private bool _isOver;
    private int _leg;
    private int _part;
    private long _copied;
    private long _compared;

    /// <summary>Its operation in the core.</summary>
    public ulong Id { get; } = id;

    /// <summary>Begins.</summary>
    public void Start() => Next();

    /// <summary>No call is made any more. A step that hangs on the leg is given up; a call on another leg is waited for, since what it
    /// writes must not land behind what clients write next.</summary>
    /// <param name="leg">Index in the plan of the leg that was lost.</param>
    public void Abandon(int leg)
    {
        _isAbandoned = true;
        Step step;
        lock (_gate)
        {
            if (_step is null || _step.Leg != leg) return; // The step under way sees that it was abandoned.
            step = _step;
        }

        if (step.Port.GiveUp(step)) End(NotDone());
    }

    private bool MayGoOn => !_isAbandoned && volume.HasLease();

    private void Next()
    {
        if (_leg == plan.Legs.Count)
        {
            End(new CopyResult(DeviceStatus.Ok, 0, null, false, _copied, _compared));
            return;
        }

        var part = plan.Legs[_leg][_part];
        if (find(part.Disk) is not { } port)
        {
            End(new CopyResult(DeviceStatus.Unreachable, _leg, part.Disk, _leg > 0, _copied, _compared));
            return;
        }

        var step = new Step(this, port, _leg, part);
        lock (_gate) _step = step;
        if (!_isAbandoned) port.Enqueue(step);
        else if (port.GiveUp(step)) End(NotDone());
    }

    private void StepEnded(Step step, DeviceStatus status)
    {
        lock (_gate) _step = null;
        (_copied, _compared) = (_copied + step.Copied, _compared + step.Compared);
        if (step.IsStopped)
        {
            End(NotDone());
        }
        else if (status != DeviceStatus.Ok)
        {
            End(new CopyResult(status, step.Leg, step.Port.Name, step.Leg > 0, _copied, _compared) { Errno = step.Errno, Place = step.Place });
        }
        else
        {
            if (++_part == plan.Legs[_leg].Count) (_leg, _part) = (_leg + 1, 0);
            Next();
        }
    }

    // Not the devices' fault, as far as this node knows.
    private CopyResult NotDone() => new(DeviceStatus.IoError, 0, null, false, _copied, _compared, IsLeaseLost: true);

    private void End(CopyResult result)
    {
        lock (_gate)
        {
            if (_isOver) return;
            _isOver = true;
        }

        _source.Dispose();
        volume.CopyEnded(this, result);
    }

    private sealed class Step : DiskCall
    {
        private readonly RangeCopy _copy;
        private readonly LegPart _part;

        public ByteRange Place => new(_part.DiskOffset, _part.Length);

        public Step(RangeCopy copy, DiskPort port, int leg, LegPart part)
        {
            (_copy, Port, Leg, _part) = (copy, port, leg, part);
            _copy._source.Retain(); // A step that hangs uses it for longer than the copy.
        }

        public DiskPort Port { get; }

        public int Leg { get; }

        public bool IsStopped { get; private set; }

        /// <summary>The system's error number of a call that failed; 0 if it gave none.</summary>
        public int Errno { get; private set; }

        public long Copied { get; private set; }

        public long Compared { get; private set; }

        private Span<byte> Source => _copy._source.GetSpan().Slice((int)_part.BufferOffset, (int)_part.Length);

        public override DeviceStatus Execute(IBlockDevice device)
        {
            if (!MayGoOn()) return DeviceStatus.IoError;
            DeviceErrno.Last = 0;
            var status = Leg == 0 ? device.Read(_part.DiskOffset, Source) : CompareAndWrite(device);
            Errno = DeviceErrno.Last;
            return status;
        }

        public override void Ended(DeviceStatus status)
        {
            _copy._source.Dispose();
            _copy.StepEnded(this, status);
        }

        public override void Release() => _copy._source.Dispose();

        private bool MayGoOn()
        {
            IsStopped = !_copy.MayGoOn;
            return !IsStopped;
        }

        private DeviceStatus CompareAndWrite(IBlockDevice device)
        {
            using var target = AlignedBufferPool.Shared.Rent((int)_part.Length);
            // A target that cannot be read may still be written; the write tells.
            var isReadable = device.Read(_part.DiskOffset, target.GetSpan()[..(int)_part.Length]) == DeviceStatus.Ok;
            for (var at = 0; at < _part.Length; at += CompareBytes)
            {
                var length = (int)Math.Min(CompareBytes, _part.Length - at);
                var wanted = Source.Slice(at, length);
                if (isReadable && wanted.SequenceEqual(target.GetSpan().Slice(at, length)))
                {
                    Compared += length;
                    continue;
                }

                if (!MayGoOn()) return DeviceStatus.IoError;
                DeviceErrno.Last = 0; // Of a read that failed before.
                var status = device.Write(_part.DiskOffset + at, wanted);
                if (status != DeviceStatus.Ok) return status;
                Copied += length;
            }

            return DeviceStatus.Ok;
        }
    }
}
