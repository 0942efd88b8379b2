using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Serves the exports of a catalog to NBD clients, on any number of loopback and Unix endpoints. Any thread.
/// Sessions are called on the connection's own thread, one call after the other, and must not block in the call:
/// whatever needs waiting returns an unfinished task, which may end on any thread. Ending it may send replies on that
/// thread, without ever waiting for the client.</summary>
public sealed class NbdServer : IAsyncDisposable
{
    private readonly IExportCatalog _catalog;
    private readonly NbdServerOptions _options;
    private readonly AlignedBufferPool _pool;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<NbdConnection, bool> _connections = new();
    private readonly SharedCredit _memory;
    private readonly Lock _gate = new();
    private readonly List<(NbdListener Listener, AcceptLoop Loop)> _listeners = [];
    private int _connectionCount;
    private bool _isStopped;

    /// <summary>A server that does not listen yet.</summary>
    /// <param name="catalog">Asked from any thread.</param>
    /// <param name="options">Limits; null for the defaults.</param>
    /// <param name="logger">Null for none.</param>
    /// <param name="pool">Buffers handed to sessions; null for the process's pool.</param>
    public NbdServer(
        IExportCatalog catalog,
        NbdServerOptions? options = null,
        ILogger? logger = null,
        AlignedBufferPool? pool = null)
    {
        _catalog = catalog;
        _options = options ?? new NbdServerOptions();
        _logger = logger ?? NullLogger.Instance;
        _pool = pool ?? AlignedBufferPool.Shared;
        _memory = new SharedCredit(_options.SharedCreditBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.CreditBytes, 32L << 20);
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.SharedCreditBytes, 32L << 20);
        ArgumentOutOfRangeException.ThrowIfLessThan(_options.CreditRequests, 1);
    }

    /// <summary>Where it listens, with the ports that were given for port 0.</summary>
    public IReadOnlyList<NbdEndpoint> ListeningEndpoints
    {
        get
        {
            lock (_gate) return [.. _listeners.Select(entry => entry.Listener.Endpoint)];
        }
    }

    /// <summary>The clients at this moment, handshakes included, the oldest first.</summary>
    public IReadOnlyList<NbdConnectionInfo> Connections =>
        [.. _connections.Keys.Select(connection => connection.Info).OrderBy(info => info.Since)];

    /// <summary>What the bounds of memory hold back at this moment.</summary>
    public NbdMemory Memory
    {
        get
        {
            var now = Environment.TickCount64;
            var ages = _connections.Keys.Select(connection => connection.ThrottledSinceMs).OfType<long>().Select(since => now - since).ToList();
            return new NbdMemory(
                ages.Count(age => age >= NbdMemory.NoticedMs), ages.DefaultIfEmpty().Max(), _memory.Waiting > 0, _memory.Used,
                _options.SharedCreditBytes, _options.CreditBytes, _options.CreditRequests);
        }
    }

    /// <summary>What listeners turn clients away for at this moment; none if they do not.</summary>
    public IReadOnlyList<(NbdEndpoint Endpoint, AcceptEpisode Episode)> Refusing
    {
        get
        {
            lock (_gate)
            {
                return [.. _listeners.Where(entry => entry.Loop.Episode is not null)
                    .Select(entry => (entry.Listener.Endpoint, entry.Loop.Episode!))];
            }
        }
    }

    /// <summary>Listens on one more endpoint.</summary>
    /// <returns>The endpoint with its actual port.</returns>
    /// <exception cref="IOException">The address or path is in use or cannot be had; the message says why.</exception>
    public NbdEndpoint Listen(NbdEndpoint endpoint)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isStopped, this);
            var listener = NbdListener.Open(endpoint);
            _listeners.Add((listener, Accept(listener)));
            NbdLog.Listening(_logger, listener.Endpoint.ToString());
            return listener.Endpoint;
        }
    }

    /// <summary>Drops every client of an export: no more requests are read, those in flight end, then the connections
    /// close. Take the export out of the catalog first, else clients come back at once.</summary>
    /// <param name="exportName">As in the catalog.</param>
    /// <returns>How many there were, when all are closed and nothing of them is on its way to a disk.</returns>
    public async Task<int> DropAsync(string exportName)
    {
        var dropped = _connections.Keys.Where(connection => connection.ExportName == exportName).ToList();
        foreach (var connection in dropped) connection.BeginDrop("the export's clients were dropped");
        await Task.WhenAll(dropped.Select(connection => connection.Ended));
        return dropped.Count;
    }

    /// <summary>Stops listening and drops every client as <see cref="DropAsync"/> does.</summary>
    /// <param name="grace">How long to wait for requests in flight.</param>
    /// <returns>Connections that still have requests in flight. They are left open until these end: a client that saw
    /// its connection close might repeat a write elsewhere while the first one is still on its way to a disk.</returns>
    public async Task<int> StopAsync(TimeSpan grace)
    {
        List<(NbdListener Listener, AcceptLoop Loop)> listeners;
        lock (_gate)
        {
            _isStopped = true;
            listeners = [.. _listeners];
            _listeners.Clear();
        }

        foreach (var (listener, loop) in listeners)
        {
            loop.Dispose();
            listener.Dispose();
        }

        var ended = _connections.Keys.Select(connection =>
        {
            connection.BeginDrop("the server stops");
            return connection.Ended;
        }).ToList();
        try
        {
            await Task.WhenAll(ended).WaitAsync(grace, _options.Time);
        }
        catch (TimeoutException)
        {
            return ended.Count(task => !task.IsCompleted);
        }

        return 0;
    }

    /// <summary>Stops, waiting for requests in flight without a limit.</summary>
    public async ValueTask DisposeAsync() => await StopAsync(Timeout.InfiniteTimeSpan);

    private AcceptLoop Accept(NbdListener listener)
    {
        var where = listener.Endpoint.ToString();
        var options = new AcceptOptions
        {
            Name = "nbd accept",
            DescriptorsBelow = _options.DescriptorsBelow,
            Began = episode => NbdLog.RefusesSome(_logger, where, episode.Reason),
            Ended = episode => NbdLog.AcceptsAgain(_logger, where, episode.Refused, episode.Since),
            Accept = _options.Accept,
            Time = _options.Time,
        };
        return new AcceptLoop(listener.Socket, options, Admit);
    }

    /// <returns>Null if it was taken over, else why not.</returns>
    private string? Admit(Socket socket)
    {
        var client = Prepare(socket);
        if (Interlocked.Increment(ref _connectionCount) > _options.MaxConnections)
        {
            Interlocked.Decrement(ref _connectionCount);
            return $"{_options.MaxConnections} clients are connected, which is the most that are served";
        }

        try
        {
            var connection = new NbdConnection(_catalog, _options, _pool, _memory, _logger, socket, client, Forget);
            _connections.TryAdd(connection, true);
            connection.Start();
            return null;
        }
        catch (Exception failure) when (failure is IOException or OutOfMemoryException or ThreadStartException)
        {
            // No descriptor to wake it with, or no thread.
            Interlocked.Decrement(ref _connectionCount);
            return failure.Message;
        }
    }

    private void Forget(NbdConnection connection)
    {
        _connections.TryRemove(connection, out _);
        Interlocked.Decrement(ref _connectionCount);
    }

    /// <summary>Sets socket options; dead peers are found by keepalive, since idle clients may sit for days.</summary>
    /// <returns>The client's address, or for a Unix socket its process and user.</returns>
    private string Prepare(Socket socket)
    {
        const int levelSocket = 1, peerCredentials = 17, levelTcp = 6, userTimeout = 18;
        const int leastUserTimeoutMilliseconds = 30_000;
        if (socket.AddressFamily == AddressFamily.Unix)
        {
            Span<byte> credentials = stackalloc byte[12];
            socket.GetRawSocketOption(levelSocket, peerCredentials, credentials);
            return $"unix:pid={BinaryPrimitives.ReadInt32LittleEndian(credentials)},uid={BinaryPrimitives.ReadUInt32LittleEndian(credentials[4..])}";
        }

        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 30);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 10);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
        Span<byte> timeout = stackalloc byte[4];
        // It also ends the wait for a client that takes nothing, which is ours to end.
        BinaryPrimitives.WriteInt32LittleEndian(timeout, Math.Max(leastUserTimeoutMilliseconds, (int)_options.SendStallLimit.TotalMilliseconds + 5_000));
        socket.SetRawSocketOption(levelTcp, userTimeout, timeout);
        return socket.RemoteEndPoint?.ToString() ?? "unknown";
    }
}
