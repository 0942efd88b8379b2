using System.Net;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>The way of Raft messages to one peer: a task that dials, and dials again. When the peer is slow or away messages
/// are dropped: the core repeats what matters.</summary>
internal sealed class RaftLink : IAsyncDisposable
{
    private const int MaxEarlyMessages = 256;
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(2);

    private readonly PeerDirectory _directory;
    private readonly Handshaker _handshaker;
    private readonly PeerConnections _connections;
    private readonly TransportLimits _limits;
    private readonly NodeId _peer;
    private readonly ILogger _logger;
    private readonly Action<bool> _connected;
    private readonly Action<HandshakeRefusedException> _refused;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _nudge = new(0, 1);
    private readonly object _gate = new();
    private readonly Task _run;
    private List<Message>? _early = [];
    private volatile PeerConnection? _connection;
    private IPEndPoint? _dialled;

    /// <param name="directory">Addresses.</param>
    /// <param name="handshaker">Dials.</param>
    /// <param name="connections">Watches connections.</param>
    /// <param name="limits">Bounds.</param>
    /// <param name="peer">The other end.</param>
    /// <param name="connected">Told when a connection is there, and when it has ended.</param>
    /// <param name="refused">Told when the peer says that this node has been removed, or that it has seen a later life of it.</param>
    /// <param name="logger">For connections and refusals.</param>
    public RaftLink(
        PeerDirectory directory, Handshaker handshaker, PeerConnections connections, TransportLimits limits, NodeId peer,
        Action<bool> connected, Action<HandshakeRefusedException> refused, ILogger logger)
    {
        _directory = directory;
        _handshaker = handshaker;
        _connections = connections;
        _limits = limits;
        _peer = peer;
        _connected = connected;
        _refused = refused;
        _logger = logger;
        _run = Task.Run(RunAsync);
    }

    /// <summary>Queues a message, or drops it; it leaves with <see cref="Flush"/>. Never waits. Any thread.</summary>
    public void Add(in Message message)
    {
        if (_connection is { } connection)
        {
            connection.Writer.TryAdd(message);
            return;
        }

        lock (_gate)
        {
            // While the first dial is under way: a new peer's request for a vote is answered as soon as it can be.
            if (_early is not null && _early.Count < MaxEarlyMessages) _early.Add(message);
        }
    }

    public void Flush() => _connection?.Writer.Flush();

    /// <summary>The peer gave a sign of life, or its address has changed: dial now, not when the backoff is over.</summary>
    public void Nudge()
    {
        if (_connection is { } connection && !Equals(_dialled, _directory.AddressOf(_peer))) connection.End("the peer's address has changed");
        lock (_gate)
        {
            if (_nudge.CurrentCount == 0) _nudge.Release();
        }
    }

    /// <summary>Ends the link.</summary>
    /// <param name="drain">Whether what is queued may leave first, for at most two seconds.</param>
    public async Task EndAsync(bool drain)
    {
        if (drain && _connection is { } connection)
        {
            using var limit = new CancellationTokenSource(DrainLimit);
            try
            {
                await connection.Writer.DrainedAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                TransportLogMessages.NotDrained(_logger, _peer);
            }
        }

        await _stop.CancelAsync();
        await _run;
    }

    public ValueTask DisposeAsync() => new(EndAsync(drain: false));

    private async Task RunAsync()
    {
        var backoff = _limits.MinBackoff;
        string? lastReason = null;
        while (!_stop.IsCancellationRequested)
        {
            string reason;
            try
            {
                _dialled = _directory.AddressOf(_peer);
                using var connection = await _handshaker.DialAsync(_peer, Lane.Raft, _stop.Token);
                TransportLogMessages.Connected(_logger, Lane.Raft, _peer, connection.Incarnation);
                backoff = _limits.MinBackoff;
                lastReason = null;
                reason = await UseAsync(connection);
            }
            catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
            {
                reason = error.Message;
                if (error is HandshakeRefusedException { Status: HandshakeStatus.Removed } or HandshakeRefusedException { LaterIncarnation: > 0 })
                {
                    backoff = _limits.MaxBackoff * 10; // It will not change its mind.
                    _refused((HandshakeRefusedException)error);
                }
            }

            lock (_gate) _early = null;

            // Said once per reason: a peer that is down for a day fills no log.
            if (!_stop.IsCancellationRequested && reason != lastReason) TransportLogMessages.Disconnected(_logger, Lane.Raft, _peer, reason);
            lastReason = reason;
            await BackOffAsync(backoff);
            backoff = backoff * 2 < _limits.MaxBackoff ? backoff * 2 : backoff > _limits.MaxBackoff ? backoff : _limits.MaxBackoff;
        }
    }

    private async Task<string> UseAsync(PeerConnection connection)
    {
        _connections.Watch(connection);
        using var stopping = _stop.Token.UnsafeRegister(static state => ((PeerConnection)state!).End("this node ends the link"), connection);
        lock (_gate)
        {
            _connection = connection;
            foreach (var message in _early ?? []) connection.Writer.TryAdd(message);
            _early = null;
        }

        connection.Writer.Flush();
        _connected(true);
        try
        {
            // The peer never speaks on this lane: whatever ends the read, the connection is over.
            await connection.Reader.FillAsync(connection.Ended);
            return "the peer spoke where it must not";
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return connection.IsUp ? error.Message : connection.Reason;
        }
        finally
        {
            _connection = null;
            _connections.Forget(connection);
            _connected(false);
        }
    }

    private async Task BackOffAsync(TimeSpan backoff)
    {
        try
        {
            await _nudge.WaitAsync(backoff, _stop.Token);
        }
        catch (OperationCanceledException)
        {
            // The link ends.
        }
    }
}
