using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Messages;

namespace RaftMirror.Consensus.Transport;

/// <summary>Answers a request of a peer; concurrent, on pool threads.</summary>
internal delegate ValueTask<ReadOnlyMemory<byte>> RpcHandler(NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken);

/// <summary>All connections of one node: links to each peer, and what peers dialled. Safe on any thread.</summary>
internal sealed class PeerTransport : IAsyncDisposable
{
    private const int MaxRaftFrameBytes = 4 * 1024 * 1024;
    private const int MaxInboundConnections = 256;
    private const int MaxConcurrentRequestsPerPeer = 256;
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(3);

    private readonly PeerDirectory _directory;
    private readonly Socket _listener;
    private readonly Action<Message> _deliver;
    private readonly ILogger _logger;
    private readonly Dictionary<NodeId, RaftLink> _raftLinks = [];
    private readonly Dictionary<NodeId, RpcLink> _rpcLinks = [];
    private readonly ConcurrentDictionary<string, RpcHandler> _handlers = new(StringComparer.Ordinal);
    private readonly Dictionary<(NodeId, Lane), Socket> _inbound = [];
    private readonly HashSet<Task> _serving = [];
    private readonly CancellationTokenSource _stop = new();
    private Task _accepting = Task.CompletedTask;

    /// <param name="directory">Members and identity.</param>
    /// <param name="listener">Bound and listening; owned from now on.</param>
    /// <param name="deliver">Takes Raft messages; called on pool threads, must not wait.</param>
    /// <param name="logger">For connections and refusals.</param>
    public PeerTransport(PeerDirectory directory, Socket listener, Action<Message> deliver, ILogger logger)
    {
        _directory = directory;
        _listener = listener;
        _deliver = deliver;
        _logger = logger;
    }

