using RaftMirror.Consensus.Messages;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Snapshots (Raft paper section 7). The shell takes, stores and moves them; the core says who needs one, which one counts, and how
/// much of the log may go.</summary>
internal sealed partial class RaftCore
{
    private SnapshotMeta? _snapshot;

    /// <summary>The newest snapshot known to be on this node's stable storage.</summary>
    public SnapshotMeta? Snapshot => _snapshot;

    /// <summary>A snapshot of applied state is on stable storage: the log before its predecessor may go, so that a follower which is a
    /// little behind needs no snapshot and the older one is still of use. <see cref="Ready.CompactTo"/> tells the log on disk.</summary>
    public void SnapshotTaken(SnapshotMeta snapshot)
    {
        Invariant.Require(snapshot.Last.Index <= _applied || snapshot.Last.Index <= _commit, "Snapshots are of what is applied.");
        if (_snapshot is { } older && older.Last.Index >= snapshot.Last.Index) return;
        var compactTo = Math.Max(_snapshot?.Last.Index ?? 0, _log.Base.Index);

        // More than the budget is not kept for anybody.
        if (_log.SizeBytes > _options.MaxRetainedBytes) compactTo = snapshot.Last.Index;
        _snapshot = snapshot;
        if (compactTo <= _log.Base.Index || compactTo > _log.LastIndex) return;
        _log.CompactTo(compactTo);
        ForgetConfigurationsBefore(compactTo);
        _ready.CompactTo = compactTo;
    }

    /// <summary>A snapshot offered by the leader is here, whole, checked and on stable storage.</summary>
    /// <returns>True if it takes the place of log and state: the state machine is to be restored from it before anything that a later
    /// Ready hands out (<see cref="Ready.Installed"/> says so too). False if this node has gone beyond it meanwhile.</returns>
    public bool InstallSnapshot(SnapshotMeta snapshot)
    {
        var last = snapshot.Last;
        if (last.Index <= _commit && !Mutants.OlderSnapshotAccepted) return false;
        if (last.Index < _log.Base.Index) return false;
        if (_log.Contains(last) && last.Index > _commit && !Mutants.OlderSnapshotAccepted)
        {
            // The entries are all here, so they are applied in order. What the log has beyond them may be committed elsewhere, on our word.
            AdvanceFollowerCommit(last.Index);
            return false;
        }

        Invariant.Require(_role != RaftRole.Leader, "A leader has everything that is committed.");
        _log.Reset(last);
        _lives?.Lineage.Clear();
        _configurations.Clear();
        _configurations.Add((last.Index, Mutants.MembershipFromReplacedLog ? _configuration : snapshot.Configuration));
        Enforce();
        _snapshot = snapshot;
        _commit = Math.Max(_commit, last.Index);
        _handedOut = last.Index;
        _durableIndex = 0;
        _writeNext = last.Index + 1;
        _resetDirty = true;
        foreach (var write in _writes) write.LastIndex = 0;
        _ready.Installed = snapshot;
        if (_leader is { } leader)
        {
            var reply = new Message { Kind = MessageKind.AppendReply, From = Self, To = leader, Term = _term };
            Acknowledge(reply, last.Index);
        }

        return true;
    }

    private void HandleInstallSnapshot(in Message message)
    {
        HearLeader(message);
        if (IsInConflict(message)) return;
        var reply = Reply(message, MessageKind.AppendReply);
        if (message.Log.Index <= _commit && !Mutants.OlderSnapshotAccepted)
        {
            Acknowledge(reply, _commit);
            return;
        }

        if (_log.Contains(message.Log) && !Mutants.OlderSnapshotAccepted)
        {
            AdvanceFollowerCommit(message.Log.Index);
            Acknowledge(reply, message.Log.Index);
            return;
        }

        _ready.Offer = new OfferedSnapshot(message.From, message.Log, (long)message.Round, (uint)message.Hint.Index);
    }

    /// <summary>Offers the newest snapshot to a follower whose next entry is gone (raft rule 13). It fetches it on another connection; what is
    /// offered is offered again until something moves.</summary>
    private void OfferSnapshot(int slot)
    {
        var progress = _progress[slot];
        if (Mutants.NoSnapshotWhenPurged || (_snapshot is null && _log.Base.Index == 0)) return;
        Invariant.Require(_snapshot is not null, "What is gone from the log is covered by a snapshot.");
        progress.BecomeSnapshot(_snapshot!.Last.Index, _now);
        var message = new Message
        {
            Kind = MessageKind.InstallSnapshot,
            From = Self,
            To = _configuration.Members[slot],
            Term = _term,
            Log = _snapshot.Last,
            Commit = _commit,
            Round = (ulong)_snapshot.LengthBytes,
            Hint = new EntryId(0, _snapshot.Crc),
        };
        Send(message, releaseAfter: 0);
    }
}
