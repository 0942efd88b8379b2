using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Simulation.Mirrors;

// Clients, as a cluster file system would behave: never two writes of one block at once.
internal sealed partial class MirrorWorld
{
    private readonly List<OpenRequest> _open = [];
    private ulong _nextRequest = 1;

    private void StartClient(SimNode node)
    {
        var life = node.Incarnation;
        var connection = Connect(node);
        WhenCounts(connection, () => After(_random.Next(50) * Ms, () => Ask(connection), "ask"), () =>
        {
            if (node.IsAlive && node.Incarnation == life) StartClient(_nodes[_random.Next(_nodes.Length)]);
        });
    }

    private void Ask(SimConnection connection)
    {
        var node = connection.Node;
        if (!connection.IsUp || Now > FaultPhaseNs + (8000 * Ms)) return;
        if (node.PausedUntilNs > Now)
        {
            At(node.PausedUntilNs, () => Ask(connection), "ask");
            return;
        }

        if (_doubtful.Count > 0 && _random.Chance(_suspicion))
        {
            Begin(connection, RequestKind.Read, _doubtful[_random.Next(_doubtful.Count)]);
            return;
        }

        var range = DrawRange();
        if (_random.Chance(0.08)) Begin(connection, RequestKind.Flush, default);
        else if (_random.Chance(0.5) && IsFree(range)) Begin(connection, RequestKind.Write, range);
        else Begin(connection, RequestKind.Read, range);
    }

    private ByteRange DrawRange()
    {
        var start = _random.Next(Blocks);
        return new ByteRange(start, Math.Min(1 + _random.Next(_random.Chance(0.1) ? 6 : 3), Blocks - start));
    }

    private bool IsFree(ByteRange range)
    {
        for (var block = range.Start; block < range.End; block++)
        {
            if (_holds[block] > 0) return false;
        }

        return true;
    }

    private void Hold(ByteRange range, int count)
    {
        for (var block = range.Start; block < range.End; block++) _holds[block] += count;
    }

    /// <summary>A writer died over it. What a cluster file system's recovery would read, clients read now and then, most of all the newest.</summary>
    private void Doubt(ByteRange range)
    {
        _doubtful.Add(range);
        if (_doubtful.Count > 4) _doubtful.RemoveAt(0);
    }

    private OpenRequest Begin(
        SimConnection connection, RequestKind kind, ByteRange range, OpenRequest? former = null, StandingClient? client = null)
    {
        var (node, session) = (connection.Node, connection.Session);
        var request = new OpenRequest
        {
            Id = _nextRequest++,
            Node = node.Name,
            Incarnation = node.Incarnation,
            Session = session,
            Kind = kind,
            Range = range,
            Start = Now,
            HadLease = node.IsAlive && Now < node.Core.LeaseExpiresNs,
            Values = new ulong[range.Length],
            Former = former,
            Connection = connection,
            Client = client,
            IsForced = _random.Chance(0.1),
        };
        _open.Add(request);
        node.Mailbox[request.Id] = request;
        if (kind == RequestKind.Write)
        {
            Hold(range, 1);
            request.IsHolding = true;
        }

        for (var i = 0; i < range.Length && kind == RequestKind.Write; i++)
        {
            var block = (int)range.Start + i;
            request.Values[i] = _nextValue++;
            request.Entries.Add(_history.Begin(block, request.Values[i], Now));
        }

        Log($"{node.Name}/{session} {kind} #{request.Id} {range}{(kind == RequestKind.Write ? $" = {request.Values[0]}…" : "")}");
        Send(request);
        // It may have a new connection at once, but not before its bytes are there (design §14.9).
        if (client is null && _random.Chance(_impatience)) After(OnTheWayNs + (_random.Next(400) * Ms), () => GiveUp(request), "give up");
        return request;
    }

    /// <summary>A client does not wait any longer for a node that lives, perhaps paused, and goes on elsewhere. What it asked for
    /// stays in that node, and may be submitted late.</summary>
    private void GiveUp(OpenRequest request)
    {
        if (request.IsAbandoned || !_open.Contains(request)) return;
        Log($"{request.Node} #{request.Id} given up by its client");
        Abandon(request);
    }

    private void Replied(SimNode node, MirrorEffect effect)
    {
        node.Mailbox.Remove(effect.Id, out var request);
        Log($"{node.Name} #{effect.Id} {effect.Status}");
        if (effect.Status == IoStatus.Ok)
        {
            CheckFence(node.Name, node.Incarnation);
            if (Now >= node.Core.LeaseExpiresNs) Fail($"I-FENCE {node.Name} acknowledged #{effect.Id} without a lease");
        }

        if (request!.Kind == RequestKind.Read && effect.Status == IoStatus.Ok)
        {
            _answeredReads++;
            for (var i = 0; i < request.Values.Length; i++)
            {
                var wrong = _history.Check((int)request.Range.Start + i, request.Values[i], request.Start, Now);
                if (wrong is not null) Fail($"{wrong} (read #{request.Id} on {node.Name})");
            }
        }

        if (request.Kind == RequestKind.Write && effect.Status == IoStatus.Ok)
        {
            _answeredWrites++;
            CheckSame(node, request);
        }

        if (effect.Status == IoStatus.Drop) CheckDrop(node, request);
        if (effect.Status == IoStatus.NoSpace) _noSpaceAnswers++;
        var wasAbandoned = request.IsAbandoned;
        var isAcknowledged = effect.Status == IoStatus.Ok && !wasAbandoned;
        request.IsAnswered = !wasAbandoned && effect.Status != IoStatus.Drop;
        Close(request, isAcknowledged);
        request.Connection.InFlight--;
        if (effect.Status == IoStatus.Drop) Disconnect(request.Connection);
        EndIfClosed(request.Connection);
        if (request.Client is { } client)
        {
            if (!wasAbandoned && effect.Status != IoStatus.Drop) Answered(client, request, effect.Status == IoStatus.Ok);
            return; // Without an answer it waits for its time-out.
        }

        if (effect.Status == IoStatus.Drop || wasAbandoned)
        {
            if (!wasAbandoned) Retry(request);
            return;
        }

        After((1 + _random.Next(30)) * Ms, () => Ask(request.Connection), "ask");
    }

