using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// Clients that keep connections to several nodes and give a request up after their own time-out, which is at least the safe one
// (design §14.25): what they gave up they write again, and newer data after it, through another connection that has stood for long.
internal sealed partial class MirrorWorld
{
    private int _givenUp;

    private void StartStanding(int number) =>
        After(_random.Next(400) * Ms, () => Next(new StandingClient($"s{number}", null)), "standing");

    private void Next(StandingClient client)
    {
        if (Now > FaultPhaseNs + (8000 * Ms)) return;
        // Now and then it closes a connection: nodes without clients are told apart from others.
        if (_random.Chance(_isSparse ? 0.4 : 0.05) && client.Connections.Count > 0) HangUp(client.Connections[_random.Next(client.Connections.Count)]);
        client.Connections.RemoveAll(static connection => !connection.IsUp || connection.IsLeft);
        if (_visit is { IsAlive: true } first && client.Connections.Exists(static connection => connection.Counts))
        {
            _visit = null;
            var opened = Connect(first);
            client.Connections.Add(opened);
            WhenCounts(opened, () => Go(client, opened), () => Next(client));
            return;
        }

        WithConnection(client, except: null, connection => Go(client, connection));
    }

    private void Go(StandingClient client, SimConnection connection)
    {
        var range = client.Again ?? DrawRange();
        client.Again = null;
        if (_random.Chance(0.75) && IsFree(range)) Wait(client, Begin(connection, RequestKind.Write, range, client: client));
        else Wait(client, Begin(connection, RequestKind.Read, range, client: client));
    }

    /// <summary>A standing connection, most of the time; else a new one.</summary>
    private void WithConnection(StandingClient client, SimNode? except, Action<SimConnection> go, int tries = 0)
    {
        var standing = client.Connections.FindAll(connection => connection is { IsUp: true, IsLeft: false, Counts: true } && connection.Node != except);
        if (standing.Count > 0 && (standing.Count > 1 || _random.Chance(0.5)))
        {
            go(standing[_random.Next(standing.Count)]);
            return;
        }

        var alive = Array.FindAll(_nodes, node => node.IsAlive && node != except);
        if (alive.Length == 0 || tries > 40)
        {
            After(200 * Ms, () => WithConnection(client, except, go), "wait");
            return;
        }

        var opened = Connect(alive[_random.Next(alive.Length)]);
        client.Connections.Add(opened);
        WhenCounts(opened, () => go(opened), () => After(20 * Ms, () => WithConnection(client, except, go, tries + 1), "wait"));
    }

    private void Wait(StandingClient client, OpenRequest request)
    {
        var patience = AnswerAgeNs + WriteAgeNs + OnTheWayNs + (_random.Chance(0.5) ? 0 : _random.Next(300) * Ms);
        After(patience, () => TimeOut(client, request), "time-out");
    }

    private void TimeOut(StandingClient client, OpenRequest request)
    {
        if (request.IsAnswered) return;
        if (Now > FaultPhaseNs + (8000 * Ms) || request.Kind != RequestKind.Write)
        {
            request.IsAbandoned = true;
            if (!_open.Contains(request)) EndHold(request);
            After(_random.Next(30) * Ms, () => Next(client), "standing");
            return;
        }

        _givenUp++;
        Log($"{client.Name} gives up #{request.Id} on {request.Node}");
        request.IsAbandoned = true;
        foreach (var entry in request.Entries) entry.OrderEnd = Now;
        if (_random.Chance(0.7)) HangUp(request.Connection);
        Hold(request.Range, 1); // Until it is sent again.
        if (!_open.Contains(request)) EndHold(request);
        WithConnection(client, request.Connection.Node, connection =>
        {
            Hold(request.Range, -1);
            Wait(client, Begin(connection, RequestKind.Write, request.Range, request, client));
        });
    }

    private void Answered(StandingClient client, OpenRequest request, bool isDone)
    {
        // Newer data over what was just written: it must not be lost to whatever is still on its way.
        if (isDone && request.Former is not null && _random.Chance(0.7)) client.Again = request.Range;
        After((1 + _random.Next(20)) * Ms, () => Next(client), "standing");
    }

    internal sealed class StandingClient(string name, ByteRange? again)
    {
        public string Name => name;

        public List<SimConnection> Connections { get; } = [];

        public ByteRange? Again { get; set; } = again;
    }
}
