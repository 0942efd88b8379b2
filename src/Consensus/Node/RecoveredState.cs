using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Node;

/// <summary>What a node starts from: its newest sound snapshot and the log that goes on from it.</summary>
/// <param name="HardState">Term, vote and commit hint.</param>
/// <param name="Base">The entry before the first one.</param>
/// <param name="Entries">The log.</param>
/// <param name="Snapshot">To restore the state machine from; null for none.</param>
internal sealed record RecoveredState(HardState HardState, EntryId Base, IReadOnlyList<LogEntry> Entries, SnapshotReader? Snapshot)
{
    /// <summary>Fits log and snapshot together. They do not fit if the node died while it installed a snapshot: the snapshot is durable first,
    /// then the log is reset to it. That is made good here.</summary>
    /// <param name="wal">Just opened; written to if it must be reset.</param>
    /// <param name="snapshots">Just opened.</param>
    /// <param name="damaged">Told of each snapshot that is passed over.</param>
    /// <exception cref="WalException">The log begins behind the snapshot: entries are missing, and with them state.</exception>
    public static RecoveredState Of(WriteAheadLog wal, SnapshotStore snapshots, Action<string> damaged)
    {
        var log = wal.Recovered;
        var newest = snapshots.OpenNewestVerified();
        foreach (var damage in newest.Damage) damaged(damage);
        var reader = newest.Snapshot;
        var covered = reader?.Meta.Last ?? default;
        if (covered.Index < log.Base.Index)
        {
            reader?.Dispose();
            throw new WalException(
                $"The log begins behind entry {log.Base.Index}, and the newest sound snapshot ends at {covered.Index}: the state between is gone. "
                + "Remove this node from the cluster and let it join anew.");
        }

        var last = log.Base.Index + (ulong)log.Entries.Count;
        var isContained = covered.Index <= last
            && (covered.Index == log.Base.Index ? log.Base.Term : log.Entries[(int)(covered.Index - log.Base.Index) - 1].Term) == covered.Term;
        if (isContained) return new RecoveredState(log.HardState, log.Base, log.Entries, reader);

        // The leader that sent it was of its last entry's term or a later one; a vote in that term was never given by a log this old.
        var hardState = log.HardState.Term >= covered.Term
            ? log.HardState with { Commit = covered.Index }
            : new HardState(covered.Term, default, covered.Index);
        wal.AppendAll(new WriteBatch(0, hardState, covered, [], IsReset: true));
        wal.FlushAll();
        return new RecoveredState(hardState, covered, [], reader);
    }
}
