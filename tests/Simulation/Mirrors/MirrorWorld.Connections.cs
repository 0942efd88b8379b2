using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// Connections as the NBD server has them: bytes come to the node's kernel whether or not the node runs, and are read late; the node looks
// at them now and then, and so knows bounds of when each request came.
internal sealed partial class MirrorWorld
{
    private SimConnection Connect(SimNode node)
    {
        var connection = new SimConnection(node, node.Incarnation, ++node.Sessions, _random.Chance(0.5)) { LookedNs = Now };
        node.Connections.Add(connection);
        OnNode(node, node.Incarnation, () =>
        {
            connection.LookedNs = Now;
            node.Core.SessionOpened(Now, connection.Session, Now);
        });
        After(ServiceWaitNs, () => Refuse(connection), "refused");
        return connection;
    }

    /// <summary>As GO is (design §14.26).</summary>
    private void Refuse(SimConnection connection)
    {
        if (connection.Counts || !connection.IsUp) return;
        _refusals++;
        Log($"{connection.Node.Name}/{connection.Session} is refused");
        connection.IsHungUp = true;
        EndIfClosed(connection);
        NotAdmitted(connection);
    }

    /// <summary>Its client is told once, however it comes about.</summary>
    private static void NotAdmitted(SimConnection connection)
    {
        var otherwise = connection.OnLost;
        (connection.OnCounts, connection.OnLost) = (null, null);
        otherwise?.Invoke();
    }

    /// <summary>The client sends nothing before its handshake is over.</summary>
    private static void WhenCounts(SimConnection connection, Action then, Action? otherwise = null)
    {
        if (connection.Counts) then();
        else (connection.OnCounts, connection.OnLost) = (then, otherwise);
    }

    private void Admitted(SimNode node, uint session)
    {
        if (node.Connections.Find(entry => entry.Session == session) is not { IsUp: true } connection) return; // Refused meanwhile.
        _admissions++;
        CheckAdmission(node, session);
        connection.Counts = true;
        After((1 + _random.Next(10)) * Ms / 4, () =>
        {
            var then = connection.OnCounts;
            if (!connection.IsUp)
            {
                NotAdmitted(connection);
                return;
            }

            (connection.OnCounts, connection.OnLost) = (null, null);
            then?.Invoke();
        }, "admitted");
    }

    private static void LoseConnections(SimNode node)
    {
        foreach (var connection in node.Connections.ToArray())
        {
            connection.IsUp = false;
            connection.Unread.Clear();
            if (!connection.Counts) NotAdmitted(connection);
        }

        node.Connections.Clear();
    }

    private void Send(OpenRequest request)
    {
        var connection = request.Connection;
        var onTheWay = _random.Chance(0.03) ? _random.NextInt64(OnTheWayNs) : _random.Next(4) * Ms / 4;
        connection.LastNs = Math.Max(connection.LastNs + 1, Now + onTheWay);
        At(Math.Min(connection.LastNs, Now + OnTheWayNs), () => Arrive(request), "arrive");
    }

    private void Arrive(OpenRequest request)
    {
        var connection = request.Connection;
        if (!connection.IsUp)
        {
            if (connection.Node.IsAlive && connection.Node.Incarnation == request.Incarnation) Lose(request);
            return;
        }

        (request.ArrivedNs, request.FromNs) = (Now, connection.LookedNs);
        connection.Unread.Enqueue(request);
        ReadSoon(connection);
    }

    private void ReadSoon(SimConnection connection)
    {
        if (connection.IsReading) return;
        connection.IsReading = true;
        var delay = _random.Chance(_stalls) ? _random.Next(500) * Ms : _random.Next(1000) * Ms / 1000;
        After(delay, () => OnNode(connection.Node, connection.Life, () => Read(connection)), "read");
    }

