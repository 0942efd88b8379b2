using System.Collections.Concurrent;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Transport;

/// <summary>Takes a Raft message; called on the connection's thread, must not wait. What it took of the budget is to be returned when the
/// message has been handled or dropped.</summary>
internal delegate void RaftReceiver(in Message message, InboundBudget budget, int bytes);

/// <summary>All connections of one node: links to each peer, and what peers dialled. Safe on any thread.</summary>
internal sealed partial class PeerTransport : IAsyncDisposable
{
    /// <summary>Why connections end and requests fail at a stop.</summary>
    internal const string Stopping = "this node is stopping";

    private const int MaxRaftFrameBytes = 4 * 1024 * 1024;

    /// <summary>How long a stop waits for answers to leave.</summary>
    private static readonly TimeSpan AnswersLimit = TimeSpan.FromSeconds(2);

    private readonly PeerDirectory _directory;
    private readonly Socket _socket;
    private readonly RaftReceiver _deliver;
    private readonly TransportLimits _limits;
    private readonly ILogger _logger;
    private readonly Handshaker _handshaker;
    private readonly PeerConnections _connections;
    private readonly InboundPeers _inbound;
    private readonly SendRate _snapshotRate;
    private readonly ConcurrentDictionary<string, RpcHandler> _handlers = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(NodeId Peer, Lane Lane), RpcLink> _rpcLinks = new();
    private readonly ConcurrentDictionary<RpcServer, NodeId> _serving = new();
    private readonly object _linksGate = new();
    private readonly HashSet<Task> _ending = [];
    private readonly HashSet<NodeId> _removedBy = [];
    private volatile Dictionary<NodeId, RaftLink> _raftLinks = []; // Copied, never changed.
    private volatile bool _isStopped;
    private PeerListener? _listener;

    /// <param name="directory">Members and identity.</param>
    /// <param name="listener">Bound and listening; owned from now on.</param>
    /// <param name="deliver">Takes Raft messages.</param>
    /// <param name="logger">For connections and refusals.</param>
    /// <param name="tls">Null: no TLS, on this host only.</param>
    /// <param name="limits">Null for the defaults.</param>
    public PeerTransport(
        PeerDirectory directory, Socket listener, RaftReceiver deliver, ILogger logger, PeerTls? tls = null, TransportLimits? limits = null)
    {
        _directory = directory;
        _socket = listener;
        _deliver = deliver;
        _logger = logger;
        _limits = limits ?? TransportLimits.Default;
        _isOffHostAllowed = tls is not null;
        _handshaker = new Handshaker(directory, tls, _limits, logger);
        _connections = new PeerConnections(_limits);
        _inbound = new InboundPeers(directory, _limits);
        _snapshotRate = new SendRate(_limits.SnapshotBytesPerSecond, TimeProvider.System);
    }

    /// <summary>A peer says, for the first time, that this node has been removed from the cluster: who, and a text. On a pool thread.</summary>
    public event Action<NodeId, string>? Removed;

    /// <summary>A peer says that it has seen a later life of this node: who, and which. On a pool thread, again and again.</summary>
    public event Action<NodeId, ulong>? Outlived;

    /// <summary>The connection on which this node sends Raft messages to a peer is there, or has ended. In order for each peer; on any thread, and not
    /// while this node stops.</summary>
    public event Action<NodeId, bool>? RaftConnected;

    /// <summary>The connection on which this peer sent Raft messages has ended. On any thread, and not while this node stops.</summary>
    public event Action<NodeId>? RaftEnded;

    /// <summary>Connections that have not said who they are.</summary>
    public int Handshaking => _listener?.Handshaking ?? 0;

    /// <summary>What nodes that connect are turned away for at this moment; null if they are not.</summary>
    public AcceptEpisode? Refusing => _listener?.Refusing;

    /// <summary>Begins to accept and to dial.</summary>
    public void Start()
    {
        _listener = new PeerListener(_socket, _handshaker, _limits, ServeAsync, _logger);
        Reconcile();
    }

    /// <summary>Sends, or drops, one Raft message; never waits.</summary>
    public void Send(in Message message)
    {
        if (!_raftLinks.TryGetValue(message.To, out var link)) return;
        link.Add(message);
        link.Flush();
    }

    /// <summary>Sends, or drops, Raft messages; never waits.</summary>
    public void Send(List<Message> messages)
    {
        Add(messages);
        Flush();
    }

    /// <summary>Queues, or drops, Raft messages; they leave with <see cref="Flush"/>, those to one peer together. Never waits.</summary>
    public void Add(List<Message> messages)
    {
        var links = _raftLinks;
        foreach (var message in messages)
        {
            if (links.TryGetValue(message.To, out var link)) link.Add(message);
        }
    }

    /// <summary>Sends what is queued; never waits.</summary>
    public void Flush()
    {
        foreach (var link in _raftLinks.Values) link.Flush();
    }

    public void Handle(string method, RpcHandler handler)
    {
        if (!_handlers.TryAdd(method, handler)) throw new InvalidOperationException($"Method {method} has a handler.");
    }

