namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Bounds what all connections of a server hold in memory beyond what each has of its own. Who finds it used up waits in order, so that
/// small requests cannot keep a large one waiting for ever. Any thread.</summary>
/// <param name="maxBytes">At least the largest request.</param>
internal sealed class SharedCredit(long maxBytes)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<CreditGate> _waiting = [];
    private long _used;

    /// <summary>Bytes that are taken.</summary>
    public long Used => Interlocked.Read(ref _used);

    /// <summary>Connections that wait.</summary>
    public int Waiting
    {
        get
        {
            lock (_gate) return _waiting.Count;
        }
    }

    /// <summary>Takes bytes, or has the caller wait in line: then it is woken when it should try again, until it succeeds or <see cref="Leave"/>s.</summary>
    public bool TryTake(CreditGate taker, long bytes)
    {
        CreditGate? next = null;
        lock (_gate)
        {
            var isFirst = _waiting.Count == 0 || _waiting.First!.Value == taker;
            if (!isFirst || _used + bytes > maxBytes)
            {
                if (!_waiting.Contains(taker)) _waiting.AddLast(taker);
                return false;
            }

            _used += bytes;
            if (_waiting.Count > 0)
            {
                _waiting.RemoveFirst();
                next = _waiting.First?.Value; // There may be room for it too.
            }
        }

        next?.Wake();
        return true;
    }

    /// <summary>Gives bytes back.</summary>
    public void Return(long bytes)
    {
        CreditGate? next;
        lock (_gate)
        {
            _used -= bytes;
            next = _waiting.First?.Value;
        }

        next?.Wake();
    }

    /// <summary>The caller waits no longer.</summary>
    public void Leave(CreditGate taker)
    {
        CreditGate? next;
        lock (_gate)
        {
            if (!_waiting.Remove(taker)) return;
            next = _waiting.First?.Value;
        }

        next?.Wake();
    }
}
