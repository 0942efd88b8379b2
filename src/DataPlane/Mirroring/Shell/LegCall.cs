using System.Runtime.InteropServices;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Mirroring.Core;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>One device call of a mirror's core on its way. It keeps the buffer that it reads or writes until it has come back, so that
/// nobody gets memory that a late call still uses (design §14.20). Pooled by its volume unless it was given up.</summary>
internal sealed class LegCall(MirrorVolume volume) : DiskCall
{
    private Memory<byte> _buffer;
    private AlignedBuffer? _kept;

    public MirrorEffect Effect { get; private set; }

    /// <summary>Its place in the volume's list.</summary>
    public int Index { get; set; }

    /// <summary>The call was not made: the lease had run out.</summary>
    public bool IsLeaseLost { get; private set; }

    /// <summary>The system's error number of a call that failed; 0 if it gave none.</summary>
    public int Errno { get; private set; }

    /// <summary>Where the disk's space comes from; 0 if that is not known.</summary>
    public ulong Space { get; private set; }

    public void Prepare(in MirrorEffect effect, Memory<byte> buffer)
    {
        Reset();
        Effect = effect;
        IsLeaseLost = false;
        (Errno, Space) = (0, 0);
        _buffer = buffer;
        if (MemoryMarshal.TryGetMemoryManager<byte, AlignedBuffer>(buffer, out var owner))
        {
            owner.Retain();
            _kept = owner;
        }
    }

    /// <inheritdoc/>
    public override DeviceStatus Execute(IBlockDevice device)
    {
        // Before every submit: a request may have waited in the queue past the lease.
        if (!volume.HasLease())
        {
            IsLeaseLost = true;
            return DeviceStatus.IoError;
        }

        DeviceErrno.Last = 0;
        var status = Call(device);
        (Errno, Space) = (DeviceErrno.Last, device.SpaceId);
        return status;
    }

    private DeviceStatus Call(IBlockDevice device)
    {
        var (offset, length) = (Effect.Range.Start, Effect.Range.Length);
        return Effect.Kind switch
        {
            EffectKind.LegRead => device.Read(offset, _buffer.Span.Slice((int)Effect.BufferOffset, (int)length)),
            EffectKind.LegWrite => device.Write(offset, _buffer.Span.Slice((int)Effect.BufferOffset, (int)length)),
            EffectKind.LegZero => device.WriteZeroes(offset, length, Effect.MayUnmap),
            _ => device.Flush(),
        };
    }

    /// <inheritdoc/>
    public override void Ended(DeviceStatus status)
    {
        // Before anybody hears of it: who does may give the buffer back and count on its being free.
        FreeBuffer();
        volume.CallEnded(this, status);
    }

    /// <inheritdoc/>
    public override void Release() => FreeBuffer();

    private void FreeBuffer()
    {
        Interlocked.Exchange(ref _kept, null)?.Dispose();
        _buffer = default;
    }
}
