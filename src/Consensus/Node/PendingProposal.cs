using System.Threading.Tasks.Sources;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Node;

/// <summary>Where a proposal of this node stands. Changed by whoever has the core.</summary>
internal enum ProposalStage
{
    /// <summary>In no log: no leader is known, or the last one refused it.</summary>
    Waiting,

    /// <summary>On its way to another node: may or may not be in a log.</summary>
    Forwarding,

    /// <summary>In a leader's log at a known place.</summary>
    Appended,
}

/// <summary>A proposal made on this node that has no outcome yet. It is what its proposer awaits.</summary>
internal sealed class PendingProposal(ulong sequence, ReadOnlyMemory<byte> command, ulong? expectedEpoch, long deadlineMs)
    : IValueTaskSource<CommitResult>
{
    // The proposer goes on elsewhere: whoever finishes it may have the core.
    private ManualResetValueTaskSourceCore<CommitResult> _source = new() { RunContinuationsAsynchronously = true };
    private int _isFinished;

    public ulong Sequence { get; } = sequence;

    public ReadOnlyMemory<byte> Command { get; } = command;

    public ulong? ExpectedEpoch { get; } = expectedEpoch;

    public long DeadlineMs { get; } = deadlineMs;

    public ProposalStage Stage { get; set; }

    public EntryId Place { get; set; }

    /// <summary>To be awaited once.</summary>
    public ValueTask<CommitResult> Outcome => new(this, _source.Version);

    /// <summary>The first outcome counts. Any thread.</summary>
    public void Finish(in CommitResult result)
    {
        if (Interlocked.Exchange(ref _isFinished, 1) == 0) _source.SetResult(result);
    }

    public void Finish(ProposalOutcome outcome, string reason) => Finish(new CommitResult(outcome, default, default, reason));

    CommitResult IValueTaskSource<CommitResult>.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<CommitResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<CommitResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}
