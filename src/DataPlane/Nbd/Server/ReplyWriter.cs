using System.Net.Sockets;
using System.Runtime.InteropServices;
using RaftMirror.DataPlane.Nbd.Protocol;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Sends one connection's replies. Any thread may bring a reply; the first to find nobody sending becomes the
/// writer and sends for all who come meanwhile, many replies in one system call (flat combining). The role never
/// waits: if the client's window is full, or a writer has served others long enough, the role passes to a thread of
/// the connection's own, made when first needed. So a slow client costs its own memory and thread, never an engine's.</summary>
internal sealed unsafe class ReplyWriter : IDisposable
{
    private const int MaxBatch = 128;
    private const int MaxTurns = 4;
    private const int LookMilliseconds = 500;
    private const int HeaderBytes = MaxBatch * ReplyEncoder.MaxHeaderBytes;

    private readonly object _gate = new();
    private readonly NbdConnection _connection;
    private readonly SafeSocketHandle _socket;
    private readonly int _stallMilliseconds;
    private readonly int _stallInTheWayMilliseconds;
    private readonly string _threadName;

    // Under _gate.
    private NbdRequest? _first;
    private NbdRequest? _last;
    private bool _isActive;
    private bool _isHandedOver;
    private bool _isStopping;
    private Thread? _thread;

    // The writer's, whoever that is.
    private readonly NbdRequest[] _batch = new NbdRequest[MaxBatch];
    private readonly IoVector[] _parts = new IoVector[2 * MaxBatch];
    private byte* _headers;
    private NbdRequest? _taken;
    private int _batchCount;
    private int _partCount;
    private int _partsSent;
    private volatile bool _isBroken;

    /// <param name="connection">Whose replies.</param>
    /// <param name="socket">Where they go.</param>
    /// <param name="stallLimit">For how long the client may take no byte.</param>
    /// <param name="stallInTheWay">The same while that keeps requests from being read, its own or others'.</param>
    /// <param name="threadName">Of the connection's own thread.</param>
    public ReplyWriter(NbdConnection connection, SafeSocketHandle socket, TimeSpan stallLimit, TimeSpan stallInTheWay, string threadName)
    {
        _connection = connection;
        _socket = socket;
        _stallMilliseconds = (int)stallLimit.TotalMilliseconds;
        _stallInTheWayMilliseconds = (int)stallInTheWay.TotalMilliseconds;
        _threadName = threadName;
        _headers = (byte*)NativeMemory.Alloc(HeaderBytes);
    }

    /// <summary>Replies are thrown away from now on, those that are being sent included.</summary>
    public void Break() => _isBroken = true;

    /// <summary>Queues a reply and, if nobody is sending, sends. Any thread; does not wait.</summary>
    public void Enqueue(NbdRequest request)
    {
        lock (_gate)
        {
            request.Next = null;
            if (_last is null) _first = request;
            else _last.Next = request;
            _last = request;
            if (_isActive) return;
            _isActive = true;
        }

        Drain(mayHandOver: true);
    }

    /// <summary>Takes the writer's role if it is free, so that replies gather until <see cref="Release"/>.</summary>
    public bool TryHold()
    {
        lock (_gate)
        {
            if (_isActive) return false;
            return _isActive = true;
        }
    }

    /// <summary>Sends what gathered and gives the role up.</summary>
    public void Release() => Drain(mayHandOver: true);

    /// <summary>Waits until nobody is the writer; every request must be retired.</summary>
    public void WaitIdle()
    {
        lock (_gate)
        {
            _isStopping = true;
            Monitor.PulseAll(_gate);
            while (_isActive) Monitor.Wait(_gate);
        }

        _thread?.Join();
    }

    /// <summary>Frees memory; after <see cref="WaitIdle"/>.</summary>
    public void Dispose()
    {
        NativeMemory.Free(_headers);
        _headers = null;
    }

    private void Drain(bool mayHandOver)
    {
        for (var turn = 0; ; turn++)
        {
            if (_batchCount == 0 && !FillBatch()) return;
            if (mayHandOver && turn == MaxTurns)
            {
                HandOver();
                return;
            }

            if (!SendBatch(mayHandOver))
            {
                HandOver();
                return;
            }

            RetireBatch();
        }
    }

