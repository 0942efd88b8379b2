using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Transport;

/// <summary>Answers a request of a peer; concurrent, on pool threads.</summary>
internal delegate ValueTask<ReadOnlyMemory<byte>> RpcHandler(NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken);

/// <summary>
/// Answers the requests of one connection. Bounded: the requests that run, their bytes, and the answers that wait; beyond, the
/// connection is not read. A peer that takes no answers is cut off by the stall timeout. A node that stops lets the answers leave that it has
/// (<see cref="FinishAsync"/>): a request may be what it stops for.
/// </summary>
internal sealed class RpcServer(
    PeerConnection connection, ConcurrentDictionary<string, RpcHandler> handlers, TransportLimits limits, SendRate? rate, ILogger logger)
{
    private readonly InboundBudget _budget = new(limits.MaxRequests, limits.MaxRequestBytes);
    private readonly ConcurrentDictionary<ulong, Running> _running = new();
    private volatile bool _isFinishing;

    /// <summary>True for what goes over the snapshot lane, and there only.</summary>
    public static bool IsForSnapshots(string method) => method.StartsWith("raft.snapshot", StringComparison.Ordinal);

    /// <summary>Serves until the connection ends and all handlers have returned.</summary>
    /// <exception cref="ProtocolException">The peer broke the protocol.</exception>
    public async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                while (connection.Reader.TryRead(RpcLink.MaxFrameBytes, out var kind, out var body))
                {
                    if (!connection.IsUp) throw new IOException(connection.Reason);
                    if (body.Length < 8) throw new ProtocolException("a request is cut short");
                    var correlation = BinaryPrimitives.ReadUInt64LittleEndian(body.Span);
                    if (kind == FrameKind.Cancel) Cancel(correlation);
                    else if (kind == FrameKind.Request) await BeginAsync(correlation, body);
                    else throw new ProtocolException("not a request");
                }

                await connection.Reader.FillAsync(connection.Ended);
            }
        }
        finally
        {
            connection.End("no more requests are read");
            foreach (var running in _running.Values) running.Cancel();
            await Task.WhenAll(_running.Values.Select(running => running.Task));
        }
    }

    /// <summary>Begins nothing more, cancels what runs, and waits until the answers have left.</summary>
    /// <param name="limit">Ends the waiting; what has not left is lost with the connection.</param>
    /// <exception cref="OperationCanceledException">Not all has left.</exception>
    public async Task FinishAsync(CancellationToken limit)
    {
        _isFinishing = true;
        var running = _running.Values.ToArray();
        foreach (var request in running) request.Cancel();
        await Task.WhenAll(running.Select(request => request.Done)).WaitAsync(limit);
        connection.Writer.Flush();
        await connection.Writer.DrainedAsync(limit);
    }

    private async ValueTask BeginAsync(ulong correlation, ReadOnlyMemory<byte> body)
    {
        if (body.Length < 10) throw new ProtocolException("a request is cut short");
        var methodBytes = BinaryPrimitives.ReadUInt16LittleEndian(body.Span[8..]);
        if (methodBytes > RpcLink.MaxMethodBytes || 10 + methodBytes > body.Length) throw new ProtocolException("a request is cut short");
        var method = Encoding.UTF8.GetString(body.Span.Slice(10, methodBytes));
        await connection.Writer.RoomAsync(connection.Ended);
        if (!_budget.TryTake(body.Length)) await _budget.TakeAsync(body.Length, connection.Ended);

        // The reader's buffer is used again: the handler needs its own bytes.
        var running = new Running(connection.Ended);
        if (!_running.TryAdd(correlation, running)) throw new ProtocolException("a correlation number is used twice");
        running.Start(AnswerAsync, method, body[(10 + methodBytes)..].ToArray(), correlation, body.Length);
    }

    private void Cancel(ulong correlation)
    {
        if (_running.TryGetValue(correlation, out var running)) running.Cancel();
    }

    private async Task AnswerAsync(string method, byte[] request, ulong correlation, int budgeted, CancellationToken cancellationToken)
    {
        try
        {
            var (status, answer) = await RunAsync(method, request, cancellationToken);
            if (rate is not null) await rate.TakeAsync(answer.Length, connection.Ended);
            while (connection.IsUp && !Send(correlation, status, answer.Span)) await connection.Writer.RoomAsync(connection.Ended);
            connection.Writer.Flush();
        }
        catch (OperationCanceledException)
        {
            // The connection has ended: nobody waits for the answer.
        }
        finally
        {
            if (_running.TryRemove(correlation, out var running)) running.Dispose();
            _budget.Return(budgeted);
        }
    }

    private async ValueTask<(byte Status, ReadOnlyMemory<byte> Body)> RunAsync(string method, byte[] request, CancellationToken cancellationToken)
    {
        if (IsForSnapshots(method) != (connection.Lane == Lane.Snapshot)) return (2, Text($"{method} is not for the {connection.Lane} lane"));
        if (_isFinishing) return (1, Text(PeerTransport.Stopping));
        if (!handlers.TryGetValue(method, out var handler)) return (2, Text($"no handler of {method}"));
        try
        {
            var answer = await handler(connection.Peer, request, cancellationToken);
            if (answer.Length <= RpcLink.MaxBodyBytes) return (0, answer);
            return (1, Text($"the answer of {method} is over 8 MiB"));
        }
#pragma warning disable CA1031 // Whatever a handler throws is the caller's to know; this node goes on.
        catch (Exception error)
#pragma warning restore CA1031
        {
            if (error is not OperationCanceledException) TransportLogMessages.HandlerFailed(logger, method, connection.Peer, error);
            return (1, Text($"{method} failed: {(_isFinishing ? PeerTransport.Stopping : error.Message)}"));
        }
    }

    private bool Send(ulong correlation, byte status, ReadOnlySpan<byte> body)
    {
        Span<byte> head = stackalloc byte[9];
        BinaryPrimitives.WriteUInt64LittleEndian(head, correlation);
        head[8] = status;
        return connection.Writer.TryAdd(FrameKind.Response, head, body);
    }

    private static ReadOnlyMemory<byte> Text(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>A request that runs. Cancelled by the peer or by the connection's end.</summary>
    private sealed class Running(CancellationToken ended) : IDisposable
    {
        private readonly CancellationTokenSource _cancel = CancellationTokenSource.CreateLinkedTokenSource(ended);
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly object _gate = new();
        private bool _isDone;

        public Task Task { get; private set; } = Task.CompletedTask;

        /// <summary>Completes when the answer is in the writer's hands, or nobody waits for it any more.</summary>
        public Task Done => _done.Task;

        public void Start(
            Func<string, byte[], ulong, int, CancellationToken, Task> answer, string method, byte[] request, ulong correlation, int budgeted)
        {
            var token = _cancel.Token;
            Task = Task.Run(() => answer(method, request, correlation, budgeted, token));
        }

        public void Cancel()
        {
            lock (_gate)
            {
                if (!_isDone) _ = _cancel.CancelAsync(); // What hangs on it runs elsewhere: this is the reader.
            }
        }

        public void Dispose()
        {
            lock (_gate)
            {
                _isDone = true;
                _cancel.Dispose();
            }

            _done.TrySetResult();
        }
    }
}
