using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Devices;

/// <summary>Native memory aligned to 4 KiB, as O_DIRECT needs it; managed arrays, even pinned, are not aligned.
/// Whoever rents it, and each device call that was <see cref="Retain"/>ed for, holds it; the last <see cref="Dispose()"/> gives it back to
/// its pool: so memory that a call in the kernel still uses is given to nobody else.</summary>
public sealed unsafe class AlignedBuffer : MemoryManager<byte>
{
    private readonly AlignedBufferPool _pool;
    private void* _pointer;
    private int _holders;

    internal AlignedBuffer(AlignedBufferPool pool, int capacityBytes)
    {
        _pool = pool;
        CapacityBytes = capacityBytes;
        _pointer = NativeMemory.AlignedAlloc((nuint)capacityBytes, AlignedBufferPool.AlignmentBytes);
    }

    /// <summary>Bytes that fit, at least what was asked for.</summary>
    public int CapacityBytes { get; }

    /// <inheritdoc/>
    public override Span<byte> GetSpan()
    {
        Invariant.Require(_pointer is not null && Volatile.Read(ref _holders) != 0, "A buffer was used after it was given back.");
        return new Span<byte>(_pointer, CapacityBytes);
    }

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0) => new((byte*)_pointer + elementIndex);

    /// <inheritdoc/>
    public override void Unpin()
    {
    }

    /// <summary>Gives the buffer back to its pool.</summary>
    public void Dispose() => ((IDisposable)this).Dispose();

    /// <summary>One more holder; each gives it back once. Only by somebody who holds it.</summary>
    public void Retain() =>
        Invariant.Require(Interlocked.Increment(ref _holders) > 1, "A buffer was used after it was given back.");

    internal void Rent() =>
        Invariant.Require(Interlocked.Exchange(ref _holders, 1) == 0, "A buffer is rented by one.");

    internal void Free()
    {
        if (_pointer is null) return;
        NativeMemory.AlignedFree(_pointer);
        _pointer = null;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        var left = Interlocked.Decrement(ref _holders);
        Invariant.Require(left >= 0, "A buffer is given back once by each holder.");
        if (left == 0) _pool.Return(this);
    }
}

/// <summary>Keeps buffers in power-of-two classes from 4 KiB to 32 MiB. Any thread.</summary>
public sealed class AlignedBufferPool
{
    /// <summary>Every buffer starts at a multiple of this.</summary>
    public const int AlignmentBytes = 4096;

    private const int MaxKeptBytesPerClass = 64 << 20;
    private readonly ConcurrentBag<AlignedBuffer>[] _classes;
    private readonly int[] _kept;

    /// <summary>An empty pool.</summary>
    public AlignedBufferPool()
    {
        _classes = new ConcurrentBag<AlignedBuffer>[14];
        for (var i = 0; i < _classes.Length; i++) _classes[i] = [];
        _kept = new int[_classes.Length];
    }

    /// <summary>The pool of this process.</summary>
    public static AlignedBufferPool Shared { get; } = new();

    /// <summary>A buffer of at least <paramref name="minimumBytes"/>, 1 to 32 MiB, with undefined content.</summary>
    public AlignedBuffer Rent(int minimumBytes)
    {
        var index = ClassOf(minimumBytes);
        if (_classes[index].TryTake(out var buffer)) Interlocked.Decrement(ref _kept[index]);
        else buffer = new AlignedBuffer(this, AlignmentBytes << index);
        buffer.Rent();
        return buffer;
    }

    internal void Return(AlignedBuffer buffer)
    {
        var index = ClassOf(buffer.CapacityBytes);
        var limit = Math.Max(4, MaxKeptBytesPerClass / buffer.CapacityBytes);
        if (Interlocked.Increment(ref _kept[index]) <= limit)
        {
            _classes[index].Add(buffer);
            return;
        }

        Interlocked.Decrement(ref _kept[index]);
        buffer.Free();
    }

    private int ClassOf(int bytes)
    {
        Invariant.Require(bytes > 0 && bytes <= AlignmentBytes << (_classes.Length - 1), "Buffers are 1 byte to 32 MiB.");
        return Math.Max(0, 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)(bytes - 1)) - 12);
    }
}
