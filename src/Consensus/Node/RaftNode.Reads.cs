using System.Buffers.Binary;
using System.Text;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Node;

/// <summary>Read barriers, waiting for application, transfers, status.</summary>
public sealed partial class RaftNode
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(RetryMs);

    /// <inheritdoc/>
    public LogStatus Status
    {
        get
        {
            // Applied is read first: with a later view it can only make this node look less ready than it is.
            var applied = Volatile.Read(ref _applied);
            var view = _view;
            var isReady = view.Role == RaftRole.Leader && applied >= view.FirstOwnIndex;
            var committed = Math.Max(view.Commit, applied);
            return new LogStatus(
                Self, isReady, view.Term, view.Leader, new LogPosition(committed), new LogPosition(applied),
                new LogPosition(Math.Max(view.Last, applied)), view.Members);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<LogPosition> ReadBarrierAsync(CancellationToken cancellationToken)
    {
        using var limit = RequestLimit(cancellationToken);
        var reason = "no leader is known";
        var mayUseLease = true;
        try
        {
            while (true)
            {
                var changed = _changed.Task;
                var leader = _view.Leader;
                if (leader is not null)
                {
                    var (read, error) = await ReadIndexFromAsync(leader.Value, mayUseLease, limit.Token);
                    if (read.Refusal == ProposalRefusal.None)
                    {
                        await WaitAppliedAsync(new LogPosition(read.Index), limit.Token);
                        if (!HasLapsed(read)) return new LogPosition(read.Index);
                        mayUseLease = false;
                        continue;
                    }

                    reason = error ?? $"node {leader} could not confirm it ({read.Refusal})";
                }

                // A read has no effect, so it is simply asked again: of the next leader, or of this one after a pause.
                if (leader is null) await changed.WaitAsync(limit.Token);
                else await Task.WhenAny(changed, Task.Delay(RetryInterval, limit.Token));
                limit.Token.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new NoLeaderException($"No read barrier within {_options.RequestTimeout.TotalSeconds:0.#} s: {reason}.");
        }
    }

    /// <inheritdoc/>
    public async ValueTask<string?> TransferLeadershipAsync(NodeId? target, CancellationToken cancellationToken)
    {
        if (_view.Role == RaftRole.Leader) return await TransferLocallyAsync(target, cancellationToken);
        if (_view.Leader is not { } leader) return "no leader is known";
        var request = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(request, target?.Value ?? 0);
        try
        {
            var answer = await _transport.CallAsync(leader, TransferMethod, request, cancellationToken);
            return answer.Length == 0 ? null : Encoding.UTF8.GetString(answer.Span);
        }
        catch (Exception error) when (error is NotSentException or PeerUnreachableException)
        {
            return error.Message;
        }
    }

    /// <inheritdoc/>
    public async ValueTask WaitAppliedAsync(LogPosition position, CancellationToken cancellationToken)
    {
        TaskCompletionSource waiter;
        lock (_waitersGate)
        {
            if (_applied >= position.Value) return;
            if (_stopping.IsCancellationRequested) throw new NoLeaderException("This node is stopping.");
            waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(waiter, position.Value);
        }

        await waiter.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Was this read answered from a lease that is over by now? Then others may have committed since; a majority must be asked (raft rule 9).</summary>
    private static bool HasLapsed(in ReadState read) => read.Refusal == ProposalRefusal.None && NowMs() >= read.ValidUntilMs;

    private async ValueTask<(ReadState Read, string? Error)> ReadIndexFromAsync(
        NodeId leader, bool mayUseLease, CancellationToken cancellationToken)
    {
        if (leader == Self) return (await LocalReadIndexAsync(mayUseLease, cancellationToken), null);

        try
        {
            // A leader that is alive answers within a few rounds; one that is not must not cost the caller all its time.
            using var attempt = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            attempt.CancelAfter(_options.ElectionTimeoutMaxMs * 2);
            var answer = await _transport.CallAsync(leader, ReadMethod, ReadOnlyMemory<byte>.Empty, attempt.Token);
            return (new ReadState(0, BinaryPrimitives.ReadUInt64LittleEndian(answer.Span[1..]), (ProposalRefusal)answer.Span[0]), null);
        }
        catch (Exception error) when (error is NotSentException or PeerUnreachableException)
        {
            return (new ReadState(0, 0, ProposalRefusal.NotLeader), error.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (new ReadState(0, 0, ProposalRefusal.NotLeader), $"node {leader} did not answer");
        }
    }

    private async ValueTask<ReadState> LocalReadIndexAsync(bool mayUseLease, CancellationToken cancellationToken)
    {
        var answer = new TaskCompletionSource<ReadState>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(new LoopInput.ReadIndex(answer, mayUseLease));
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        return await answer.Task.WaitAsync(both.Token);
    }

    private async ValueTask<string?> TransferLocallyAsync(NodeId? target, CancellationToken cancellationToken)
    {
        if (target == Self && _view.Role == RaftRole.Leader) return null;
        var answer = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var term = _view.Term;
        Post(new LoopInput.Transfer(target, answer));
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        limit.CancelAfter(_options.ElectionTimeoutMaxMs * 2);
        try
        {
            var error = await answer.Task.WaitAsync(limit.Token);
            if (error is not null) return error;
            while (true)
            {
                var changed = _changed.Task;
                var view = _view;
                if (view.Term > term && view.Leader is { } leader && leader != Self)
                    return target is null || leader == target ? null : $"node {leader} became leader instead";
                await changed.WaitAsync(limit.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return _stopping.IsCancellationRequested ? "this node is stopping" : "the target did not take over in time; this node goes on";
        }
    }
}
