using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus;

/// <summary>The loop thread: inputs in, effects out; it waits for inputs and deadlines only.</summary>
public sealed partial class RaftNode
{
    private const int MaxInboxMessages = 16384;
    private const int RetryMs = 20;

    private readonly object _inboxGate = new();
    private readonly OutboundGate _gate = new();
    private readonly List<Message> _released = [];
    private readonly Dictionary<ulong, TaskCompletionSource<(Refusal, ulong)>> _reads = [];
    private List<LoopInput> _inbox = [];
    private List<LoopInput> _inboxSpare = [];
    private ulong _readToken;
    private long _sweepDue = long.MaxValue;
    private long _viewDue;
    private volatile CoreView _view;
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Deliver(in Message message, Transport.InboundBudget budget, int bytes)
    {
        lock (_inboxGate)
        {
            if (_inbox.Count >= MaxInboxMessages)
            {
                if (_inbox.Count == MaxInboxMessages) Node.Log.InboxFull(_logger, _inbox.Count);
                budget.Return(bytes);
                return; // Raft repeats what matters.
            }
        }

        Post(new LoopInput.Received(message, budget, bytes));
    }

    private void Post(LoopInput input)
    {
        lock (_inboxGate)
        {
            _inbox.Add(input);
            if (_inbox.Count == 1) Monitor.Pulse(_inboxGate);
        }
    }

    private void RunLoop()
    {
        while (TakeInputs() is { } inputs)
        {
            _core.AdvanceClock(NowMs());
            foreach (var input in inputs) Handle(input);
            inputs.Clear();
            _core.Tick(NowMs());
            Sweep();
            CarryOut(_core.TakeReady());
        }
    }

    private List<LoopInput>? TakeInputs()
    {
        lock (_inboxGate)
        {
            while (_inbox.Count == 0)
            {
                if (_stopping.IsCancellationRequested) return null;
                var waitMs = Math.Min(_core.NextDeadlineMs, _sweepDue) - NowMs();
                if (waitMs <= 0) break;
                Monitor.Wait(_inboxGate, (int)Math.Min(waitMs, 1000));
            }

            if (_stopping.IsCancellationRequested) return null;
            (_inbox, _inboxSpare) = (_inboxSpare, _inbox);
            return _inboxSpare;
        }
    }

    private void Handle(LoopInput input)
    {
        switch (input)
        {
            case LoopInput.Received received:
                _core.Step(received.Message);
                received.Budget.Return(received.Bytes);
                break;
            case LoopInput.Written written:
                _core.WriteDone(written.Sequence);
                _gate.WriteDone(written.Sequence, _released);
                break;
            case LoopInput.Applied applied:
                _core.Applied(applied.Index);
                FinishOvertaken(applied.Index);
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
                _core.Read(_readToken);
                break;
            case LoopInput.ChangeMembers change:
                BeginChange(change);
                break;
            case LoopInput.SnapshotTaken taken:
                _core.SnapshotTaken(taken.Snapshot);
                break;
            case LoopInput.SnapshotReceived received:
                _core.InstallSnapshot(received.Snapshot);
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
            case LoopInput.PeerLost lost:
                _core.PeerLost(lost.Peer);
                break;
            case LoopInput.Transfer transfer:
                transfer.Answer.TrySetResult(_core.TransferLeadership(transfer.Target));
                break;
        }
    }

    private void CarryOut(Ready ready)
    {
        foreach (var outbound in ready.Messages) _gate.Add(outbound, _released);
        _transport.Send(_released);
        _released.Clear();
        var compactTo = ready.Installed?.Last.Index ?? ready.CompactTo;
        if (ready.Write is not null || compactTo > 0) QueueWrite(new LogInput(ready.Write, compactTo));
        foreach (var read in ready.Reads)
        {
            if (_reads.Remove(read.Token, out var answer)) answer.TrySetResult((read.Refusal, read.Index));
        }

        if (ready.Offer is { } offer && Quarantine is null) Fetch(offer);
        if (ready.MembersChanged)
        {
            Node.Log.MembersChanged(_logger, Self, _core.Configuration.ToString(), _core.ConfigurationIndex);
        }

        ConnectMembers();

        FinishChanges();
        RefreshView(ready);
        if (ready.StateChanged)
        {
            Node.Log.RoleChanged(_logger, Self, _core.Role.ToString(), _core.Term, _core.Leader?.ToString() ?? "none");
            if (!_proposals.IsEmpty) _sweepDue = NowMs();
            var changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            changed.TrySetResult();
        }

        if (ready.Committed.Count > 0 || ready.StateChanged || ready.MembersChanged || ready.Installed is not null)
            QueueApply(new ApplyInput(ready.Installed, [.. ready.Committed]));
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
