namespace RaftMirror.Consensus.Core;

/// <summary>
/// ReadIndex (thesis 6.4). A read joins the next round; a round is a heartbeat broadcast, numbered when it is sent and echoed
/// by number; echoes of a majority of each voter set for round r confirm every read that joined before r was sent (rule 8).
/// Tokens are the caller's and never travel. Every read is answered once: confirmed, or refused when leadership ends.
/// </summary>
internal sealed partial class RaftCore
{
    private readonly Queue<PendingRead> _reads = new();
    private readonly List<ulong> _earlyReads = [];
    private ulong _roundSent;
    private ulong _roundConfirmed;

    /// <summary>Asks for a linearizable read index.</summary>
    /// <param name="token">The caller's number, given back in <see cref="Ready.Reads"/>.</param>
    public void Read(ulong token)
    {
        if (_role != RaftRole.Leader)
        {
            _ready.Reads.Add(new ReadState(token, 0, Refusal.NotLeader));
            return;
        }

        if (_reads.Count + _earlyReads.Count >= _options.MaxPendingReads)
        {
            _ready.Reads.Add(new ReadState(token, 0, Refusal.TooMuchPending));
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
        _scratch[_selfSlot] = _roundSent;
        var reached = Quorum.Reached(_configuration, _scratch);
        var isNews = reached > _roundConfirmed;
        if (isNews) _roundConfirmed = reached;
        AnswerReads(Mutants.ReadRoundIgnored && isNews ? ulong.MaxValue : _roundConfirmed);
    }

    private void AnswerReads(ulong confirmedRound)
    {
        while (_reads.TryPeek(out var read) && read.Round <= confirmedRound)
        {
            _reads.Dequeue();
            _ready.Reads.Add(new ReadState(read.Token, read.Index, Refusal.None));
        }
    }

    private void ResetReads()
    {
        _roundSent = 0;
        _roundConfirmed = 0;
    }

    private void RefuseReads()
    {
        foreach (var read in _reads) _ready.Reads.Add(new ReadState(read.Token, 0, Refusal.NotLeader));
        foreach (var token in _earlyReads) _ready.Reads.Add(new ReadState(token, 0, Refusal.NotLeader));
        _reads.Clear();
        _earlyReads.Clear();
    }

    private readonly record struct PendingRead(ulong Token, ulong Index, ulong Round);
}
