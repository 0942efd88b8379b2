using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Mirroring.Core;
using RaftMirror.DataPlane.Nbd;
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
        Connect(node, 0, session => After(_random.Next(50) * Ms, () => Ask(node, life, session), "ask"), () =>
        {
            if (node.IsAlive && node.Incarnation == life) StartClient(_nodes[_random.Next(_nodes.Length)]);
        });
    }

    /// <summary>Asks a node for the volume, as GO does (design §14.26): the client begins once it is admitted, and is refused after a while.</summary>
    private void Connect(SimNode node, long delayNs, Action<uint> admitted, Action refused)
    {
        var (session, life, isOver) = (++node.Sessions, node.Incarnation, false);
        node.Admissions[session] = () =>
        {
            isOver = true;
            admitted(session);
        };
        After(delayNs, () => OnNode(node, life, () => node.Core.SessionOpened(Now, session, Now)), "connect");
        After(delayNs + ServiceWaitNs, () =>
        {
            if (isOver) return;
            _refusals++;
            Log($"{node.Name}/{session} is refused");
            if (node.Incarnation == life) node.Admissions.Remove(session);
            OnNode(node, life, () => node.Core.SessionClosed(Now, session));
            refused();
        }, "refused");
    }

    private void Admitted(SimNode node, uint session)
    {
        if (!node.Admissions.Remove(session, out var begin)) return; // Refused meanwhile.
        _admissions++;
        CheckAdmission(node, session);
        After((1 + _random.Next(10)) * Ms / 4, begin, "admitted");
    }

    private void Ask(SimNode node, ulong life, uint session)
    {
        if (!node.IsAlive || node.Incarnation != life || Now > FaultPhaseNs + (8000 * Ms)) return;
        if (node.PausedUntilNs > Now)
        {
            At(node.PausedUntilNs, () => Ask(node, life, session), "ask");
            return;
        }

        if (_doubtful.Count > 0 && _random.Chance(_suspicion))
        {
            Begin(node, session, RequestKind.Read, _doubtful[_random.Next(_doubtful.Count)]);
            return;
        }

        var start = _random.Next(Blocks);
        var length = Math.Min(1 + _random.Next(_random.Chance(0.1) ? 6 : 3), Blocks - start);
        var range = new ByteRange(start, length);
        if (_random.Chance(0.08)) Begin(node, session, RequestKind.Flush, default);
        else if (_random.Chance(0.5) && IsFree(range)) Begin(node, session, RequestKind.Write, range);
        else Begin(node, session, RequestKind.Read, range);
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

    private void Begin(SimNode node, uint session, RequestKind kind, ByteRange range, OpenRequest? former = null)
    {
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
        OnNode(node, node.Incarnation, () => node.Core.Submit(Now, new MirrorRequest(
            request.Id, kind, new ByteRange(range.Start * BlockBytes, range.Length * BlockBytes), session, _random.Chance(0.1))));
        if (_random.Chance(_impatience)) After(_random.Next(400) * Ms, () => GiveUp(request), "give up");
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

        if (request.Kind == RequestKind.Write && effect.Status == IoStatus.Ok) _answeredWrites++;
        if (effect.Status == IoStatus.Drop) CheckDrop(node, request);
        if (effect.Status == IoStatus.Drop || request.IsAbandoned)
        {
            OnNode(node, node.Incarnation, () => node.Core.SessionClosed(Now, request.Session));
            if (!request.IsAbandoned) Retry(request);
            Close(request, isAcknowledged: false);
            return;
        }

        Close(request, effect.Status == IoStatus.Ok);
        var (life, session) = (node.Incarnation, request.Session);
        After((1 + _random.Next(30)) * Ms, () => Ask(node, life, session), "ask");
    }

    private void Abandon(OpenRequest request)
    {
        request.IsAbandoned = true;
        foreach (var entry in request.Entries) entry.OrderEnd = Now; // The client goes on, and means what it writes next.
        Retry(request);
    }

    /// <summary>The client connects anew, to any node, and writes its range again at once (failover, design §14.9).</summary>
    private void Retry(OpenRequest request)
    {
        var node = _nodes[_random.Next(_nodes.Length)];
        if (!node.IsAlive || Now > FaultPhaseNs + (8000 * Ms)) return;
        if (request.Kind == RequestKind.Write) Hold(request.Range, 1); // Until it is sent again.
        var life = node.Incarnation;
        Connect(node, _random.Next(30) * Ms, session => Again(node, life, session, request), () =>
        {
            if (request.Kind == RequestKind.Write) Hold(request.Range, -1);
            if (node.IsAlive && node.Incarnation == life) Retry(request);
        });
    }

    private void Again(SimNode node, ulong life, uint session, OpenRequest request)
    {
        if (request.Kind == RequestKind.Write) Hold(request.Range, -1);
        if (!node.IsAlive || node.Incarnation != life) return;
        if (request.Kind == RequestKind.Write) Begin(node, session, RequestKind.Write, request.Range, request);
        else Ask(node, life, session);
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

        EndHold(request);
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

        public bool IsAbandoned { get; set; }

        /// <summary>While true, other clients leave its blocks alone.</summary>
        public bool IsHolding { get; set; }

        /// <summary>What its client sent before, had no answer to, and repeats with this.</summary>
        public OpenRequest? Former { get; init; }

        /// <summary>Its client wrote the range again, on another connection, and was told that this is done.</summary>
        public bool IsSuperseded { get; set; }
    }
}