    private void Abandon(OpenRequest request)
    {
        request.IsAbandoned = true;
        foreach (var entry in request.Entries) entry.OrderEnd = Now; // The client goes on, and means what it writes next.
        HangUp(request.Connection);
        Retry(request);
    }

    /// <summary>The client connects anew, to any node, and writes its range again at once (failover, design §14.9).</summary>
    private void Retry(OpenRequest request)
    {
        var node = _nodes[_random.Next(_nodes.Length)];
        if (!node.IsAlive || Now > FaultPhaseNs + (8000 * Ms)) return;
        if (request.Kind == RequestKind.Write) Hold(request.Range, 1); // Until it is sent again.
        After(_random.Next(30) * Ms, () =>
        {
            var connection = node.IsAlive ? Connect(node) : null;
            if (connection is null) EndRetry(request);
            else WhenCounts(connection, () => Again(connection, request), () => Refused(connection, request));
        }, "reconnect");
    }

    private void Refused(SimConnection connection, OpenRequest request)
    {
        EndRetry(request);
        if (connection.Node.IsAlive && connection.Node.Incarnation == connection.Life) Retry(request);
    }

    private void EndRetry(OpenRequest request)
    {
        if (request.Kind == RequestKind.Write) Hold(request.Range, -1);
    }

    private void Again(SimConnection connection, OpenRequest request)
    {
        EndRetry(request);
        if (request.Kind == RequestKind.Write) Begin(connection, RequestKind.Write, request.Range, request);
        else Ask(connection);
    }

    private void Close(OpenRequest request, bool isAcknowledged)
    {
        _open.Remove(request);
        foreach (var entry in request.Entries)
        {
            entry.End = Now;
            if (!request.IsAbandoned) entry.OrderEnd = Now;
            entry.IsAcknowledged = isAcknowledged;
        }

        // A client that waits for its time-out means to write it again.
        if (isAcknowledged || request.Client is null || request.IsAnswered || request.IsAbandoned) EndHold(request);
        for (var former = request.Former; former is not null && isAcknowledged; former = former.Former)
        {
            // A new connection's write was done: nothing that its client sent before is under way any more (design §14.9).
            former.IsSuperseded = true;
            EndHold(former);
        }
    }

    private void EndHold(OpenRequest request)
    {
        if (!request.IsHolding) return;
        request.IsHolding = false;
        Hold(request.Range, -1);
    }

    internal sealed class OpenRequest
    {
        public required ulong Id { get; init; }

        public required string Node { get; init; }

        public required ulong Incarnation { get; init; }

        public required uint Session { get; init; }

        public required RequestKind Kind { get; init; }

        public required ByteRange Range { get; init; }

        public required long Start { get; init; }

        /// <summary>Its node had a lease when it came.</summary>
        public required bool HadLease { get; init; }

        public required ulong[] Values { get; init; }

        public List<BlockHistory.Entry> Entries { get; } = [];

        public required SimConnection Connection { get; init; }

        /// <summary>One that keeps connections to several nodes; null: one that connects anew.</summary>
        public StandingClient? Client { get; init; }

        public bool IsForced { get; init; }

        /// <summary>Its last byte reached the node's kernel then, and not before <see cref="FromNs"/> as far as the node knows.</summary>
        public long ArrivedNs { get; set; }

        public long FromNs { get; set; }

        public bool IsAbandoned { get; set; }

        /// <summary>When some of its leg I/O failed, was given up or was not made; 0 if none was. A write may then stand on some legs only.</summary>
        public long FailedNs { get; set; }

        /// <summary>It was counted among those that waited past their bound.</summary>
        public bool HasWaitedLong { get; set; }

        /// <summary>Its client was told how it ended.</summary>
        public bool IsAnswered { get; set; }

        /// <summary>While true, other clients leave its blocks alone.</summary>
        public bool IsHolding { get; set; }

        /// <summary>What its client sent before, had no answer to, and repeats with this.</summary>
        public OpenRequest? Former { get; init; }

        /// <summary>Its client wrote the range again, on another connection, and was told that this is done.</summary>
        public bool IsSuperseded { get; set; }

        private readonly Dictionary<string, DeviceStatus> _outcomes = [];

        /// <summary>A leg's call of the newest try ended.</summary>
        public void Ended(string disk, DeviceStatus status) => _outcomes[disk] = status;

        /// <summary>How the newest try ended on a disk; null if it has not.</summary>
        public DeviceStatus? Outcome(string disk) => _outcomes.TryGetValue(disk, out var status) ? status : null;
    }
}
