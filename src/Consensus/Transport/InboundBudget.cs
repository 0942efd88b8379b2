namespace RaftMirror.Consensus.Transport;

/// <summary>One peer's share of what waits in this node: when it is used up, that peer's connection is not read any more, and
/// nobody else's is affected. Any thread.</summary>
/// <param name="maxItems">How many things may wait.</param>
/// <param name="maxBytes">How large they may be together; one is always allowed.</param>
internal sealed class InboundBudget(int maxItems, long maxBytes)
{
    private readonly object _gate = new();
    private int _items;
    private long _bytes;
    private TaskCompletionSource? _room;

    /// <summary>What waits at the moment.</summary>
    public (int Items, long Bytes) Used
    {
        get
        {
            lock (_gate) return (_items, _bytes);
        }
    }

    /// <summary>Takes a share if there is room.</summary>
    public bool TryTake(int bytes)
    {
        lock (_gate)
        {
            if (_items > 0 && (_items >= maxItems || _bytes + bytes > maxBytes)) return false;
            _items++;
            _bytes += bytes;
            return true;
        }
    }

    /// <summary>Waits for room and takes a share.</summary>
    public async ValueTask TakeAsync(int bytes, CancellationToken cancellationToken)
    {
        while (!TryTake(bytes))
        {
            Task room;
            lock (_gate)
            {
                if (_items == 0 || (_items < maxItems && _bytes + bytes <= maxBytes)) continue;
                _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                room = _room.Task;
            }

            await room.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Gives a share back.</summary>
    public void Return(int bytes)
    {
        TaskCompletionSource? room;
        lock (_gate)
        {
            _items--;
            _bytes -= bytes;
            if (_room is null || (_items > maxItems / 2 && _items > 0)) return; // Woken for a half, not for each.
            if (_bytes > maxBytes / 2 && _items > 0) return;
            room = _room;
            _room = null;
        }

        room.TrySetResult();
    }
}
