using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Mirroring.Core;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>Carries out <see cref="EveningWork"/>: one call after the other, each in the queue of the disk that it concerns. One step at a time
/// has it.</summary>
internal sealed class RangeEvening
{
    private readonly MirrorVolume _volume;
    private readonly Func<string, DiskPort?> _find;
    private readonly AlignedBuffer[] _buffers;
    private readonly EveningWork _work;
    private readonly Lock _gate = new();
    private volatile bool _isAbandoned;
    private Step? _step;
    private bool _isOver;

    public RangeEvening(MirrorVolume volume, ulong id, EvenOutPlan plan, Func<string, DiskPort?> find)
    {
        (_volume, Id, _find) = (volume, id, find);
        _buffers = new AlignedBuffer[plan.Legs.Count];
        for (var i = 0; i < _buffers.Length; i++)
            _buffers[i] = AlignedBufferPool.Shared.Rent((int)Math.Min(EveningWork.SliceBytes, plan.Range.Length));
        _work = new EveningWork(plan, _buffers);
    }

    /// <summary>Its operation in the core.</summary>
    public ulong Id { get; }

    /// <summary>Begins.</summary>
    public void Start() => Next();

    /// <summary>No call is made any more. A step that hangs on the leg is given up; a call on another leg is waited for, since what it writes must
    /// not land behind what clients write next.</summary>
    /// <param name="leg">Index in the plan of the leg that was lost.</param>
    public void Abandon(int leg)
    {
        _isAbandoned = true;
        Step step;
        lock (_gate)
        {
            if (_step is null || _step.What.Leg != leg) return; // The step under way sees that it was abandoned.
            step = _step;
        }

        if (step.Port.GiveUp(step)) End(NotDone);
    }

    // Not the devices' fault, as far as this node knows.
    private static CopyResult NotDone => new(DeviceStatus.IoError, 0, null, false, 0, 0, IsLeaseLost: true);

    private bool MayGoOn => !_isAbandoned && _volume.HasLease();

    private void Next()
    {
        if (!_work.TryNext(out var what))
        {
            End(_work.Result);
            return;
        }

        if (_find(what.Disk) is not { } port)
        {
            End(new CopyResult(DeviceStatus.Unreachable, what.Leg, what.Disk, what.IsWrite, 0, 0));
            return;
        }

        var step = new Step(this, port, what);
        lock (_gate) _step = step;
        if (!_isAbandoned) port.Enqueue(step);
        else if (port.GiveUp(step)) End(NotDone);
    }

    private void StepEnded(Step step, DeviceStatus status)
    {
        lock (_gate) _step = null;
        if (step.IsStopped)
        {
            End(NotDone);
            return;
        }

        _work.Ended(status, step.Errno);
        Next();
    }

    private void End(CopyResult result)
    {
        lock (_gate)
        {
            if (_isOver) return;
            _isOver = true;
        }

        foreach (var buffer in _buffers) buffer.Dispose();
        _volume.EveningEnded(this, result);
    }

    private sealed class Step : DiskCall
    {
        private readonly RangeEvening _evening;
        private readonly AlignedBuffer _buffer;

        public Step(RangeEvening evening, DiskPort port, EveningStep what)
        {
            (_evening, Port, What) = (evening, port, what);
            _buffer = evening._buffers[what.Buffer];
            _buffer.Retain(); // A step that hangs uses it for longer than the evening out.
        }

        public DiskPort Port { get; }

        public EveningStep What { get; }

        public bool IsStopped { get; private set; }

        public int Errno { get; private set; }

        public override DeviceStatus Execute(IBlockDevice device)
        {
            IsStopped = !_evening.MayGoOn;
            if (IsStopped) return DeviceStatus.IoError;
            var bytes = _buffer.GetSpan().Slice(What.BufferOffset, What.Length);
            DeviceErrno.Last = 0;
            var status = What.IsWrite ? device.Write(What.DiskOffset, bytes) : device.Read(What.DiskOffset, bytes);
            Errno = DeviceErrno.Last;
            return status;
        }

        public override void Ended(DeviceStatus status)
        {
            _buffer.Dispose();
            _evening.StepEnded(this, status);
        }

        public override void Release() => _buffer.Dispose();
    }
}
