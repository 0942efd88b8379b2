using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>The request was never handed to a connection: the peer has not seen it.</summary>
internal sealed class NotSentException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Requests to one peer, correlated by number, over a connection dialled on demand.
/// <code>
/// Request:  0 8 correlation   8 2 method bytes   10 method (UTF-8), body
/// Response: 0 8 correlation   8 1 status (0 done, 1 failed, 2 no such method)   9 body, or the error's text (UTF-8)
/// Cancel:   0 8 correlation
/// </code>
/// </summary>
/// <param name="handshaker">Dials.</param>
/// <param name="connections">Watches connections.</param>
/// <param name="limits">Bounds.</param>
/// <param name="peer">The other end.</param>
/// <param name="lane">Requests or snapshots.</param>
/// <param name="logger">For connections.</param>
internal sealed class RpcLink(
    Handshaker handshaker, PeerConnections connections, TransportLimits limits, NodeId peer, Lane lane, ILogger logger) : IAsyncDisposable
{
    public const int MaxBodyBytes = 8 * 1024 * 1024;
    public const int MaxMethodBytes = 128;
    public const int MaxFrameBytes = MaxBodyBytes + MaxMethodBytes + 16;

    private readonly SemaphoreSlim _dialling = new(1, 1);
    private readonly CancellationTokenSource _stop = new();
    private Session? _current;
    private long _correlation;
    private int _outstanding;

    /// <exception cref="NotSentException">No connection, or too much waits: the peer did not see the request.</exception>
    /// <exception cref="PeerUnreachableException">The connection broke or the handler failed: it may have run.</exception>
    public async ValueTask<byte[]> CallAsync(string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        var bytes = Encoding.UTF8.GetByteCount(method);
        if (bytes is 0 or > MaxMethodBytes) throw new ArgumentException("A method name has 1 to 128 bytes.", nameof(method));
        if (request.Length > MaxBodyBytes) throw new ArgumentException("A request has at most 8 MiB.", nameof(request));
        if (Interlocked.Increment(ref _outstanding) > limits.MaxOutstandingCalls)
        {
            Interlocked.Decrement(ref _outstanding);
            throw new NotSentException($"node {peer} owes {limits.MaxOutstandingCalls} answers already");
        }

        try
        {
            Session session;
            try
            {
                session = await ConnectAsync(cancellationToken);
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException)
            {
                throw new NotSentException($"node {peer} is not reachable: {error.Message}", error);
            }

            return await session.CallAsync((ulong)Interlocked.Increment(ref _correlation), method, request, cancellationToken);
        }
        finally
        {
            Interlocked.Decrement(ref _outstanding);
        }
    }

    /// <summary>Ends the connection, if there is one; the next call dials anew.</summary>
    public void Reset(string reason) => Volatile.Read(ref _current)?.End(reason);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _dialling.WaitAsync();
        if (_current is { } session) await session.DisposeAsync(PeerTransport.Stopping);
        _current = null;
        _dialling.Release();
    }

    private async ValueTask<Session> ConnectAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _current) is { IsUp: true } current) return current;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, cancellationToken);
        try
        {
            await _dialling.WaitAsync(limit.Token);
            try
            {
                if (_current is { IsUp: true } other) return other;
                if (_current is not null) await _current.DisposeAsync("lost");
                _current = null;
                limit.Token.ThrowIfCancellationRequested();
                var connection = await handshaker.DialAsync(peer, lane, limit.Token);
                TransportLogMessages.Connected(logger, lane, peer, connection.Incarnation);
                return _current = new Session(connection, connections, logger);
            }
            finally
            {
                _dialling.Release();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            throw new IOException("this node ends the link");
        }
    }

    private sealed class Session
    {
        private readonly PeerConnection _connection;
        private readonly PeerConnections _connections;
        private readonly ILogger _logger;
        private readonly ConcurrentDictionary<ulong, TaskCompletionSource<byte[]>> _pending = new();
        private readonly Task _reading;

        public Session(PeerConnection connection, PeerConnections connections, ILogger logger)
        {
            _connection = connection;
            _connections = connections;
            _logger = logger;
            connections.Watch(connection);
            _reading = Task.Run(ReadAsync);
        }

        public bool IsUp => _connection.IsUp;

        public void End(string reason) => _connection.End(reason);

        public async Task<byte[]> CallAsync(ulong correlation, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
        {
            var answer = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
            _pending[correlation] = answer;
            try
            {
                if (!Send(correlation, method, request.Span))
                    throw new NotSentException(IsUp ? $"too much waits for node {_connection.Peer}" : Lost().Message);
                if (!IsUp) throw Lost(); // It may have ended before the answer was registered.
                return await answer.Task.WaitAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                Cancel(correlation);
                throw;
            }
            finally
            {
                _pending.TryRemove(correlation, out _);
            }
        }

        public async ValueTask DisposeAsync(string reason)
        {
            End(reason);
            await _reading;
        }

        private bool Send(ulong correlation, string method, ReadOnlySpan<byte> request)
        {
            Span<byte> head = stackalloc byte[10 + MaxMethodBytes];
            var methodBytes = Encoding.UTF8.GetBytes(method, head[10..]);
            BinaryPrimitives.WriteUInt64LittleEndian(head, correlation);
            BinaryPrimitives.WriteUInt16LittleEndian(head[8..], (ushort)methodBytes);
            if (!_connection.Writer.TryAdd(FrameKind.Request, head[..(10 + methodBytes)], request)) return false;
            _connection.Writer.Flush();
            return true;
        }

        private void Cancel(ulong correlation)
        {
            Span<byte> body = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64LittleEndian(body, correlation);
            if (_connection.Writer.TryAdd(FrameKind.Cancel, body, [])) _connection.Writer.Flush();
        }

        private async Task ReadAsync()
        {
            try
            {
                while (true)
                {
                    while (_connection.Reader.TryRead(MaxFrameBytes, out var kind, out var body)) Receive(kind, body.Span);
                    await _connection.Reader.FillAsync(_connection.Ended);
                }
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
            {
                _connection.End(error.Message);
                if (error is ProtocolException) TransportLogMessages.ProtocolError(_logger, _connection.Peer, error.Message);
                else TransportLogMessages.Disconnected(_logger, _connection.Lane, _connection.Peer, _connection.Reason);
            }
            finally
            {
                _connections.Forget(_connection);
                foreach (var (correlation, _) in _pending)
                {
                    if (_pending.TryRemove(correlation, out var answer)) answer.TrySetException(Lost());
                }

                _connection.Dispose();
            }
        }

        private void Receive(FrameKind kind, ReadOnlySpan<byte> body)
        {
            if (kind != FrameKind.Response || body.Length < 9) throw new ProtocolException("not a response");
            if (!_pending.TryRemove(BinaryPrimitives.ReadUInt64LittleEndian(body), out var answer)) return; // Cancelled.
            if (body[8] == 0) answer.TrySetResult(body[9..].ToArray());
            else answer.TrySetException(new PeerUnreachableException($"node {_connection.Peer}: {Encoding.UTF8.GetString(body[9..])}"));
        }

        private PeerUnreachableException Lost() => new($"the connection to node {_connection.Peer} was lost: {_connection.Reason}");
    }
}
