using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Tests.Nodes;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Tests.Transport;

/// <summary>One transport without a node: what arrives is kept; shares go back at once unless held.</summary>
internal sealed class Station : IAsyncDisposable
{
    private readonly ConcurrentQueue<(InboundBudget Budget, int Bytes)> _held = new();
    private readonly Channel<Message> _received = Channel.CreateUnbounded<Message>();
    private volatile bool _isHolding;

    public Station(
        ushort id, Guid cluster, TransportLimits? limits = null, ulong incarnation = 1, PeerTls? tls = null, ILogger? logger = null,
        ulong features = 0, VersionRange? versions = null, bool isHolding = false)
    {
        Id = new NodeId(id);
        _isHolding = isHolding;
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        Endpoint = (IPEndPoint)listener.LocalEndPoint!;
        Directory = new PeerDirectory(cluster, Id, incarnation, new Dictionary<NodeId, IPEndPoint>())
        {
            Features = features,
            Versions = versions ?? VersionRange.Own,
            Advertised = Endpoint.ToString(),
        };
        Transport = new PeerTransport(Directory, listener, Receive, logger ?? NullLogger.Instance, tls, limits);
        Transport.Start();
    }

    public NodeId Id { get; }

    public IPEndPoint Endpoint { get; }

    public PeerDirectory Directory { get; }

    public PeerTransport Transport { get; }

    public int Held => _held.Count;

    public Message Heartbeat(Station to, ulong round = 0) => new() { Kind = MessageKind.Heartbeat, From = Id, To = to.Id, Term = 1, Round = round };

    public void Knows(params Station[] others) => Knows(static _ => false, others);

    public void Knows(Func<NodeId, bool> hasLeft, params Station[] others) =>
        Transport.UpdateMembers(others.Append(this).ToDictionary(other => other.Id, other => other.Endpoint.ToString()), hasLeft);

    public bool HasReceived => _received.Reader.TryPeek(out _);

    public Task<Message> ReceiveAsync() => _received.Reader.ReadAsync().AsTask().WaitAsync(LocalCluster.Patience);

    /// <summary>Gives back all shares, and holds none any more.</summary>
    public void ReturnAll()
    {
        _isHolding = false;
        while (_held.TryDequeue(out var share)) share.Budget.Return(share.Bytes);
    }

    public ValueTask DisposeAsync() => Transport.DisposeAsync();

    private void Receive(in Message message, InboundBudget budget, int bytes)
    {
        if (_isHolding) _held.Enqueue((budget, bytes));
        else budget.Return(bytes);
        _received.Writer.TryWrite(message);
    }
}

/// <summary>Waiting for what no event tells: asks again every few milliseconds, and gives up loudly.</summary>
internal static class Eventually
{
    public static async Task IsTrueAsync(Func<bool> condition, string what)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        using var limit = new CancellationTokenSource(LocalCluster.Patience);
        while (!condition())
        {
            try
            {
                await timer.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"never: {what}");
            }
        }
    }
}
