using System.Net.Sockets;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Receives the bytes of one connection and knows when they came. The reader's thread receives; any thread may look how much has come,
/// so that requests keep a known age while the reader stands still, idle or held up.</summary>
internal sealed class ConnectionIntake : IIntake
{
    // A step of the real-time clock shows as a change of its offset from boot time; slewing changes it by less between two looks.
    private const long StepNs = 5_000_000;

    private readonly SafeSocketHandle _socket;
    private readonly Lock _gate = new();
    private readonly ArrivalBounds _bounds;
    private readonly bool _isStamped;
    private long _received;
    private long _expected = long.MaxValue;
    private long _needed;
    private long _floorNs;
    private long _offsetNs;
    private long _stampNs;

    public ConnectionIntake(Socket socket)
    {
        _socket = socket.SafeHandle;
        _isStamped = socket.AddressFamily != AddressFamily.Unix && SocketCalls.TryStampReceives(_socket);
        _floorNs = Linux.BootTimeNanoseconds();
        _offsetNs = Linux.RealTimeNanoseconds() - _floorNs;
        _bounds = new ArrivalBounds(_floorNs);
        LookAtClocks();
    }

    public (long FromNs, long ToNs) Current { get; private set; }

    /// <summary>Bytes received so far. Reader only.</summary>
    public long Received => _received;

    /// <summary>Receives what is there. Reader only.</summary>
    /// <returns>Bytes; 0 at the end of the stream; <see cref="SocketCalls.WouldBlock"/>, <see cref="SocketCalls.Broken"/>.</returns>
    public unsafe int Receive(byte* target, int maxBytes)
    {
        lock (_gate)
        {
            var before = Linux.BootTimeNanoseconds();
            var received = SocketCalls.ReceiveNow(_socket, target, maxBytes, out var stamp);
            var after = Linux.BootTimeNanoseconds();
            _stampNs = ToBootTime(stamp, after);
            if (received > 0) _received += received;
            // It took all that was there.
            if (received < maxBytes && received is not (0 or SocketCalls.Broken)) _bounds.Add(before, after, _received, _needed);
            return received;
        }
    }

    /// <summary>No whole request ends before <paramref name="position"/> but those that were handed over. Reader only.</summary>
    public void Expect(long position)
    {
        lock (_gate) _expected = _needed = position;
    }

    /// <summary>Nothing will be handed over any more. Reader only.</summary>
    public void ExpectNothing()
    {
        lock (_gate) _expected = long.MaxValue;
    }

    /// <summary>The request that ends at <paramref name="position"/>, received as a whole, is handed over next. Reader only.</summary>
    public void Begin(long position)
    {
        lock (_gate) Current = (_bounds.FromNs(position), _bounds.ToNs(position, _stampNs));
    }

    public long FloorNs(long nowNs)
    {
        // The reader is at it: what was last known is still true.
        if (!_gate.TryEnter()) return Volatile.Read(ref _floorNs);
        try
        {
            var before = Linux.BootTimeNanoseconds();
            var unread = SocketCalls.Unread(_socket);
            var after = Linux.BootTimeNanoseconds();
            LookAtClocks();
            if (unread >= 0) _bounds.Add(before, after, _received + unread, _needed);
            var floor = _expected == long.MaxValue ? before : _bounds.FromNs(_expected);
            Volatile.Write(ref _floorNs, Math.Max(_floorNs, Math.Min(floor, nowNs)));
            return _floorNs;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>The kernel stamps the newest byte that it gave with real time; with a step of that clock in between it says nothing.</summary>
    private long ToBootTime(long stampNs, long nowNs)
    {
        if (!_isStamped || stampNs == 0) return nowNs;
        var offset = _offsetNs;
        LookAtClocks();
        return Math.Abs(offset - _offsetNs) < StepNs ? Math.Min(nowNs, stampNs - _offsetNs + StepNs) : nowNs;
    }

    private void LookAtClocks()
    {
        var before = Linux.BootTimeNanoseconds();
        var offset = Linux.RealTimeNanoseconds() - before;
        // Stopped in between: it may be off by the stop. A step of the clock meanwhile shows at the next look.
        if (Linux.BootTimeNanoseconds() - before < StepNs) _offsetNs = offset;
    }
}