    /// <summary>Calls a peer, or this node itself without a connection. Methods that begin with "raft.snapshot" use their own
    /// connection and rate.</summary>
    /// <exception cref="NotSentException">The peer did not see it.</exception>
    /// <exception cref="PeerUnreachableException">It may have run.</exception>
    public async ValueTask<ReadOnlyMemory<byte>> CallAsync(
        NodeId node, string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (node == _directory.Self) return await CallSelfAsync(method, request, cancellationToken);
        var lane = RpcServer.IsForSnapshots(method) ? Lane.Snapshot : Lane.Rpc;
        if (LinkTo(node, lane) is not { } link) throw new NotSentException($"node {node} is no member, and has not said where it listens");
        if (lane == Lane.Snapshot) await _snapshotRate.TakeAsync(request.Length, cancellationToken);
        return await link.CallAsync(method, request, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        Task[] ending;
        Dictionary<NodeId, RaftLink> links;
        lock (_linksGate)
        {
            _isStopped = true;
            links = _raftLinks;
            _raftLinks = [];
            ending = [.. _ending];
        }

        var listening = _listener?.DisposeAsync() ?? ValueTask.CompletedTask;
        _socket.Dispose();
        _connections.EndAll(Stopping, Lane.Raft); // Whoever followed this node hears of it first.
        await Task.WhenAll(links.Values.Select(link => link.DisposeAsync().AsTask()));
        await Task.WhenAll(_serving.Select(pair => FinishAsync(pair.Key, pair.Value)));
        _connections.EndAll(Stopping);
        foreach (var link in _rpcLinks.Values) await link.DisposeAsync();
        await Task.WhenAll(ending);
        await listening;
        _connections.Dispose();
    }

    private RpcLink? LinkTo(NodeId node, Lane lane)
    {
        if (_rpcLinks.TryGetValue((node, lane), out var link)) return link;
        lock (_linksGate)
        {
            if (_isStopped || _directory.AddressOf(node) is null) return null;
            return _rpcLinks.GetOrAdd((node, lane), _ => new RpcLink(_handshaker, _connections, _limits, node, lane, _logger));
        }
    }

    private async ValueTask<ReadOnlyMemory<byte>> CallSelfAsync(string method, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (!_handlers.TryGetValue(method, out var handler)) throw new PeerUnreachableException($"no handler of {method}");
        try
        {
            return await handler(_directory.Self, request, cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            TransportLogMessages.HandlerFailed(_logger, method, _directory.Self, error);
            throw new PeerUnreachableException($"the handler of {method} failed: {error.Message}", error);
        }
    }

    private async Task ServeAsync(PeerConnection connection, Hello hello, Arrival arrival)
    {
        using var owned = connection;
        _connections.Watch(connection);
        if (_inbound.Add(connection, out var refusal) is not { } budget)
        {
            _connections.Forget(connection);
            throw new IOException(refusal);
        }

        try
        {
            if (_isStopped) return;
            if (connection.Lane != Lane.Raft)
            {
                await ServeRequestsAsync(connection);
                return;
            }

            Welcome(hello, arrival.Remote);
            if (!Thread.CurrentThread.IsThreadPoolThread) ReceiveRaft(connection, budget);
            else
            {
                await Task.Factory.StartNew(
                    () => ReceiveRaft(connection, budget), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }
        }
        catch (TaskSchedulerException error)
        {
            TransportLogMessages.NoThread(_logger, arrival.Remote, error.Message); // The peer dials again.
        }
        catch (ProtocolException error)
        {
            TransportLogMessages.ProtocolError(_logger, connection.Peer, error.Message);
        }
        finally
        {
            connection.End("closed");
            _connections.Forget(connection);
            _inbound.Remove(connection);
            if (connection.Lane == Lane.Raft)
            {
                if (!_isStopped) RaftEnded?.Invoke(connection.Peer);
                if (!_directory.IsMember(connection.Peer)) Reconcile();
            }
        }
    }

    private async Task ServeRequestsAsync(PeerConnection connection)
    {
        var server = new RpcServer(connection, _handlers, _limits, connection.Lane == Lane.Snapshot ? _snapshotRate : null, _logger);
        _serving.TryAdd(server, connection.Peer);
        try
        {
            await server.ServeAsync();
        }
        finally
        {
            _serving.TryRemove(server, out _);
        }
    }

    private async Task FinishAsync(RpcServer server, NodeId peer)
    {
        using var limit = new CancellationTokenSource(AnswersLimit);
        try
        {
            await server.FinishAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            TransportLogMessages.NotDrained(_logger, peer);
        }
    }

    /// <summary>On the connection's own thread: a Raft message is handled by the thread that the kernel wakes for it.</summary>
    private void ReceiveRaft(PeerConnection connection, InboundBudget budget)
    {
        Thread.CurrentThread.Name = $"raft-from-{connection.Peer}";
        var reader = connection.Reader;
        while (true)
        {
            while (reader.TryRead(MaxRaftFrameBytes, out var kind, out var body))
            {
                if (!connection.IsUp) throw new IOException(connection.Reason); // Bytes that had arrived are still handed out.
                if (kind != FrameKind.Raft) throw new ProtocolException("not a Raft message");
                if (!_directory.IsCurrent(connection.Peer, connection.Incarnation))
                    throw new HandshakeRefusedException(HandshakeStatus.StaleIncarnation);
                var error = MessageCodec.TryDecode(body.Span, connection.Peer, _directory.Self, out var message);
                if (error is not null) throw new ProtocolException(error);
                if (!budget.TryTake(body.Length)) budget.TakeAsync(body.Length, connection.Ended).AsTask().GetAwaiter().GetResult();
                _deliver(message, budget, body.Length);
            }

            reader.Fill();
        }
    }
}
