using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>What the core's holder does: inputs in, effects out. It never blocks.</summary>
public sealed partial class RaftNode
{
    private const int RetryMs = 20;

    private readonly OutboundGate _gate = new();
    private readonly List<Message> _released = [];
    private readonly InputTrace _trace = new();
    private readonly Dictionary<ulong, TaskCompletionSource<ReadState>> _reads = [];
    private ulong _readToken;
    private bool _hasUnsent;
    private long _sweepDue = long.MaxValue;
    private long _viewDue;
    private (RaftRole Role, ulong Term, NodeId? Leader)? _loggedRole;
    private volatile CoreView _view;
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Handle(List<LoopInput> inputs)
    {
        _core.AdvanceClock(NowMs());
        _core.IsLogShort = _wal.Shortage is not null;
        foreach (var input in inputs)
        {
            Handle(input);
            _trace.Add(NowMs(), input, _core);
        }

        _core.Tick(NowMs());
        Sweep();
        CarryOut(_core.TakeReady());
    }

    private void Handle(LoopInput input)
    {
        switch (input)
        {
            case LoopInput.Received received:
                _core.Step(received.Message);
                received.Budget.Return(received.Bytes);
                Interlocked.Decrement(ref _inboxMessages);
                break;
            case LoopInput.Written written:
                _core.WriteDone(written.Sequence);
                _gate.WriteDone(written.Sequence, _released);
                break;
            case LoopInput.Applied applied:
                _core.Applied(applied.Last.Index);
                HandleApplied(applied.Last);
                break;
            case LoopInput.ProposeLocal local:
                _sweepDue = Math.Min(_sweepDue, NowMs() + RetryMs);
                Advance(local.Proposal);
                break;
            case LoopInput.ProposeForPeer peer:
                peer.Answer.TrySetResult((_core.Propose([(peer.Id, peer.Command)], peer.ExpectedEpoch, out var place), place));
                break;
            case LoopInput.Forwarded forwarded:
                HandleForwarded(forwarded);
                break;
            case LoopInput.ReadIndex read:
                _reads.Add(++_readToken, read.Answer);
                _core.Read(_readToken, read.MayUseLease);
                break;
            case LoopInput.ChangeMembers change:
                BeginChange(change);
                break;
            case LoopInput.SnapshotTaken taken:
                _core.SnapshotTaken(taken.Snapshot);
                break;
            case LoopInput.SnapshotReceived received:
                if (!_core.InstallSnapshot(received.Snapshot)) _snapshots.Unpin(received.Snapshot.Last);
                break;
            case LoopInput.Digest digest:
                _core.ReportDigest(digest.Index, digest.Value);
                break;
            case LoopInput.ReadLog view:
                ViewLog(view);
                break;
            case LoopInput.Bar:
                _core.Bar();
                break;
            case LoopInput.Avoid avoid:
                _core.Avoid(avoid.Members);
                break;
            case LoopInput.DisksSaid said:
                _core.DisksSaid(said.Testimonies);
                if (said.AreAllAsked) _core.DisksWereAsked();
                break;
            case LoopInput.FoundOld found:
                _core.FoundOld(found.Known, found.By);
                break;
            case LoopInput.AskStand ask:
                ask.Answer.TrySetResult(Stand());
                break;
            case LoopInput.AskSeed ask:
                BeginSeed(ask);
                break;
            case LoopInput.PeerLost lost:
                _core.PeerLost(lost.Peer);
                break;
            case LoopInput.PeerConnected connected:
                _core.PeerConnected(connected.Peer, connected.IsConnected);
                break;
            case LoopInput.Transfer transfer:
                transfer.Answer.TrySetResult(_core.TransferLeadership(transfer.Target));
                break;
        }
    }

