using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// Proposals. Each carries its proposer's number, and the proposer learns the outcome when its own node applies, wherever it was
/// appended: committed when its entry is applied here, not committed when another entry is applied at the place that the
/// leader gave it (an entry is appended once, so it can stand nowhere else), or an entry of a later term anywhere before it (terms never fall
/// along a log, so no log can hold both; Raft, section 5.3). Sent but never answered is Unknown, and so is a place that a
/// snapshot covers: nobody here looked at its entry.
/// </summary>
public sealed partial class RaftNode
{
    private const string LeaderChanged = "the leader changed before it was committed";

    /// <summary>Appended proposals by place; those that have an outcome stay until their place is applied. By whoever has the core.</summary>
    private readonly PriorityQueue<ulong, ulong> _appended = new();
    private ulong _restoredTo;

    /// <summary>What is reported as applied, not what is: whoever applies finishes a proposal before it reports.</summary>
    private EntryId _reported;

    /// <inheritdoc/>
    public ValueTask<CommitResult> ProposeAsync(ReadOnlyMemory<byte> command, ulong? expectedEpoch, CancellationToken cancellationToken)
    {
        if (command.Length is 0 or > MaxCommandBytes) throw new ArgumentException("A command has 1 byte to 1 MiB.", nameof(command));
        if (cancellationToken.IsCancellationRequested)
            return new(new CommitResult(ProposalOutcome.NotCommitted, default, default, "cancelled before it was proposed"));
        var sequence = (ulong)Interlocked.Increment(ref _proposalSequence);
        var deadlineMs = NowMs() + (long)_options.RequestTimeout.TotalMilliseconds;

        // The log keeps the bytes; the caller may reuse its buffer after this call.
        var proposal = new PendingProposal(sequence, command.ToArray(), expectedEpoch, deadlineMs);
        _proposals[sequence] = proposal;
        if (_stopping.IsCancellationRequested && _proposals.TryRemove(sequence, out _))
            return new(new CommitResult(ProposalOutcome.NotCommitted, default, default, "this node is stopping"));
        Post(new LoopInput.ProposeLocal(proposal));
        return cancellationToken.CanBeCanceled ? AwaitAsync(proposal, cancellationToken) : proposal.Outcome;
    }

    private async ValueTask<CommitResult> AwaitAsync(PendingProposal proposal, CancellationToken cancellationToken)
    {
        await using var registration = cancellationToken.Register(() =>
        {
            if (_proposals.TryRemove(proposal.Sequence, out _)) proposal.Finish(ProposalOutcome.Unknown, "the caller gave up waiting");
        });
        return await proposal.Outcome;
    }

    /// <summary>Brings a waiting proposal on its way, if there is one. By whoever has the core.</summary>
    private void Advance(PendingProposal proposal)
    {
        // The sweep may have come before its own input: once appended or on its way, it is not taken again.
        if (proposal.Stage != ProposalStage.Waiting || !_proposals.ContainsKey(proposal.Sequence)) return;
        if (Quarantine is not null)
        {
            Refuse(proposal.Sequence, "this node is quarantined: it applies nothing");
            return;
        }

        if (_core.Role == RaftRole.Leader)
        {
            var refusal = _core.Propose([(IdOf(proposal), proposal.Command)], proposal.ExpectedEpoch, out var place);
            Settle(proposal, refusal, place);
        }
        else if (_core.Leader is { } leader)
        {
            proposal.Stage = ProposalStage.Forwarding;
            _ = ForwardProposalAsync(leader, proposal);
        }
    }

    private ProposalId IdOf(PendingProposal proposal) => new(Self.Value, Incarnation, proposal.Sequence);

    private void Settle(PendingProposal proposal, ProposalRefusal refusal, EntryId place)
    {
        switch (refusal)
        {
            case ProposalRefusal.None:
                proposal.Stage = ProposalStage.Appended;
                proposal.Place = place;
                _appended.Enqueue(proposal.Sequence, place.Index);
                FinishOvertaken();
                FinishOfEarlierTerm(proposal);
                break;
            case ProposalRefusal.EpochChanged:
                Refuse(proposal.Sequence, "the epoch is another");
                break;
            case ProposalRefusal.TooMuchPending:
                Refuse(proposal.Sequence, "too much is uncommitted");
                break;
            default:
                proposal.Stage = ProposalStage.Waiting; // It is in no log: try again with whoever leads next.
                break;
        }
    }

    private void Refuse(ulong sequence, string reason)
    {
        if (_proposals.TryRemove(sequence, out var proposal)) proposal.Finish(ProposalOutcome.NotCommitted, reason);
    }

    private void HandleForwarded(LoopInput.Forwarded forwarded)
    {
        if (forwarded.Refusal is { } refusal) Settle(forwarded.Proposal, refusal, forwarded.Place);
        else if (_proposals.TryRemove(forwarded.Proposal.Sequence, out var proposal))
            proposal.Finish(ProposalOutcome.Unknown, "the connection to the leader broke");
    }

    private void HandleApplied(EntryId last)
    {
        var isNewTerm = last.Term > _reported.Term;
        _reported = last;
        FinishOvertaken();
        if (!isNewTerm) return;
        foreach (var (sequence, _) in _appended.UnorderedItems)
        {
            if (_proposals.TryGetValue(sequence, out var proposal)) FinishOfEarlierTerm(proposal);
        }
    }

    /// <summary>Proposals whose place is applied were finished by whoever applied it, who does so before it reports the
    /// index; one that is still here lost its place to another entry.</summary>
    private void FinishOvertaken()
    {
        while (_appended.TryPeek(out var sequence, out var place) && place <= _reported.Index)
        {
            _appended.Dequeue();
            if (place <= _restoredTo && _proposals.TryRemove(sequence, out var proposal))
                proposal.Finish(ProposalOutcome.Unknown, "a snapshot took the place of its entry");
            else Refuse(sequence, LeaderChanged);
        }
    }

    /// <summary>A place beyond what is applied that an earlier leader gave: nobody may ever come as far, so the proposal ends now.</summary>
    private void FinishOfEarlierTerm(PendingProposal proposal)
    {
        if (proposal.Place.Index > _reported.Index && proposal.Place.Term < _reported.Term) Refuse(proposal.Sequence, LeaderChanged);
    }

    /// <summary>Retries waiting proposals and ends those whose time is up.</summary>
    private void Sweep()
    {
        var now = NowMs();
        if (now < _sweepDue) return;
        _sweepDue = _proposals.IsEmpty ? long.MaxValue : now + RetryMs;
        foreach (var (sequence, proposal) in _proposals)
        {
            if (now >= proposal.DeadlineMs)
            {
                if (!_proposals.TryRemove(sequence, out _)) continue;
                if (proposal.Stage == ProposalStage.Waiting) proposal.Finish(ProposalOutcome.NotCommitted, "no leader");
                else proposal.Finish(ProposalOutcome.Unknown, "no answer in time");
            }
            else if (proposal.Stage == ProposalStage.Waiting)
            {
                Advance(proposal);
            }
        }
    }
}
