using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace RaftMirror.Chaos.Proxy;

/// <summary>
/// The network between the nodes of one cluster. Each node has a listener here, whose address is the one that the cluster knows; a connection
/// to it goes on to where the node really listens. Who dials and what for is read from the first bytes (docs/formats.md: the
/// lane at offset 8, the number of the dialler at offset 28 of its 64 byte greeting), so each direction of each pair's each lane has a
/// <see cref="Link"/> of its own: on the lane that one node dials, what it sends and what comes back.
///
/// A closed link keeps what was sent: when it opens, old messages arrive. Any thread.
/// </summary>
internal sealed class PeerProxy : IAsyncDisposable
{
    private const int GreetingBytes = 64;
    private const int LaneOffset = 8;
    private const int DiallerOffset = 28;
    private readonly ConcurrentDictionary<int, Station> _stations = new();
    private readonly ConcurrentDictionary<(int From, int To, int Lane), Link> _links = new();
    private readonly ConcurrentDictionary<Connection, bool> _connections = new();
    private readonly ConcurrentBag<Task> _tasks = [];
    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Links that are closed, slow or broken now.</summary>
    public int ImpairedLinks => _links.Values.Count(link => link.IsImpaired);

    /// <summary>HOST:PORT that stands for a node.</summary>
    public string AddressOf(int node) => StationOf(node).Address;

    /// <summary>The lanes of docs/formats.md: Raft messages, requests, snapshots.</summary>
    public static IReadOnlyList<int> Lanes { get; } = [1, 2, 3];

    /// <summary>Says where a node really listens: connections that come from now on go there.</summary>
    public void Route(int node, int port) => StationOf(node).Port = port;

    /// <summary>What goes from one node to another on a lane, whoever dialled.</summary>
    public Link LinkOf(int from, int to, int lane) => _links.GetOrAdd((from, to, lane), _ => new Link());

    /// <summary>All that goes from one node to another.</summary>
    public IEnumerable<Link> LinksOf(int from, int to) => Lanes.Select(lane => LinkOf(from, to, lane));

    /// <summary>Closes both directions between a node and all others.</summary>
    public void Isolate(int node, IEnumerable<int> others)
    {
        foreach (var other in others.Where(other => other != node))
        {
            foreach (var link in LinksOf(node, other).Concat(LinksOf(other, node))) link.Close();
        }
    }

    /// <summary>Ends connections of a pair, or of all if none is given, at once.</summary>
    /// <returns>How many there were.</returns>
    public int Drop((int One, int Other)? pair = null)
    {
        var dropped = 0;
        foreach (var connection in _connections.Keys)
        {
            var concerns = pair is not { } p || (connection.From, connection.To) == p || (connection.To, connection.From) == p;
            if (!concerns) continue;
            connection.Abort();
            dropped++;
        }

        return dropped;
    }

    /// <summary>Opens all links.</summary>
    public void Heal()
    {
        foreach (var link in _links.Values) link.Open();
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        foreach (var station in _stations.Values) station.Listener.Dispose();
        Drop();
        await Task.WhenAll(_tasks);
        _stopping.Dispose();
    }

    private Station StationOf(int node)
    {
        if (_stations.TryGetValue(node, out var known)) return known;
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        var station = new Station(listener, listener.LocalEndPoint!.ToString()!);
        if (!_stations.TryAdd(node, station))
        {
            listener.Dispose();
            return _stations[node];
        }

        _tasks.Add(Task.Run(() => AcceptAsync(node, station)));
        return station;
    }

    private async Task AcceptAsync(int node, Station station)
    {
        try
        {
            while (true)
            {
                var client = await station.Listener.AcceptAsync(_stopping.Token);
                _ = ServeAsync(client, node, station);
            }
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            if (!_stopping.IsCancellationRequested) throw;
        }
    }

    private async Task ServeAsync(Socket client, int node, Station station)
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var own = client;
        client.NoDelay = server.NoDelay = true;
        Connection? connection = null;
        try
        {
            var greeting = new byte[GreetingBytes];
            for (var read = 0; read < greeting.Length;)
            {
                var count = await client.ReceiveAsync(greeting.AsMemory(read), _stopping.Token);
                if (count == 0) return;
                read += count;
            }

            var from = BinaryPrimitives.ReadUInt16LittleEndian(greeting.AsSpan(DiallerOffset));
            var lane = greeting[LaneOffset];
            var (there, back) = (LinkOf(from, node, lane), LinkOf(node, from, lane));
            if (there.IsBroken || back.IsBroken || station.Port == 0) return;
            connection = new Connection(from, node, client, server);
            _connections[connection] = true;
            await there.PassAsync(_stopping.Token);
            await server.ConnectAsync(IPAddress.Loopback, station.Port, _stopping.Token);
            await server.SendAsync(greeting, SocketFlags.None, _stopping.Token);
            await Task.WhenAll(PumpAsync(client, server, there, connection), PumpAsync(server, client, back, connection));
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // A connection that ends: what is tested is that nodes live with it.
        }
        finally
        {
            if (connection is not null) _connections.TryRemove(connection, out _);
        }
    }

    private async Task PumpAsync(Socket source, Socket target, Link link, Connection connection)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (await source.ReceiveAsync(buffer, SocketFlags.None, _stopping.Token) is var count and > 0)
            {
                await link.PassAsync(_stopping.Token);
                for (var sent = 0; sent < count;) sent += await target.SendAsync(buffer.AsMemory(sent, count - sent), SocketFlags.None, _stopping.Token);
            }
        }
        finally
        {
            connection.Abort();
        }
    }

    private sealed class Station(Socket listener, string address)
    {
        private volatile int _port;

        public Socket Listener { get; } = listener;

        public string Address { get; } = address;

        public int Port
        {
            get => _port;
            set => _port = value;
        }
    }

    private sealed class Connection(int from, int to, Socket client, Socket server)
    {
        public int From { get; } = from;

        public int To { get; } = to;

        public void Abort()
        {
            client.Dispose();
            server.Dispose();
        }
    }
}
