using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>One client. A thread of its own does the handshake, reads requests and, at the end, waits until the session
/// holds none, closes the socket and disposes the session, in this order: a client that finds its connection closed may
/// repeat a write elsewhere, so nothing may then be on its way to a disk here (docs/architecture.md, failover
/// duplicates). Nothing that goes wrong here reaches another connection.</summary>
#pragma warning disable CA1001 // The connection's own thread disposes the writer, when nobody can use it any more.
internal sealed partial class NbdConnection
#pragma warning restore CA1001
{
    private readonly IExportCatalog _catalog;
    private readonly NbdServerOptions _options;
    private readonly AlignedBufferPool _pool;
    private readonly ILogger _logger;
    private readonly Socket _socket;
    private readonly CreditGate _credit;
    private readonly ReplyWriter _writer;
    private readonly ConnectionIntake _intake;
    private readonly Action<NbdConnection> _onEnded;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Unix sockets only: shutting down the receiving side wakes a reader too, and over TCP the client does not notice,
    // but a Unix client would get EPIPE and repeat its requests elsewhere while they still run here.
    private readonly SafeFileHandle? _wake;
    private readonly Lock _socketGate = new();
    private readonly CancellationTokenSource _dropping = new(); // Not disposed: a drop may be cancelling it right now.
    private readonly string _client;
    private readonly DateTimeOffset _since;
    private volatile bool _isDropping;
    private volatile string? _exportName;
    private string _endReason = "";
    private bool _isClosed;

    public NbdConnection(
        IExportCatalog catalog,
        NbdServerOptions options,
        AlignedBufferPool pool,
        SharedCredit memory,
        ILogger logger,
        Socket socket,
        string client,
        Action<NbdConnection> onEnded)
    {
        _catalog = catalog;
        _options = options;
        _pool = pool;
        _logger = logger;
        _socket = socket;
        _client = client;
        _onEnded = onEnded;
        _since = options.Time.GetUtcNow();
        if (socket.AddressFamily == AddressFamily.Unix) _wake = SocketCalls.CreateWake();
        _intake = new ConnectionIntake(socket);
        _credit = new CreditGate(options.CreditBytes, options.CreditRequests, options.OwnCreditBytes, memory);
        _writer = new ReplyWriter(this, socket.SafeHandle, options.SendStallLimit, options.SendStallInTheWay, "nbd writer");
    }

    /// <summary>Ends after the session was disposed and the socket closed.</summary>
    public Task Ended => _ended.Task;

    /// <summary>The export's name, from just before its session is opened.</summary>
    public string? ExportName => _exportName;

    /// <summary>True if replies that it does not take keep requests from being read, its own or other clients'.</summary>
    public bool IsInTheWay => _credit.IsWantedBack;

    /// <summary>Since when nothing is read from this client, since its requests hold all the memory that they may, ms of
    /// <see cref="Environment.TickCount64"/>; null if it is read from.</summary>
    public long? ThrottledSinceMs => _credit.WaitingSinceMs;

    /// <summary>What <see cref="NbdServer.Connections"/> shows.</summary>
    public NbdConnectionInfo Info => new(
        _exportName,
        _client,
        _since,
        Interlocked.Read(ref _requestCount),
        Interlocked.Read(ref _errorCount),
        _credit.Requests,
        Interlocked.Read(ref _readBytes),
        Interlocked.Read(ref _writtenBytes));

    /// <summary>Starts the connection's thread.</summary>
    public void Start() =>
        new Thread(Run, maxStackSize: 512 << 10) { IsBackground = true, Name = "nbd reader" }.Start();

    /// <summary>Stops reading; when every request has ended the connection closes. Any thread; does not wait.</summary>
    public void BeginDrop(string reason)
    {
        lock (_socketGate)
        {
            if (!_isDropping) _endReason = reason;
            _isDropping = true;
            if (_isClosed) return;
            if (_wake is not null) SocketCalls.Signal(_wake);
            else Shutdown(SocketShutdown.Receive); // A reader that waits for bytes gets the end of the stream.
        }

        _dropping.Cancel(); // Ends the wait of a handshake, which answers its client.
        _credit.Wake();
    }

    private void Run()
    {
        using var buffer = _pool.Rent(BufferBytes);
        _buffer = buffer;
        IExportSession? session = null;
        try
        {
            using (var deadline = new HandshakeDeadline(_options.Time, _options.HandshakeLimit, EndHandshake)) session = Handshake(deadline);

            if (session is not null && Interlocked.CompareExchange(ref _phase, PhaseServing, PhaseHandshake) == PhaseHandshake)
            {
                NbdLog.Attached(_logger, _client, _exportName!);
                using var registration = session.Dropped.Register(() => BeginDrop("the node wants it gone"));
                Serve(session);
                _intake.ExpectNothing();
                Finish();
            }
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // Whatever it was, requests that the session holds end before anything is closed.
            NbdLog.ConnectionFailed(_logger, _client, exception);
            BeginDrop("it failed");
            _intake.ExpectNothing();
            Finish();
        }
        finally
        {
            Close(session);
        }
    }

    /// <summary>Waits until nothing of this connection is on its way to a disk or, within bounds, to the client.</summary>
    private void Finish()
    {
        if (_isHolding) ReleaseWriter();
        _credit.WaitExecuted();
        _credit.WaitRetired(orElse: () => _isDropping);
        if (_credit.WaitRetired(_options.DropLinger)) return;

        // The client does not read the last replies. They are true, but nobody waits for it any longer.
        _writer.Break();
        lock (_socketGate) Shutdown(SocketShutdown.Both);
        _credit.WaitRetired(Timeout.InfiniteTimeSpan);
    }

    private void Close(IExportSession? session)
    {
        try
        {
            _writer.WaitIdle();
            lock (_socketGate)
            {
                _isClosed = true;
                _socket.Dispose();
                _wake?.Dispose();
            }

            _writer.Dispose();
            if (_isDropping) NbdLog.Dropped(_logger, _client, _exportName, _endReason);
            else NbdLog.Left(_logger, _client, _exportName, _endReason);
            session?.Dispose();
        }
        finally
        {
            _onEnded(this);
            _ended.SetResult();
        }
    }

    /// <summary>Under <see cref="_socketGate"/>.</summary>
    private void Shutdown(SocketShutdown how)
    {
        if (_isClosed) return;
        try
        {
            _socket.Shutdown(how);
        }
        catch (SocketException)
        {
            // The client was faster: the socket is no longer connected, and a reader has been woken by that.
        }
    }
}
