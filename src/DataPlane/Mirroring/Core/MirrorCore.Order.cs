using RaftMirror.DataPlane.Exports;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Given-up writes (design §14.25): what GivenUpWrites needs to hear of operations, members and messages, and whom it holds back.
internal sealed partial class MirrorCore
{
    private readonly GivenUpWrites _order;
    private readonly List<(string Node, ulong Incarnation)> _toAsk = [];

    /// <summary>The shell looked at the connections, before whatever comes after this input.</summary>
    public void Sampled(long now, IntakeSample sample)
    {
        _now = now;
        _order.Sampled(sample);
    }

    /// <summary>The client closed the connection: nobody will hear how its requests end. Those that are held back for the sake of order were
    /// given up and have touched nothing.</summary>
    public void SessionHungUp(long now, uint session)
    {
        _now = now;
        foreach (var operation in SortedOperations())
        {
            var isHeld = operation.State == OperationState.Waiting && IsOrdered(operation) && !operation.IsInOrder;
            if (isHeld && operation.Session == session) End(operation, IoStatus.Drop);
        }

        Finish();
    }

    private static bool IsOrdered(Operation operation) => operation.IsClientWrite && operation.Session != 0;

    private void NoteArrival(Operation operation, in MirrorRequest request)
    {
        var isTimed = request.ToNs != 0 && !Has(MirrorFaults.AgeFromRead);
        (operation.FromNs, operation.ToNs) = isTimed ? (request.FromNs, request.ToNs) : (_now, _now);
        if (IsOrdered(operation)) _order.Received(ArrivalOf(operation));
    }

    private static ArrivedWrite ArrivalOf(Operation operation) =>
        new(operation.Id, operation.Range, operation.Session, operation.FromNs, operation.ToNs);

    /// <summary>Asked until it is true once: what is older only becomes less.</summary>
    private bool IsInOrder(Operation operation)
    {
        if (operation.IsInOrder || !IsOrdered(operation)) return true;
        operation.IsInOrder = _order.MayBegin(ArrivalOf(operation));
        operation.OrderHold = _order.WaitsFor;
        if (!operation.IsInOrder) return ParkAndRefuse(operation);
        if (Has(MirrorFaults.UnlistedAtSubmit)) _order.Ended(_now, operation.Id);
        return true;
    }

    private void ApplyOrder(bool wasJoined)
    {
        var live = new List<(string Node, ulong Incarnation)>();
        foreach (var member in _view!.Members)
        {
            if (IsLivePeer(member)) live.Add((member.Node, member.Incarnation));
        }

        _order.MembersChanged(live, areOlder: !wasJoined);
    }

    /// <summary>Sends the questions that are due.</summary>
    private void AskForOlder()
    {
        if (_view is null || !_order.HasSessions) return;
        _toAsk.Clear();
        _order.TakeQuestions(_now, _toAsk);
        foreach (var (node, incarnation) in _toAsk)
        {
            Emit(new MirrorEffect(EffectKind.Send, Name: node, Payload: new PeerMessage(
                PeerMessageKind.OrderQuestion, Number, _incarnation, incarnation, (ulong)_order.StatedNs, (ulong)_now,
                Index: _order.States ? 1UL : 0)));
        }
    }

    private void OrderAsked(string from, PeerMessage message)
    {
        _order.Asked(from, message.FromIncarnation, (long)message.Epoch, message.Index == 1);
        var listed = _order.Answer(_now);
        var ranges = new Primitives.ByteRange[listed.Count];
        var ages = new long[listed.Count];
        for (var i = 0; i < listed.Count; i++) (ranges[i], ages[i]) = (listed[i].Range, listed[i].AgeNs);
        Emit(new MirrorEffect(EffectKind.Send, Name: from, Payload: new PeerMessage(
            PeerMessageKind.OrderAnswer, Number, _incarnation, message.FromIncarnation, (ulong)_order.StatedNs, message.Sequence,
            Index: _order.States ? 1UL : 0, Windows: ranges, Ages: ages)));
    }

    private void OrderAnswered(string from, PeerMessage message)
    {
        var askedNs = (long)message.Sequence;
        if (askedNs < 0 || askedNs > _now) return; // Nothing was asked then.
        var ranges = message.Windows ?? [];
        var listed = new ListedWrite[ranges.Count];
        for (var i = 0; i < listed.Length; i++) listed[i] = new ListedWrite(ranges[i], message.Ages![i]);
        _order.Answered(from, message.FromIncarnation, askedNs, (long)message.Epoch, message.Index == 1, listed);
    }
}