    private void CarryOut(Ready ready)
    {
        foreach (var outbound in ready.Messages) _gate.Add(outbound, _released);
        _transport.Add(_released);
        if (_released.Exists(IsAwaited)) _transport.Flush();
        else if (_released.Count > 0) Volatile.Write(ref _hasUnsent, true);
        _released.Clear();
        var compactTo = ready.Installed?.Last.Index ?? ready.CompactTo;
        if (ready.Write is not null || compactTo > 0) QueueWrite(new LogInput(ready.Write, compactTo));
        foreach (var read in ready.Reads)
        {
            if (_reads.Remove(read.Token, out var answer)) answer.TrySetResult(read);
        }

        if (ready.Installed is { } installed) _restoredTo = installed.Last.Index;
        if (ready.Offer is { } offer && Quarantine is null) Fetch(offer);
        if (ready.MembersChanged)
        {
            NodeLogMessages.MembersChanged(_logger, Self, _core.Configuration.ToString(), _core.ConfigurationIndex);
        }

        ConnectMembers();

        FinishChanges();
        if (_seedMarks.Count > 0) FinishSeeds();
        if (ready.LivesChanged) PublishLives();
        RefreshView(ready);
        if (ready.StateChanged)
        {
            LogRole();
            if (!_proposals.IsEmpty) _sweepDue = NowMs();
            var changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            changed.TrySetResult();
        }

        var isNews = ready.StateChanged || ready.MembersChanged || ready.Installed is not null || ready.Committed.Exists(IsNoCommand);
        if (isNews || ready.Committed.Count > 0) QueueApply(new ApplyInput(ready.Installed, [.. ready.Committed], isNews));

        static bool IsAwaited(Message message) => message is not { Kind: MessageKind.Heartbeat, Round: 0 };
        static bool IsNoCommand(LogEntry entry) => entry.Type != EntryType.Command;
    }

    /// <summary>Said once: a node that nobody votes for tries again and again.</summary>
    private void LogRole()
    {
        var role = (_core.Role, _core.Term, _core.Leader);
        if (role == _loggedRole) return;
        _loggedRole = role;
        NodeLogMessages.RoleChanged(_logger, Self, role.Role.ToString(), role.Term, role.Leader?.ToString() ?? "none");
    }

    /// <summary>Who the members are and how far they have come is told anew when roles or members change, else once per heartbeat.</summary>
    private void RefreshView(Ready ready)
    {
        var isNews = ready.StateChanged || ready.MembersChanged || ready.Installed is not null;
        if (isNews || _view.IsChanging || NowMs() >= _viewDue) _view = MakeView();
        else if (ready.Committed.Count > 0 || ready.Write is not null) _view = _view with { Commit = _core.Commit, Last = _core.Log.LastIndex };
    }

    private CoreView MakeView()
    {
        _viewDue = NowMs() + _options.HeartbeatMs;
        _livesForDisks = _core.LivesForDisks() ?? _livesForDisks;
        PublishMissing();
        PublishStartWait();
        var members = new MemberStatus[_core.Configuration.Members.Length];
        for (var slot = 0; slot < members.Length; slot++)
        {
            var member = _core.Configuration.Details[slot];
            var isVoter = _core.Configuration.IsVoter(member.Id);
            ulong match = 0;
            var isActive = member.Id == Self;
            if (member.Id == Self) match = _core.DurableIndex;
            else if (_core.ProgressOf(member.Id) is { } progress)
            {
                match = progress.Match;
                isActive = NowMs() - progress.LastHeardMs <= _options.ElectionTimeoutMaxMs && progress.RoundAcked > 0;
            }

            members[slot] = new MemberStatus(member.Id, member.Address, isVoter, match, isActive, member.Name, member.Priority);
        }

        var isChanging = _core.Configuration.IsJoint || _core.ConfigurationIndex > _core.Commit;
        return new CoreView(
            _core.Role, _core.Term, _core.Leader, _core.Commit, _core.Log.LastIndex, _core.FirstOwnIndex, members, isChanging);
    }
}
