using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// ReadIndex (thesis 6.4). A read joins the next round; a round is a heartbeat broadcast, numbered when it is sent and echoed
/// by number; echoes of a majority of each voter set for round r confirm every read that joined before r was sent (raft rule 8).
/// Tokens are the caller's and never travel. Every read is answered once: confirmed, or refused when leadership ends.
/// </summary>
internal sealed partial class RaftCore
{
    /// <summary>In a heartbeat that only tells the commit index.</summary>
    private const ulong NoRound = 0;

    private readonly Queue<PendingRead> _reads = new();
    private readonly List<ulong> _earlyReads = [];
    private ulong _roundSent;
    private ulong _roundConfirmed;
    private readonly Queue<(ulong Round, long SentMs)> _roundSentMs = new();
    private long _leaseUntil;

    /// <summary>Until when a majority cannot have elected anybody else, by this node's clock; 0 if leases are off or none is held.</summary>
    public long LeaseUntilMs =>
        _role == RaftRole.Leader && _options.LeaseReads && ((_transferTarget is null && !_timeoutNowSent) || Mutants.ReadDuringTransfer)
            ? _leaseUntil
            : 0;

    /// <summary>Reads that were taken and not answered yet.</summary>
    public int PendingReads => _reads.Count + _earlyReads.Count;

    /// <summary>Asks for a linearizable read index.</summary>
    /// <param name="token">The caller's number, given back in <see cref="Ready.Reads"/>.</param>
    /// <param name="mayUseLease">False: a round confirms it, although a lease is held.</param>
    public void Read(ulong token, bool mayUseLease = true)
    {
        if (_role != RaftRole.Leader)
        {
            _ready.Reads.Add(new ReadState(token, 0, ProposalRefusal.NotLeader));
            return;
        }

        if (_reads.Count + _earlyReads.Count >= _options.MaxPendingReads)
        {
            _ready.Reads.Add(new ReadState(token, 0, ProposalRefusal.TooMuchPending));
            return;
        }

        if (mayUseLease && _now < LeaseUntilMs && HasCommittedOwnTerm)
        {
            _ready.Reads.Add(new ReadState(token, _commit, ProposalRefusal.None, Mutants.LeaseNotRechecked ? long.MaxValue : _leaseUntil));
            return;
        }

        // Before its first own commit a leader does not know what its predecessors committed.
        if (!HasCommittedOwnTerm && !Mutants.ReadBeforeOwnCommit) _earlyReads.Add(token);
        else Join(token);
        AnswerReads(Mutants.ReadWithoutRound ? ulong.MaxValue : _roundConfirmed);
    }

    private void Join(ulong token) => _reads.Enqueue(new PendingRead(token, _commit, _roundSent + 1));

    private void AdmitEarlyReads()
    {
        foreach (var token in _earlyReads) Join(token);
        _earlyReads.Clear();
    }

    /// <summary>Sends the next round if a read waits for it and none is under way: reads that come meanwhile share the one after.
    /// A round whose echoes are lost is overtaken by the next heartbeat.</summary>
    private void FlushReads()
    {
        if (_reads.Count == 0 || _roundConfirmed < _roundSent) return;
        BroadcastHeartbeat();
    }

    private void ConfirmReads()
    {
        for (var slot = 0; slot < _progress.Length; slot++) _scratch[slot] = _progress[slot].RoundAcked;
        if (_selfSlot >= 0) _scratch[_selfSlot] = _roundSent;
        var reached = Mutants.ReadQuorumOffByOne ? ReachedByOneLess(_scratch) : Quorum.Reached(_configuration, _scratch);
        var isNews = reached > _roundConfirmed;
        if (isNews)
        {
            _roundConfirmed = reached;
            ExtendLease();
        }

        AnswerReads(Mutants.ReadRoundIgnored && isNews ? ulong.MaxValue : _roundConfirmed);
    }

    /// <summary>A majority heard the newest confirmed round not before it was sent, and refuses votes for the shortest election timeout from
    /// then on. The clock of a follower may run faster than ours (raft rule 9).</summary>
    private void ExtendLease()
    {
        var sentMs = _now;
        while (_roundSentMs.TryPeek(out var first) && first.Round <= _roundConfirmed)
        {
            sentMs = first.SentMs;
            _roundSentMs.Dequeue();
        }

        if (Mutants.LeaseFromReceive) sentMs = _now;
        var length = _options.ElectionTimeoutMinMs * (1000 - (2 * _options.ClockDriftPermille)) / 1000;
        _leaseUntil = Math.Max(_leaseUntil, sentMs + length);
    }

    /// <summary>The bug of async-raft d60f1e85: one voter fewer than a majority is taken for one.</summary>
    private ulong ReachedByOneLess(ulong[] bySlot)
    {
        ulong[] values = [.. _configuration.Voters.Select(voter => bySlot[_configuration.SlotOf(voter)])];
        Array.Sort(values);
        return values[Math.Min(((values.Length + 1) / 2), values.Length - 1)];
    }

    private void AnswerReads(ulong confirmedRound)
    {
        while (_reads.TryPeek(out var read) && read.Round <= confirmedRound)
        {
            _reads.Dequeue();
            _ready.Reads.Add(new ReadState(read.Token, read.Index, ProposalRefusal.None));
        }
    }

    private void ResetReads()
    {
        _roundSent = 0;
        _roundConfirmed = 0;
        _roundSentMs.Clear();
        _leaseUntil = 0;
    }

    private void RefuseReads()
    {
        if (Mutants.ReadsDropped)
        {
            _reads.Clear();
            _earlyReads.Clear();
            return;
        }

        foreach (var read in _reads) _ready.Reads.Add(new ReadState(read.Token, 0, ProposalRefusal.NotLeader));
        foreach (var token in _earlyReads) _ready.Reads.Add(new ReadState(token, 0, ProposalRefusal.NotLeader));
        _reads.Clear();
        _earlyReads.Clear();
    }

    private readonly record struct PendingRead(ulong Token, ulong Index, ulong Round);
}
