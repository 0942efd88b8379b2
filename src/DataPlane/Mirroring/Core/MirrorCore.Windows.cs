using RaftMirror.DataPlane.Configuration;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

// Windows (design §14.12), both sides, and the messages between cores.
internal sealed partial class MirrorCore
{
    private readonly List<WindowOwner> _formerWindows = [];
    private readonly List<RemoteWindows> _remoteWindows = [];
    private readonly List<(string Node, ulong Incarnation)> _queriers = [];
    private WindowOwner? _windows;
    private (string? Node, ulong Incarnation) _windowsKnownOf;
    private long _windowsSentNs = long.MinValue;
    private long _queriedNs = long.MinValue;

    /// <summary>A message came from the core of this volume on another node.</summary>
    public void PeerMessageReceived(long now, string from, PeerMessage message)
    {
        _now = now;
        if (message.ToIncarnation != _incarnation || from == _self || IsDeaf) return; // Said to a former life.
        switch (message.Kind)
        {
            case PeerMessageKind.DrainRequest:
                DrainRequested(from, message);
                break;
            case PeerMessageKind.DrainDone:
                DrainDone(from, message);
                break;
            case PeerMessageKind.WindowAnnounce:
                WindowAnnounced(from, message);
                break;
            case PeerMessageKind.WindowAck:
                WindowConfirmed(from, message);
                break;
            case PeerMessageKind.WindowQuery:
                WindowQueried(from, message);
                break;
            case PeerMessageKind.RepairRequest:
                RepairRequested(from, message);
                break;
            case PeerMessageKind.RepairDone:
                RepairDone(from, message);
                break;
            case PeerMessageKind.OrderQuestion:
                OrderAsked(from, message);
                break;
            case PeerMessageKind.OrderAnswer:
                OrderAnswered(from, message);
                break;
        }

        _reconsider = true;
        Finish();
    }

    private bool NeedsWindows => Volume.Writers == WriterMode.All;

    private void BeginWindows()
    {
        _queriers.Clear();
        if (!NeedsWindows) return;
        _windows = new WindowOwner(_roleEpoch);
        Announce(_windows);
    }

    private void EndWindows()
    {
        if (_windows is null) return;
        _formerWindows.Add(_windows); // Its open windows close when their copies have ended.
        if (_formerWindows.Count > 16) _formerWindows.RemoveAll(static windows => windows.OpenCount == 0);
        _windows = null;
    }

    private void Announce(WindowOwner windows)
    {
        _windowsSentNs = _now;
        var open = windows.OpenRanges();
        foreach (var member in _view!.Members)
        {
            if (!IsLivePeer(member) || windows.HasConfirmed(member.Node, member.Incarnation, windows.Sequence)) continue;
            SendAnnouncement(windows, member.Node, member.Incarnation, open);
        }

        foreach (var (node, incarnation) in _queriers)
        {
            if (FindMember(node) is { } member && member.Incarnation == incarnation && IsLivePeer(member)) continue;
            if (IsProvenGone(node, incarnation) || windows.HasConfirmed(node, incarnation, windows.Sequence)) continue;
            SendAnnouncement(windows, node, incarnation, open);
        }
    }

    private void SendAnnouncement(WindowOwner windows, string node, ulong incarnation, ByteRange[] open) =>
        Emit(new MirrorEffect(EffectKind.Send, Name: node, Payload: new PeerMessage(
            PeerMessageKind.WindowAnnounce, Number, _incarnation, incarnation, windows.Epoch, windows.Sequence, _legsIndex, Windows: open)));

    /// <summary>True once every node that may write has installed the window. One that does not answer is fenced out by the
    /// control plane, never ignored here.</summary>
    private bool IsWindowInstalled(WindowOwner windows, ulong sequence)
    {
        if (Has(MirrorFaults.IgnoreWindows)) return true;
        foreach (var member in _view!.Members)
        {
            if (IsLivePeer(member) && !windows.HasConfirmed(member.Node, member.Incarnation, sequence)) return false;
        }

        foreach (var (node, incarnation) in _queriers)
        {
            if (!IsProvenGone(node, incarnation) && !windows.HasConfirmed(node, incarnation, sequence)) return false;
        }

        return true;
    }

    private bool IsProvenGone(string node, ulong incarnation)
    {
        var member = FindMember(node);
        if (member is null || member.Incarnation < incarnation) return false; // The committed state here is older than its message.
        return member.Incarnation > incarnation || member.State is MemberPhase.Fenced or MemberPhase.Down || !member.IsJoined;
    }

    private void WindowConfirmed(string from, PeerMessage message)
    {
        if (_windows is not null && _windows.Epoch == message.Epoch)
        {
            _windows.Confirmed(from, message.FromIncarnation, message.Sequence);
        }

        foreach (var windows in _formerWindows)
        {
            if (windows.Epoch == message.Epoch) windows.Confirmed(from, message.FromIncarnation, message.Sequence);
        }
    }

