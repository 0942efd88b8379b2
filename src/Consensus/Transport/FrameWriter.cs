using RaftMirror.Consensus.Messages;

namespace RaftMirror.Consensus.Transport;

/// <summary>
/// What waits to be sent on one connection. All that is there leaves in one write of about 256 KiB. Other messages
/// (heartbeats, votes, answers), requests and responses overtake appends: a heartbeat waits for at most one write. The thread
/// that calls <see cref="Flush"/> writes by itself if little waits and the connection takes it; else the pool does. Any thread.
/// </summary>
/// <param name="stream">The connection.</param>
/// <param name="isInline">Whether <see cref="Flush"/> may write on its caller's thread; not with TLS, which computes.</param>
/// <param name="limits">Bounds of what waits.</param>
/// <param name="broken">Called once, on any thread, when a write has failed.</param>
internal sealed class FrameWriter(Stream stream, bool isInline, TransportLimits limits, Action<Exception> broken) : IDisposable
{
    private const int WriteBytes = 256 * 1024;
    private const int InlineBytes = 64 * 1024;

    private readonly object _gate = new();
    private readonly Queue<Message> _appends = [];
    private readonly List<Message> _taken = [];
    private FrameBuffer _filling = new();
    private FrameBuffer _writing = new();
    private long _appendBytes;
    private bool _isPumping;
    private bool _isClosed;
    private TaskCompletionSource? _room;
    private TaskCompletionSource? _drained;
    private long _writingSinceMs;

    /// <summary>Since when a write makes no progress; 0 if none is under way. Any thread.</summary>
    public long WritingSinceMs => Volatile.Read(ref _writingSinceMs);

    private long QueuedBytes => _filling.Length + _appendBytes;

    /// <summary>Queues a Raft message; it leaves with <see cref="Flush"/>.</summary>
    /// <returns>False if too much waits already, or the connection has ended: the message is dropped.</returns>
    public bool TryAdd(in Message message)
    {
        var length = MessageCodec.Length(message);
        lock (_gate)
        {
            if (_isClosed || QueuedBytes + length > limits.MaxQueuedBytes || _appends.Count >= limits.MaxQueuedMessages) return false;
            if (message.Kind == MessageKind.Append)
            {
                _appends.Enqueue(message);
                _appendBytes += length;
            }
            else Encode(message, length, _filling);
        }

        return true;
    }

    /// <summary>Queues a frame, copying it; the last one may go over the bound.</summary>
    /// <returns>False if too much waits already, or the connection has ended.</returns>
    public bool TryAdd(FrameKind kind, ReadOnlySpan<byte> head, ReadOnlySpan<byte> rest)
    {
        lock (_gate)
        {
            if (_isClosed || QueuedBytes >= limits.MaxQueuedBytes) return false;
            _filling.Add(kind, head, rest);
        }

        return true;
    }

    /// <summary>Sends what is queued, or sees to it that it is sent. Never waits for the peer.</summary>
    public void Flush()
    {
        bool isHere;
        lock (_gate)
        {
            if (_isPumping || _isClosed || QueuedBytes == 0) return;
            _isPumping = true;
            isHere = isInline && QueuedBytes <= InlineBytes;
        }

        if (isHere) _ = PumpAsync();
        else ThreadPool.UnsafeQueueUserWorkItem(static writer => _ = writer.PumpAsync(), this, preferLocal: false);
    }

    /// <summary>Waits until less than half of what may wait does, or the connection has ended.</summary>
    public Task RoomAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_isClosed || QueuedBytes < limits.MaxQueuedBytes / 2) return Task.CompletedTask;
            _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _room.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Waits until all that is queued has been given to the connection, or it has ended.</summary>
    public Task DrainedAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_isClosed || !_isPumping) return Task.CompletedTask;
            _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _drained.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Takes nothing more and drops what waits.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_isClosed) return;
            _isClosed = true;
            _appends.Clear();
            _appendBytes = 0;
            if (!_isPumping) Release();
            _room?.TrySetResult();
            _drained?.TrySetResult();
        }
    }

    private static void Encode(in Message message, int length, FrameBuffer buffer)
    {
        MessageCodec.Encode(message, buffer.Begin(length));
        buffer.Seal(FrameKind.Raft);
    }

    private async Task PumpAsync()
    {
        try
        {
            while (TryTake())
            {
                for (var offset = 0; offset < _writing.Length; offset += WriteBytes)
                {
                    Volatile.Write(ref _writingSinceMs, Environment.TickCount64);
                    await stream.WriteAsync(_writing.Memory.Slice(offset, Math.Min(WriteBytes, _writing.Length - offset)), CancellationToken.None);
                }

                Volatile.Write(ref _writingSinceMs, 0);
                _writing.Clear();
            }
        }
#pragma warning disable CA1031 // Nobody awaits the pump: whatever happened is told, and the connection ends.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Dispose();
            lock (_gate) Release();
            broken(error);
        }
    }

    private bool TryTake()
    {
        lock (_gate)
        {
            if (_isClosed || QueuedBytes == 0)
            {
                _isPumping = false;
                if (_isClosed) Release();
                _drained?.TrySetResult();
                _drained = null;
                return false;
            }

            (_filling, _writing) = (_writing, _filling);
            var bytes = _writing.Length;
            while (bytes < WriteBytes && _appends.TryPeek(out var append))
            {
                var length = MessageCodec.Length(append);
                if (bytes > 0 && bytes + length > WriteBytes) break;
                bytes += length;
                _appendBytes -= length;
                _taken.Add(_appends.Dequeue());
            }

            if (_room is not null && QueuedBytes < limits.MaxQueuedBytes / 2)
            {
                _room.TrySetResult();
                _room = null;
            }
        }

        foreach (var message in _taken) Encode(message, MessageCodec.Length(message), _writing);
        _taken.Clear();
        return true;
    }

    /// <summary>Under the gate, when no write is under way any more.</summary>
    private void Release()
    {
        _filling.Dispose();
        _writing.Dispose();
    }
}
