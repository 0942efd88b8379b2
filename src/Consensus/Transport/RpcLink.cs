using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Logging;

namespace RaftMirror.Consensus.Transport;

/// <summary>The request was never handed to a connection: the peer has not seen it.</summary>
internal sealed class NotSentException(string message, Exception inner) : Exception(message, inner);

/// <summary>
/// Requests to one peer, correlated by number, over a connection dialled on demand.
/// <code>
/// Request:  0 8 correlation   8 2 method bytes   10 method (UTF-8), body
/// Response: 0 8 correlation   8 1 status (0 done, 1 failed, 2 no such method)   9 body, or the error's text (UTF-8)
/// Cancel:   0 8 correlation
/// </code>
/// </summary>
internal sealed class RpcLink(PeerDirectory directory, NodeId peer, ILogger logger) : IAsyncDisposable
{
    public const int MaxBodyBytes = 8 * 1024 * 1024;
    public const int MaxMethodBytes = 128;
    public const int MaxFrameBytes = MaxBodyBytes + MaxMethodBytes + 16;

    private readonly SemaphoreSlim _dialling = new(1, 1);
    private readonly CancellationTokenSource _stop = new();
    private Connection? _current;
    private long _correlation;

    /// <exception cref="NotSentException">No connection: the peer did not see the request.</exception>
    /// <exception cref="PeerUnreachableException">The connection broke or the handler failed: it may have run.</exception>
    public async ValueTask<byte[]> CallAsync(string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        var frame = EncodeRequest(method, request, Interlocked.Increment(ref _correlation), out var correlation);
        Connection connection;
        try
        {
            connection = await ConnectAsync(cancellationToken);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            throw new NotSentException($"node {peer} is not reachable: {error.Message}", error);
        }

        return await connection.CallAsync(frame, correlation, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _dialling.WaitAsync();
        if (_current is { } connection) await connection.DisposeAsync();
        _current = null;
        _dialling.Release();
    }

    private static byte[] EncodeRequest(string method, ReadOnlyMemory<byte> request, long number, out ulong correlation)
    {
        var methodBytes = Encoding.UTF8.GetBytes(method);
        if (methodBytes.Length is 0 or > MaxMethodBytes) throw new ArgumentException("A method name has 1 to 128 bytes.", nameof(method));
        if (request.Length > MaxBodyBytes) throw new ArgumentException("A request has at most 8 MiB.", nameof(request));
        correlation = (ulong)number;
        var frame = FrameStream.Rent(10 + methodBytes.Length + request.Length);
        var body = frame.AsSpan(FrameStream.HeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(body, correlation);
        BinaryPrimitives.WriteUInt16LittleEndian(body[8..], (ushort)methodBytes.Length);
        methodBytes.CopyTo(body[10..]);
        request.Span.CopyTo(body[(10 + methodBytes.Length)..]);
        FrameStream.Seal(frame, FrameKind.Request);
        return frame;
    }

    private async Task<Connection> ConnectAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _current) is { IsUp: true } current) return current;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, cancellationToken);
        try
        {
            await _dialling.WaitAsync(limit.Token);
            try
            {
                if (_current is { IsUp: true } other) return other;
                if (_current is not null) await _current.DisposeAsync();
                _current = null;
                var (stream, reply) = await directory.DialAsync(peer, Lane.Rpc, limit.Token);
                Log.Connected(logger, Lane.Rpc, peer, reply.Incarnation);
                return _current = new Connection(stream, peer, logger);
            }
            finally
            {
                _dialling.Release();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            throw new IOException("this node is stopping");
        }
    }

    private sealed class Connection : IAsyncDisposable
    {
        private readonly FrameStream _stream;
        private readonly NodeId _peer;
        private readonly ILogger _logger;
        private readonly ConcurrentDictionary<ulong, TaskCompletionSource<byte[]>> _pending = new();
        private readonly SemaphoreSlim _writing = new(1, 1);
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _reading;
        private volatile string? _ended;

        public Connection(FrameStream stream, NodeId peer, ILogger logger)
        {
            _stream = stream;
            _peer = peer;
            _logger = logger;
            _reading = Task.Run(ReadAsync);
        }

        public bool IsUp => _ended is null;

        public async Task<byte[]> CallAsync(byte[] frame, ulong correlation, CancellationToken cancellationToken)
        {
            var answer = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
            _pending[correlation] = answer;
            try
            {
                await WriteAsync(frame, cancellationToken);
                if (_ended is { } reason) throw Lost(reason);
                return await answer.Task.WaitAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                if (IsUp) await CancelAsync(correlation);
                throw;
            }
            finally
            {
                _pending.TryRemove(correlation, out _);
            }
        }

        public async ValueTask DisposeAsync()
        {
            End("this node is stopping");
            await _reading;
        }

        private async Task WriteAsync(byte[] frame, CancellationToken cancellationToken)
        {
            await _writing.WaitAsync(cancellationToken);
            try
            {
                // Once begun a frame is written whole: half of one would be garbage to the peer.
                await _stream.WriteAsync(frame, _stop.Token);
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
            {
                End(error.Message);
                throw Lost(error.Message);
            }
            finally
            {
                _writing.Release();
            }
        }

        private async Task CancelAsync(ulong correlation)
        {
            var frame = FrameStream.Rent(8);
            BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(FrameStream.HeaderBytes), correlation);
            FrameStream.Seal(frame, FrameKind.Cancel);
            try
            {
                await WriteAsync(frame, _stop.Token);
            }
            catch (Exception error) when (error is PeerUnreachableException or OperationCanceledException)
            {
                // The connection is gone, and the request with it.
            }
        }

        private async Task ReadAsync()
        {
            try
            {
                while (true)
                {
                    var (kind, body) = await _stream.ReadAsync(MaxFrameBytes, _stop.Token);
                    if (kind != FrameKind.Response || body.Length < 9) throw new ProtocolException("not a response");
                    if (!_pending.TryRemove(BinaryPrimitives.ReadUInt64LittleEndian(body), out var answer)) continue; // Cancelled.
                    if (body[8] == 0) answer.TrySetResult(body[9..]);
                    else answer.TrySetException(new PeerUnreachableException($"node {_peer}: {Encoding.UTF8.GetString(body.AsSpan(9))}"));
                }
            }
            catch (Exception error) when (error is IOException or ObjectDisposedException or OperationCanceledException)
            {
                if (error is ProtocolException) Log.ProtocolError(_logger, _peer, error.Message);
                else if (!_stop.IsCancellationRequested) Log.Disconnected(_logger, Lane.Rpc, _peer, error.Message);
                End(error.Message);
            }
        }

        private void End(string reason)
        {
            _ended ??= reason;
            _stop.Cancel();
            _stream.Dispose();
            foreach (var (correlation, _) in _pending)
            {
                if (_pending.TryRemove(correlation, out var answer)) answer.TrySetException(Lost(reason));
            }
        }

        private PeerUnreachableException Lost(string reason) => new($"the connection to node {_peer} was lost: {reason}");
    }
}
