using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Client connections and the drain barrier (design §14.9): a client that lost its connection here or elsewhere may have left a write
// under way. A new connection writes only after every live member ended every write that it had when asked.
internal sealed partial class MirrorCore
{
    private readonly List<ClientSession> _sessions = [];
    private readonly List<Drain> _drains = [];
    private ulong _nextDrain = 1;

    /// <summary>Open client connections.</summary>
    public int SessionCount => _sessions.Count;

    /// <summary>A connection opened at <paramref name="openedNs"/>; its barrier starts at once.</summary>
    public void SessionOpened(long now, uint session, long openedNs)
    {
        _now = now;
        _sessions.Add(new ClientSession { Number = session, OpenedNs = openedNs, Sequence = _nextDrain++, BeforeOperation = _nextOperation });
        _unadmitted++;
        _order.SessionOpened(now, session);
        AskDrains(_sessions[^1]);
        Finish();
    }

    /// <summary>A connection is closed; its requests have ended.</summary>
    public void SessionClosed(long now, uint session)
    {
        _now = now;
        _sessions.RemoveAll(entry => entry.Number == session);
        _unadmitted = _sessions.Count(static entry => !entry.IsAdmitted);
        _order.SessionClosed(now, session);
        Finish();
    }

    private bool IsSessionDrained(uint session)
    {
        if (Has(MirrorFaults.SkipDrainBarrier)) return true;
        foreach (var entry in _sessions)
        {
            if (entry.Number == session) return entry.IsDrained || TryDrained(entry);
        }

        return session == 0; // Sessions are numbered from 1; 0 is the node's own.
    }

    private bool TryDrained(ClientSession session)
    {
        if (_view is null || _order.Floor(session.Number) < session.OpenedNs) return false; // Unread on another connection.
        if (HasOlderWrites(session.BeforeOperation, session.OpenedNs, session.Number)) return false;
        // Its client may come from a node whose joining is committed and not enacted here: the members to wait for are those of a state
        // that is no older than the connection, which a grant that was asked for since then shows.
        if (_lease.SentNs < session.OpenedNs) return false;
        foreach (var member in _view.Members)
        {
            if (IsLivePeer(member) && !session.Has(member)) return false;
        }

        session.IsDrained = true;
        return true;
    }

    private void AskDrains(ClientSession session)
    {
        session.AskedNs = _now;
        if (_view is null || session.IsDrained) return;
        foreach (var member in _view.Members)
        {
            if (!IsLivePeer(member) || session.Has(member)) continue;
            Send(member, new PeerMessage(
                PeerMessageKind.DrainRequest, Number, _incarnation, member.Incarnation, Sequence: session.Sequence));
        }
    }

    /// <summary>A client's write that was here then, or in the kernel, on a connection that is older than <paramref name="session"/>.</summary>
    private bool HasOlderWrites(ulong before, long cameBeforeNs, uint session)
    {
        foreach (var operation in _operations.Values)
        {
            if (!operation.IsClientWrite) continue; // Any one; no order matters.
            if (operation.Id < before || (operation.FromNs < cameBeforeNs && operation.Session < session)) return true;
        }

        return false;
    }

    private void DrainRequested(string from, PeerMessage message)
    {
        foreach (var known in _drains)
        {
            if (known.Node == from && known.Incarnation == message.FromIncarnation && known.Sequence == message.Sequence) return;
        }

        _drains.Add(new Drain(from, message.FromIncarnation, message.Sequence, _nextOperation, _order.SampledNs));
        _reconsider = true;
    }

    /// <summary>Nobody asks a node that has not joined whether it is drained. A write that it was given until then may have been given
    /// up by its client since, written again elsewhere and acknowledged there: it is not carried out any more.</summary>
    private void DropFromBeforeJoining()
    {
        foreach (var operation in SortedOperations())
        {
            if (operation.State == OperationState.Waiting && operation.IsClientWrite) End(operation, IoStatus.Drop);
        }
    }

    private void StepDrains()
    {
        for (var i = _drains.Count - 1; i >= 0; i--)
        {
            var drain = _drains[i];
            if (_order.Floor(ofOthersThan: 0) < drain.AtNs) continue; // A dropped connection's bytes may be unread.
            if (HasOlderWrites(drain.BeforeOperation, drain.AtNs, uint.MaxValue)) continue;
            _drains.RemoveAt(i);
            Emit(new MirrorEffect(EffectKind.Send, Name: drain.Node, Payload: new PeerMessage(
                PeerMessageKind.DrainDone, Number, _incarnation, drain.Incarnation, Sequence: drain.Sequence)));
        }
    }

    private void DrainDone(string from, PeerMessage message)
    {
        foreach (var session in _sessions)
        {
            if (session.Sequence == message.Sequence) session.Done.Add((from, message.FromIncarnation));
        }

        _reconsider = true;
    }

    private void Send(MemberConfiguration to, PeerMessage message) =>
        Emit(new MirrorEffect(EffectKind.Send, Name: to.Node, Payload: message));

    private sealed class ClientSession
    {
        public required uint Number { get; init; }

        public required long OpenedNs { get; init; }

        public required ulong Sequence { get; init; }

        public required ulong BeforeOperation { get; init; }

        public long AskedNs { get; set; }

        public bool IsDrained { get; set; }

        /// <summary>Its client was told that it has the export.</summary>
        public bool IsAdmitted { get; set; }

        public List<(string Node, ulong Incarnation)> Done { get; } = [];

        public bool Has(MemberConfiguration member) => Done.Contains((member.Node, member.Incarnation));
    }

    private sealed record Drain(string Node, ulong Incarnation, ulong Sequence, ulong BeforeOperation, long AtNs);
}