    private void WindowQueried(string from, PeerMessage message)
    {
        if (_view is null || _windows is null || _windows.Epoch != message.Epoch) return; // It asks again.
        // It may be newer than the committed state here knows: from now on its word is needed as well.
        var member = FindMember(from);
        var isKnown = member is not null && member.Incarnation == message.FromIncarnation && IsLivePeer(member);
        if (!isKnown && !_queriers.Contains((from, message.FromIncarnation))) _queriers.Add((from, message.FromIncarnation));
        SendAnnouncement(_windows, from, message.FromIncarnation, _windows.OpenRanges());
    }

    private void WindowAnnounced(string from, PeerMessage message)
    {
        RemoteWindows? known = null;
        foreach (var entry in _remoteWindows)
        {
            if (entry.Owner == from && entry.Incarnation == message.FromIncarnation && entry.Epoch == message.Epoch) known = entry;
        }

        var open = message.Windows ?? [];
        if (known is null)
        {
            // An epoch that ended opens nothing; the end of its windows may be confirmed.
            var isOld = _view is not null && message.Epoch < Volume.Owner.Epoch && Volume.Owner.TransferTo is null;
            if (isOld && open.Count > 0) return;
            known = new RemoteWindows(from, message.FromIncarnation, message.Epoch);
            _remoteWindows.Add(known);
        }

        known.Install(message.Sequence, message.Index, open);
        NoteKnownWindows();
    }

    private void ApplyWindows()
    {
        var owner = Volume.Owner;
        if (_windowsKnownOf != (owner.Node, owner.Incarnation)) _windowsKnownOf = default;
        _remoteWindows.RemoveAll(entry => HasEnded(entry));
        NoteKnownWindows();
        if (_windows is not null) Announce(_windows);
        _formerWindows.RemoveAll(windows => windows.OpenCount == 0 && IsWindowInstalled(windows, windows.Sequence));
    }

    /// <summary>Windows end by their owner's word, by proof that it is gone, or by a successor, who is granted only after one
    /// of the two; never by a newer epoch alone.</summary>
    private bool HasEnded(RemoteWindows entry)
    {
        if (IsProvenGone(entry.Owner, entry.Incarnation)) return true;
        var owner = Volume.Owner;
        if (entry.Epoch >= owner.Epoch || owner.TransferTo is not null || entry.IsConfirmationDue) return false;
        return entry.Open.Count == 0 || (owner.Node is not null && owner.Node != entry.Owner);
    }

    private void NoteKnownWindows()
    {
        if (_view is null) return;
        var owner = Volume.Owner;
        foreach (var entry in _remoteWindows)
        {
            if (entry.Owner == owner.Node && entry.Incarnation == owner.Incarnation && entry.Epoch == owner.Epoch)
            {
                _windowsKnownOf = (owner.Node, owner.Incarnation);
            }
        }
    }

    /// <summary>A node that does not know the windows of a running resync writes nothing before it asked.</summary>
    private bool HasWindows => !NeedsWindows || Volume.Resync is null || Volume.Owner.Node is null || Volume.Owner.Node == _self
        || _windowsKnownOf == (Volume.Owner.Node, Volume.Owner.Incarnation);

    private bool AreWindowsKnown()
    {
        if (HasWindows) return true;
        var owner = Volume.Owner;
        if (_queriedNs != long.MinValue && _now - _queriedNs < _options.RepeatNs) return false;
        _queriedNs = _now;
        Emit(new MirrorEffect(EffectKind.Send, Name: owner.Node!, Payload: new PeerMessage(
            PeerMessageKind.WindowQuery, Number, _incarnation, owner.Incarnation, owner.Epoch)));
        return false;
    }

    private bool IsUnderRemoteWindow(ByteRange range)
    {
        foreach (var entry in _remoteWindows)
        {
            if (entry.Blocks(range)) return true;
        }

        return false;
    }

    private void StepWindowConfirmations()
    {
        foreach (var entry in _remoteWindows)
        {
            if (!entry.IsConfirmationDue || _view is null || _view.Index < entry.RequiredIndex || !IsQuiet(entry)) continue;
            entry.ConfirmedSequence = entry.Sequence;
            Emit(new MirrorEffect(EffectKind.Send, Name: entry.Owner, Payload: new PeerMessage(
                PeerMessageKind.WindowAck, Number, _incarnation, entry.Incarnation, entry.Epoch, entry.Sequence)));
        }
    }

    private bool IsQuiet(RemoteWindows entry)
    {
        foreach (var operation in _locks)
        {
            if (operation.IsClientWrite && operation.HasPhysicalIo && entry.Blocks(operation.Range)) return false;
        }

        foreach (var operation in _locks)
        {
            // The copy may put another leg's bytes over what it wrote: it must be written again before it is acknowledged.
            if (operation.State == OperationState.AwaitingLeg && entry.Blocks(operation.Range)) operation.WasUnderWindow = true;
        }

        return true;
    }

    private void RepeatMessages()
    {
        foreach (var session in _sessions)
        {
            if (!session.IsDrained && _now - session.AskedNs >= _options.RepeatNs) AskDrains(session);
        }

        if (_now - _windowsSentNs < _options.RepeatNs) return;
        if (_windows is not null) Announce(_windows);
        foreach (var windows in _formerWindows) Announce(windows);
        _formerWindows.RemoveAll(windows => windows.OpenCount == 0 && IsWindowInstalled(windows, windows.Sequence));
    }
}
