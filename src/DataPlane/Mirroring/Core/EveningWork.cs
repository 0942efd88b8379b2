using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>One device call of an evening out.</summary>
/// <param name="Leg">Index in the plan.</param>
/// <param name="Disk">Disk.</param>
/// <param name="DiskOffset">From the start of the disk.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Buffer">Whose buffer: the leg's own for a read, that of the leg which gives for a write.</param>
/// <param name="BufferOffset">Where in it.</param>
/// <param name="IsWrite">Else it reads.</param>
internal readonly record struct EveningStep(
    int Leg, string Disk, long DiskOffset, int Length, int Buffer, int BufferOffset, bool IsWrite);

/// <summary>Makes the legs of a range equal where disks are full: block by block, from the first leg whose bytes fit on all others. A block that one
/// leg took and another had no space for lies in allocated space on the one that took it, so what the other has fits there. Says what to do
/// next and is told how it ended; the buffers are the caller's. One thread at a time.</summary>
internal sealed class EveningWork
{
    /// <summary>Size of each leg's buffer.</summary>
    public const int SliceBytes = 1 << 20;

    /// <summary>What file systems allocate at once.</summary>
    private const int BlockBytes = 4096;

    private readonly EvenOutPlan _plan;
    private readonly IReadOnlyList<AlignedBuffer> _buffers;
    private readonly IEnumerator<EveningStep> _steps;
    private CopyResult? _failure;
    private long _sliceOffset;
    private long _written;
    private DeviceStatus _status;
    private int _errno;

    /// <param name="plan">What to make equal.</param>
    /// <param name="buffers">One for each leg.</param>
    public EveningWork(EvenOutPlan plan, IReadOnlyList<AlignedBuffer> buffers)
    {
        (_plan, _buffers) = (plan, buffers);
        _steps = Slices().GetEnumerator();
    }

    /// <summary>How it ended; meaningful once <see cref="TryNext"/> said that nothing is left to do.</summary>
    public CopyResult Result => _failure ?? new CopyResult(DeviceStatus.Ok, 0, null, false, _written, 0);

    /// <summary>The next call, if there is one.</summary>
    public bool TryNext(out EveningStep step)
    {
        var isThere = _steps.MoveNext();
        step = isThere ? _steps.Current : default;
        return isThere;
    }

    /// <summary>How the call ended.</summary>
    public void Ended(DeviceStatus status, int errno) => (_status, _errno) = (status, errno);

    private IEnumerable<EveningStep> Slices()
    {
        // Slices begin at multiples of a block, whatever the range begins at.
        for (_sliceOffset = 0; _sliceOffset < _plan.Range.Length;)
        {
            var length = (int)Math.Min(SliceBytes - ((_plan.Range.Start + _sliceOffset) % BlockBytes), _plan.Range.Length - _sliceOffset);
            for (var leg = 0; leg < _plan.Legs.Count; leg++)
            {
                foreach (var step in Pieces(leg, leg, 0, length, isWrite: false))
                {
                    yield return step;
                    if (HasFailed(step)) yield break;
                }
            }

            for (var at = 0; at < length;)
            {
                var size = (int)Math.Min(BlockBytes - ((_plan.Range.Start + _sliceOffset + at) % BlockBytes), length - at);
                foreach (var step in Block(at, size)) yield return step;
                if (_failure is not null) yield break;
                at += size;
            }

            _sliceOffset += length;
        }
    }

    private IEnumerable<EveningStep> Block(int at, int size)
    {
        for (var source = 0; source < _plan.Sources; source++)
        {
            foreach (var step in Give(source, at, size)) yield return step;
            if (_failure is not { Status: DeviceStatus.NoSpace } || source + 1 == _plan.Sources) yield break;
            _failure = null; // Another source may fit.
        }
    }

    private IEnumerable<EveningStep> Give(int source, int at, int size)
    {
        for (var leg = 0; leg < _plan.Legs.Count; leg++)
        {
            if (leg == source || Content(leg, at, size).SequenceEqual(Content(source, at, size))) continue;
            foreach (var step in Pieces(leg, source, at, size, isWrite: true))
            {
                yield return step;
                if (HasFailed(step)) break;
                Content(source, step.BufferOffset, step.Length).CopyTo(Content(leg, step.BufferOffset, step.Length));
                _written += step.Length;
            }

            if (_failure is not { } failure) continue;
            if (failure.Status != DeviceStatus.NoSpace) yield break;

            // What it has now is what the next source is compared with.
            foreach (var step in Pieces(leg, leg, at, size, isWrite: false))
            {
                yield return step;
                if (HasFailed(step)) yield break;
            }

            yield break;
        }
    }

    private Span<byte> Content(int leg, int at, int length) => _buffers[leg].GetSpan().Slice(at, length);

    /// <summary>A first failure stays; a read after it that fails too outranks a lack of space.</summary>
    private bool HasFailed(EveningStep step)
    {
        if (_status == DeviceStatus.Ok) return false;
        _failure = new CopyResult(_status, step.Leg, step.Disk, step.IsWrite, _written, 0) { Errno = _errno, Place = new ByteRange(step.DiskOffset, step.Length) };
        return true;
    }

    /// <summary>The calls for a part of the slice on one leg, whose extents may lie on several disks.</summary>
    private List<EveningStep> Pieces(int leg, int buffer, int at, int length, bool isWrite)
    {
        var pieces = new List<EveningStep>(1);
        var offset = _sliceOffset + at;
        foreach (var part in _plan.Legs[leg])
        {
            var from = Math.Max(offset, part.BufferOffset);
            var end = Math.Min(offset + length, part.BufferOffset + part.Length);
            if (from >= end) continue;
            pieces.Add(new EveningStep(
                leg, part.Disk, part.DiskOffset + from - part.BufferOffset, (int)(end - from), buffer, (int)(from - _sliceOffset), isWrite));
        }

        return pieces;
    }
}