    private void Read(SimConnection connection)
    {
        connection.IsReading = false;
        if (!connection.IsUp) return;
        var node = connection.Node;
        var newest = connection.Unread.Count > 0 ? connection.Unread.Last().ArrivedNs : Now;
        while (connection.IsUp && connection.Unread.TryDequeue(out var request))
        {
            connection.InFlight++;
            // The kernel stamps what it gives with the time of the newest; some sockets have no stamps.
            var to = connection.IsStamped ? newest : Now;
            node.Core.Submit(Now, new MirrorRequest(
                request.Id, request.Kind, new ByteRange(request.Range.Start * BlockBytes, request.Range.Length * BlockBytes),
                connection.Session, request.IsForced, FromNs: request.FromNs, ToNs: to));
        }

        if (connection.IsHungUp) node.Core.SessionHungUp(Now, connection.Session);
        EndIfClosed(connection);
    }

    /// <summary>The client closes its side: what it sent before is read first.</summary>
    private void HangUp(SimConnection connection)
    {
        if (connection.IsHungUp || connection.IsLeft) return;
        connection.IsLeft = true;
        connection.LastNs = Math.Max(connection.LastNs + 1, Now + (_random.Next(4) * Ms / 4));
        At(connection.LastNs, () =>
        {
            connection.IsHungUp = true;
            if (connection.IsUp) ReadSoon(connection);
        }, "hang up");
    }

    /// <summary>The node wants the connection gone: it reads no more of it.</summary>
    private void Disconnect(SimConnection connection)
    {
        if (!connection.IsUp) return;
        connection.IsUp = false;
        connection.IsHungUp = true;
        while (connection.Unread.TryDequeue(out var request)) Lose(request);
    }

    private void EndIfClosed(SimConnection connection)
    {
        if (!connection.IsHungUp || connection.InFlight > 0 || connection.Unread.Count > 0 || connection.IsEnded) return;
        connection.IsUp = false;
        connection.IsEnded = true;
        var node = connection.Node;
        OnNode(node, connection.Life, () =>
        {
            node.Connections.Remove(connection);
            node.Core.SessionClosed(Now, connection.Session);
        });
    }

    /// <summary>Nobody will ever read it.</summary>
    private void Lose(OpenRequest request)
    {
        if (!_open.Contains(request)) return;
        if (!request.IsAbandoned && request.Client is null) Retry(request);
        Close(request, isAcknowledged: false);
    }

    private void SampledTick(SimNode node)
    {
        Sample(node);
        node.Core.Tick(Now);
    }

    private void Received(SimNode to, string from, PeerMessage message)
    {
        if (message.Kind is PeerMessageKind.OrderQuestion or PeerMessageKind.DrainRequest) Sample(to);
        // The thread that looked may be late with what it saw.
        var life = to.Incarnation;
        if (_random.Chance(_stalls)) After(_random.Next(200) * Ms, () => OnNode(to, life, () => to.Core.PeerMessageReceived(Now, from, message)), "late message");
        else to.Core.PeerMessageReceived(Now, from, message);
    }

    private void Sample(SimNode node)
    {
        if (node.Connections.Count == 0) return;
        var floors = new List<(uint Session, long FloorNs)>();
        foreach (var connection in node.Connections)
        {
            connection.LookedNs = Now;
            floors.Add((connection.Session, connection.Unread.TryPeek(out var first) ? first.FromNs : Now));
        }

        node.Core.Sampled(Now, new IntakeSample(Now, floors));
    }

    internal sealed class SimConnection(SimNode node, ulong life, uint session, bool isStamped)
    {
        public SimNode Node => node;

        public ulong Life => life;

        public uint Session => session;

        public bool IsStamped => isStamped;

        /// <summary>In the kernel of the node's host.</summary>
        public Queue<OpenRequest> Unread { get; } = new();

        /// <summary>When the node looked last at how much has come.</summary>
        public long LookedNs { get; set; }

        /// <summary>When the last byte sent arrives: a stream keeps its order.</summary>
        public long LastNs { get; set; }

        public int InFlight { get; set; }

        public bool IsUp { get; set; } = true;

        public bool IsReading { get; set; }

        /// <summary>Its client has closed it and sends nothing more.</summary>
        public bool IsLeft { get; set; }

        public bool IsHungUp { get; set; }

        public bool IsEnded { get; set; }

        public bool Counts { get; set; }

        public Action? OnCounts { get; set; }

        public Action? OnLost { get; set; }
    }
}