    /// <summary>Takes replies into the batch; without any, gives the role up.</summary>
    /// <returns>False if the role was given up.</returns>
    private bool FillBatch()
    {
        if (_taken is null)
        {
            lock (_gate)
            {
                _taken = _first;
                _first = _last = null;
                if (_taken is null)
                {
                    _isActive = false;
                    if (_isStopping) Monitor.PulseAll(_gate);
                    return false;
                }
            }
        }

        _partCount = _partsSent = 0;
        var header = _headers;
        while (_taken is { } request && _batchCount < MaxBatch)
        {
            _taken = request.Next;
            _batch[_batchCount++] = request;
            if (!request.IsSilent) header += Append(request, header);
        }

        return true;
    }

    private int Append(NbdRequest request, byte* header)
    {
        var headerBytes = _connection.WriteReply(request, new Span<byte>(header, ReplyEncoder.MaxHeaderBytes));

        // Headers that follow each other in memory are one part.
        if (_partCount > 0 && _parts[_partCount - 1].Base + _parts[_partCount - 1].Length == header)
        {
            _parts[_partCount - 1].Length += headerBytes;
        }
        else
        {
            _parts[_partCount++] = new IoVector { Base = header, Length = headerBytes };
        }

        if (request.SendsData)
        {
            Invariant.Require(request.Buffer is not null, "A read has a buffer.");
            using var pin = request.Buffer.Pin();
            _parts[_partCount++] = new IoVector { Base = (byte*)pin.Pointer, Length = (nint)request.Header.Length };
        }

        return headerBytes;
    }

    /// <returns>False if it would wait and may not.</returns>
    private bool SendBatch(bool mayHandOver)
    {
        while (_partsSent < _partCount && !_isBroken)
        {
            var sent = SocketCalls.Send(_socket, _parts.AsSpan(_partsSent, _partCount - _partsSent));
            if (sent >= 0)
            {
                Advance(sent);
            }
            else if (sent == SocketCalls.WouldBlock)
            {
                if (mayHandOver) return false;
                if (!WaitWritable()) BreakConnection("it took no reply in time");
            }
            else
            {
                BreakConnection("sending failed");
            }
        }

        return true;
    }

    /// <summary>Waits until the client takes bytes again. What is not read of its requests may be older than what others write (design §14.25), so
    /// that all wait for it: for that it is not given long.</summary>
    private bool WaitWritable()
    {
        var since = Environment.TickCount64;
        long? inTheWaySince = null;
        while (!_isBroken)
        {
            if (Readiness.WaitWritable(_socket, Math.Min(LookMilliseconds, _stallInTheWayMilliseconds))) return true;
            var now = Environment.TickCount64;
            inTheWaySince = _connection.IsInTheWay ? inTheWaySince ?? now : null;
            if (now - since >= _stallMilliseconds || now - inTheWaySince >= _stallInTheWayMilliseconds) return false;
        }

        return true; // Replies are thrown away now.
    }

    private void Advance(long sent)
    {
        while (sent > 0)
        {
            ref var part = ref _parts[_partsSent];
            var bytes = (nint)Math.Min(sent, part.Length);
            part.Base += bytes;
            part.Length -= bytes;
            sent -= bytes;
            if (part.Length == 0) _partsSent++;
        }
    }

    private void RetireBatch()
    {
        var count = _batchCount;
        _batchCount = 0;
        _connection.Retire(_batch.AsSpan(0, count), !_isBroken);
        Array.Clear(_batch, 0, count);
    }

    private void BreakConnection(string reason)
    {
        _isBroken = true;
        _connection.BeginDrop(reason);
    }

    private void HandOver()
    {
        lock (_gate)
        {
            _isHandedOver = true;
            if (_thread is null)
            {
                _thread = new Thread(RunThread, maxStackSize: 256 << 10) { IsBackground = true, Name = _threadName };
                _thread.Start();
            }

            Monitor.PulseAll(_gate);
        }
    }

    private void RunThread()
    {
        while (true)
        {
            lock (_gate)
            {
                while (!_isHandedOver)
                {
                    if (_isStopping && !_isActive) return;
                    Monitor.Wait(_gate);
                }

                _isHandedOver = false;
            }

            Drain(mayHandOver: false);
        }
    }
}
