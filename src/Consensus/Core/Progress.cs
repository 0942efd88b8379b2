using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>How the leader sends to one follower.</summary>
internal enum ProgressState
{
    /// <summary>Where the logs agree is unknown: one append at a time.</summary>
    Probe,

    /// <summary>They agree up to match: appends are pipelined.</summary>
    Replicate,

    /// <summary>What it needs next is gone from our log: it was offered a snapshot, and gets no appends until it has it.</summary>
    Snapshot,
}

/// <summary>What a leader knows of one member (etcd's tracker.Progress). Lives for one leadership.</summary>
internal sealed partial class Progress
{
    private readonly Queue<(ulong LastIndex, int Bytes)> _inflight = new();
    private readonly int _maxMessages;
    private readonly int _maxBytes;
    private long _inflightBytes;

    public Progress(ulong next, int maxMessages, int maxBytes, long nowMs)
    {
        Next = next;
        _maxMessages = maxMessages;
        _maxBytes = maxBytes;
        LastHeardMs = nowMs;
        LastProgressMs = nowMs;
    }

    public ProgressState State { get; private set; } = ProgressState.Probe;

    /// <summary>Highest index known to be durable there and equal to ours. Never falls.</summary>
    public ulong Match { get; private set; }

    /// <summary>First index of the next append.</summary>
    public ulong Next { get; private set; }

    /// <summary>In Probe: an append is out; no other until it is answered or a heartbeat comes back.</summary>
    public bool ProbeSent { get; set; }

    /// <summary>Commit index that was last sent there.</summary>
    public ulong CommitSent { get; set; }

    /// <summary>Highest heartbeat round echoed.</summary>
    public ulong RoundAcked { get; set; }

    public long LastHeardMs { get; set; }

    /// <summary>When Match last grew, or the pipeline last started from empty.</summary>
    public long LastProgressMs { get; private set; }

    public bool IsFull => _inflight.Count >= _maxMessages || (_inflight.Count > 0 && _inflightBytes >= _maxBytes);

    public int InflightMessages => _inflight.Count;

    public long InflightBytes => _inflightBytes;

    public bool HasInflight => _inflight.Count > 0;

    /// <summary>Appends that are not answered yet.</summary>
    public int Inflight => _inflight.Count;

    public void Sent(ulong lastIndex, int bytes, long nowMs)
    {
        if (_inflight.Count == 0) LastProgressMs = nowMs;
        _inflight.Enqueue((lastIndex, bytes));
        _inflightBytes += bytes;
        Next = lastIndex + 1;
    }

    /// <summary>Counts an acknowledgement in.</summary>
    /// <returns>True if Match grew.</returns>
    public bool Acknowledge(ulong match, long nowMs)
    {
        while (_inflight.TryPeek(out var first) && first.LastIndex <= match) FreeFirst();
        if ((State == ProgressState.Probe && match >= Match) || (State == ProgressState.Snapshot && match >= SnapshotIndex))
        {
            State = ProgressState.Replicate;
            ProbeSent = false;
            Next = Math.Max(match, Match) + 1;
        }

        if (match <= Match) return false;
        Match = match;
        Next = Math.Max(Next, match + 1);
        LastProgressMs = nowMs;
        return true;
    }

    /// <summary>In Snapshot: the index that was offered.</summary>
    public ulong SnapshotIndex { get; private set; }

    /// <summary>A snapshot up to <paramref name="index"/> was offered.</summary>
    public void BecomeSnapshot(ulong index, long nowMs)
    {
        State = ProgressState.Snapshot;
        SnapshotIndex = index;
        ProbeSent = false;
        LastProgressMs = nowMs;
        _inflight.Clear();
        _inflightBytes = 0;
    }

    public void FreeFirst() => _inflightBytes -= _inflight.Dequeue().Bytes;

    /// <summary>Starts over from where the logs are known to agree: something that was sent is lost or refused.</summary>
    public void BecomeProbe(ulong next, long nowMs)
    {
        Invariant.Require(next > Match || Mutants.StaleRefusalRewinds, "What is known to match is not sent again.");
        State = ProgressState.Probe;
        Next = next;
        ProbeSent = false;
        LastProgressMs = nowMs;
        _inflight.Clear();
        _inflightBytes = 0;
    }
}
