using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>A client's request while it is under way: its buffer, and the task that its connection awaits. Pooled by its volume.</summary>
internal sealed class PendingRequest(MirrorVolume volume) : IValueTaskSource<IoStatus>
{
    // The continuation must not run on the thread that drains the volume's mailbox.
    private ManualResetValueTaskSourceCore<IoStatus> _source = new() { RunContinuationsAsynchronously = true };

    private Memory<byte> _buffer;
    private IReadBuffer? _owner;
    private AlignedBuffer? _other;
    private bool _isBufferLost;

    public MirrorRequest Request { get; set; }

    public void Begin(MirrorRequest request, Memory<byte> buffer, IReadBuffer? owner)
    {
        Request = request;
        (_buffer, _owner) = (buffer, owner);
    }

    /// <summary>The client's buffer; a write's is never written to. A read is given another one after <see cref="LoseBuffer"/>.</summary>
    public Memory<byte> BufferFor(EffectKind kind)
    {
        if (kind != EffectKind.LegRead || !_isBufferLost) return _buffer;
        _isBufferLost = false;
        var length = _buffer.Length;
        _other?.Dispose(); // A call that still fills it holds it.
        _other = AlignedBufferPool.Shared.Rent(length);
        return _buffer = _other.Memory[..length];
    }

    /// <summary>A call that nobody waits for any longer may fill the buffer at any time: it is not used for this request again.</summary>
    public void LoseBuffer() => _isBufferLost = true;

    public ValueTask<IoStatus> Task => new(this, _source.Version);

    public void Complete(IoStatus status)
    {
        if (_other is { } other)
        {
            _other = null;
            if (status == IoStatus.Ok && _owner is { } owner) owner.Replace(other);
            else other.Dispose();
            // Without an owner that takes it the answer has nowhere to go.
            if (status == IoStatus.Ok && _owner is null) status = IoStatus.Drop;
        }

        _isBufferLost = false;
        _source.SetResult(status);
    }

    public IoStatus GetResult(short token)
    {
        try
        {
            return _source.GetResult(token);
        }
        finally
        {
            _source.Reset();
            (_buffer, _owner) = (default, null);
            volume.Return(this);
        }
    }

    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}

/// <summary>One client connection to a volume.</summary>
internal sealed class MirrorSession(MirrorVolume volume, uint number, string client, IIntake? intake) : IExportSession
{
    private readonly CancellationTokenSource _dropped = new();
    private readonly TaskCompletionSource _admitted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isDisposed;

    public string Client { get; } = client;

    public uint Number { get; } = number;

    public CancellationToken Dropped => _dropped.Token;

    public Task Admitted => _admitted.Task;

    public void HungUp() => volume.HungUp(this);

    /// <summary>What came before this was handed to the volume. Any thread.</summary>
    public long FloorNs(long nowNs) => intake?.FloorNs(nowNs) ?? nowNs;

    public ValueTask<IoStatus> ReadAsync(long offset, Memory<byte> destination, IReadBuffer? owner = null) =>
        volume.SubmitAsync(
            new MirrorRequest(0, RequestKind.Read, new ByteRange(offset, destination.Length), Number), destination, owner);

    public ValueTask<IoStatus> WriteAsync(long offset, ReadOnlyMemory<byte> source, bool forceUnitAccess) =>
        volume.SubmitAsync(
            Timed(new MirrorRequest(0, RequestKind.Write, new ByteRange(offset, source.Length), Number, forceUnitAccess)),
            MemoryMarshal.AsMemory(source));

    public ValueTask<IoStatus> FlushAsync() =>
        volume.SubmitAsync(new MirrorRequest(0, RequestKind.Flush, default, Number), default);

    public ValueTask<IoStatus> TrimAsync(long offset, long lengthBytes, bool forceUnitAccess) =>
        volume.SubmitAsync(
            Timed(new MirrorRequest(0, RequestKind.Trim, new ByteRange(offset, lengthBytes), Number, forceUnitAccess, MayUnmap: true)),
            default);

    public ValueTask<IoStatus> WriteZeroesAsync(long offset, long lengthBytes, bool mayUnmap, bool forceUnitAccess) =>
        volume.SubmitAsync(
            Timed(new MirrorRequest(0, RequestKind.WriteZeroes, new ByteRange(offset, lengthBytes), Number, forceUnitAccess, mayUnmap)),
            default);

    /// <summary>Its client may have the export.</summary>
    public void Admit() => _admitted.TrySetResult();

    private MirrorRequest Timed(in MirrorRequest request)
    {
        if (intake is null) return request;
        var (from, to) = intake.Current;
        return request with { FromNs = from, ToNs = to };
    }

    /// <summary>Asks the connection to go.</summary>
    public void Drop()
    {
        lock (_dropped)
        {
            if (_isDisposed) return;
        }

        // Registered callbacks belong to the connection; they must not run under the mailbox.
        _ = _dropped.CancelAsync();
    }

    public void Dispose()
    {
        lock (_dropped)
        {
            if (_isDisposed) return;
            _isDisposed = true;
        }

        volume.Close(this);
        // The source is left to the collector: a Drop may be cancelling it right now.
    }
}