    /// <summary>Begins to accept and to dial.</summary>
    public void Start()
    {
        foreach (var peer in _directory.Others)
        {
            _raftLinks.Add(peer, new RaftLink(_directory, peer, _logger));
            _rpcLinks.Add(peer, new RpcLink(_directory, peer, _logger));
        }

        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Sends, or drops, a Raft message; never waits.</summary>
    public void Send(in Message message)
    {
        if (_raftLinks.TryGetValue(message.To, out var link)) link.Send(message);
    }

    public void Handle(string method, RpcHandler handler)
    {
        if (!_handlers.TryAdd(method, handler)) throw new InvalidOperationException($"Method {method} has a handler.");
    }

    /// <summary>Calls a peer, or this node itself without a connection.</summary>
    /// <exception cref="NotSentException">The peer did not see it.</exception>
    /// <exception cref="PeerUnreachableException">It may have run.</exception>
    public async ValueTask<ReadOnlyMemory<byte>> CallAsync(
        NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (node != _directory.Self)
        {
            if (!_rpcLinks.TryGetValue(node, out var link))
                throw new NotSentException($"node {node} is no member", new ArgumentException("unknown node", nameof(node)));
            return await link.CallAsync(method, request, cancellationToken);
        }

        if (!_handlers.TryGetValue(method, out var handler)) throw new PeerUnreachableException($"no handler of {method}");
        try
        {
            return await handler(node, request, cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            Log.HandlerFailed(_logger, method, node, error);
            throw new PeerUnreachableException($"the handler of {method} failed: {error.Message}", error);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        foreach (var link in _raftLinks.Values) await link.DisposeAsync();
        foreach (var link in _rpcLinks.Values) await link.DisposeAsync();
        Task[] serving;
        lock (_serving) serving = [.. _serving];
        await Task.WhenAll(serving);
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync(_stop.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error)
            {
                if (_stop.IsCancellationRequested) return;
                Log.InboundEnded(_logger, "listener", error.Message); // A peer that gave up before it was accepted.
                continue;
            }

            lock (_serving)
            {
                if (_serving.Count >= MaxInboundConnections)
                {
                    socket.Dispose();
                    continue;
                }

                var task = ServeAsync(socket);
                _serving.Add(task);
                _ = task.ContinueWith(Forget, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            }
        }
    }

    private void Forget(Task task)
    {
        lock (_serving) _serving.Remove(task);
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.Yield();
        var remote = socket.RemoteEndPoint?.ToString() ?? "?";
        Hello hello = default;
        var isPeer = false;
        try
        {
            using var stream = new FrameStream(socket);
            hello = await ShakeHandsAsync(stream, remote);
            isPeer = true;
            Replace((hello.From, hello.Lane), socket);
            if (hello.Lane == Lane.Raft) await ReceiveRaftAsync(stream, hello);
            else await ServeRpcAsync(stream, hello.From);
        }
        catch (Exception error) when (error is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            if (isPeer && error is ProtocolException) Log.ProtocolError(_logger, hello.From, error.Message);
            else Log.InboundEnded(_logger, remote, error.Message);
        }
        finally
        {
            lock (_inbound)
            {
                if (isPeer && _inbound.GetValueOrDefault((hello.From, hello.Lane)) == socket) _inbound.Remove((hello.From, hello.Lane));
            }
        }
    }

    private async Task<Hello> ShakeHandsAsync(FrameStream stream, string remote)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(HandshakeTimeout);
        var buffer = new byte[Hello.Bytes];
        await stream.Raw.ReadExactlyAsync(buffer, limit.Token);
        var hello = Hello.Decode(buffer);
        var status = hello is { } sound ? _directory.Judge(sound) : HandshakeStatus.Malformed;
        _directory.Answer(status).Encode(buffer);
        await stream.Raw.WriteAsync(buffer, limit.Token);
        if (status == HandshakeStatus.Accepted) return hello!.Value;
        Log.Refused(_logger, remote, hello?.From ?? default, status);
        throw new HandshakeRefusedException(status);
    }

    /// <summary>A peer has one connection per lane: a new one ends its predecessor.</summary>
    private void Replace((NodeId, Lane) key, Socket socket)
    {
        lock (_inbound)
        {
            if (_inbound.Remove(key, out var old)) old.Dispose();
            _inbound.Add(key, socket);
        }
    }

    private async Task ReceiveRaftAsync(FrameStream stream, Hello hello)
    {
        while (true)
        {
            var (kind, body) = await stream.ReadAsync(MaxRaftFrameBytes, _stop.Token);
            if (kind != FrameKind.Raft) throw new ProtocolException("not a Raft message");
            if (!_directory.IsCurrent(hello.From, hello.Incarnation)) throw new HandshakeRefusedException(HandshakeStatus.StaleIncarnation);
            var error = MessageCodec.TryDecode(body, hello.From, _directory.Self, out var message);
            if (error is not null) throw new ProtocolException(error);
            _deliver(message);
        }
    }

    private async Task ServeRpcAsync(FrameStream stream, NodeId from)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        using var slots = new SemaphoreSlim(MaxConcurrentRequestsPerPeer);
        using var writing = new SemaphoreSlim(1, 1);
        var running = new ConcurrentDictionary<ulong, (Task Task, CancellationTokenSource Cancel)>();
        try
        {
            while (true)
            {
                var (kind, body) = await stream.ReadAsync(RpcLink.MaxFrameBytes, ended.Token);
                if (body.Length < 8) throw new ProtocolException("a request is cut short");
                var correlation = BinaryPrimitives.ReadUInt64LittleEndian(body);
                if (kind == FrameKind.Cancel)
                {
                    if (running.TryGetValue(correlation, out var request)) await CancelAsync(request.Cancel);
                    continue;
                }

                if (kind != FrameKind.Request || body.Length < 10) throw new ProtocolException("not a request");
                var methodBytes = BinaryPrimitives.ReadUInt16LittleEndian(body.AsSpan(8));
                if (methodBytes > RpcLink.MaxMethodBytes || 10 + methodBytes > body.Length) throw new ProtocolException("a request is cut short");
                await slots.WaitAsync(ended.Token); // A peer with too many requests waits; nobody else does.
                var cancel = CancellationTokenSource.CreateLinkedTokenSource(ended.Token);
                var method = Encoding.UTF8.GetString(body.AsSpan(10, methodBytes));
                var gate = new TaskCompletionSource();
                var task = AnswerAfter(gate.Task, body.AsMemory(10 + methodBytes), method, correlation, cancel);
                if (!running.TryAdd(correlation, (task, cancel))) throw new ProtocolException("a correlation number is used twice");
                gate.SetResult();
            }
        }
        finally
        {
            await ended.CancelAsync();
            stream.Dispose();
            await Task.WhenAll(running.Values.Select(request => request.Task));
        }

        async Task AnswerAfter(Task start, ReadOnlyMemory<byte> request, string method, ulong correlation, CancellationTokenSource cancel)
        {
            await start;
            await Task.Yield();
            try
            {
                var frame = await AnswerAsync(from, method, request, correlation, cancel.Token);
                await writing.WaitAsync(ended.Token);
                try
                {
                    await stream.WriteAsync(frame, ended.Token);
                }
                finally
                {
                    writing.Release();
                }
            }
            catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
            {
                Log.InboundEnded(_logger, $"node {from}, {method}", error.Message);
            }
            finally
            {
                running.TryRemove(correlation, out _);
                cancel.Dispose();
                slots.Release();
            }
        }
    }

    private static async Task CancelAsync(CancellationTokenSource request)
    {
        try
        {
            await request.CancelAsync();
        }
        catch (ObjectDisposedException)
        {
            // It was answered in this very moment.
        }
    }

    private async Task<byte[]> AnswerAsync(
        NodeId from, string method, ReadOnlyMemory<byte> request, ulong correlation, CancellationToken cancellationToken)
    {
        if (!_handlers.TryGetValue(method, out var handler)) return Response(correlation, 2, Encoding.UTF8.GetBytes($"no handler of {method}"));
        try
        {
            var answer = await handler(from, request, cancellationToken);
            if (answer.Length <= RpcLink.MaxBodyBytes) return Response(correlation, 0, answer.Span);
            return Response(correlation, 1, Encoding.UTF8.GetBytes($"the answer of {method} is over 8 MiB"));
        }
        catch (Exception error)
        {
            // Whatever a handler throws is the caller's to know; this node goes on.
            if (error is not OperationCanceledException) Log.HandlerFailed(_logger, method, from, error);
            return Response(correlation, 1, Encoding.UTF8.GetBytes($"{method} failed: {error.Message}"));
        }
    }

    private static byte[] Response(ulong correlation, byte status, ReadOnlySpan<byte> body)
    {
        var frame = FrameStream.Rent(9 + body.Length);
        var content = frame.AsSpan(FrameStream.HeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(content, correlation);
        content[8] = status;
        body.CopyTo(content[9..]);
        FrameStream.Seal(frame, FrameKind.Response);
        return frame;
    }
}
