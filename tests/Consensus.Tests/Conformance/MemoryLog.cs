using System.Text;
using RaftMirror.Conformance;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Tests.Conformance;

/// <summary>One life of a node of a <see cref="MemoryCluster"/>. State under the cluster's gate.</summary>
internal sealed class MemoryLog(MemoryCluster cluster, NodeId self) : IReplicatedLog
{
    private readonly List<TaskCompletionSource> _sleepers = [];
    private int _applied;
    private LogPosition _position;
    private ReadOnlyMemory<byte> _result;
    private bool _isStopped;
    private ulong _knownEpoch;
    private NodeId? _knownLeader;

    public event Action<LogStatus>? StatusChanged;

    public NodeId Self { get; } = self;

    public LedgerMachine Machine { get; } = new();

    public LogStatus Status
    {
        get
        {
            lock (cluster.Gate)
            {
                if (Serves) (_knownEpoch, _knownLeader) = (cluster.Epoch, cluster.Leader);
                else if (_knownLeader == Self) _knownLeader = null;
                IReadOnlyList<MemberStatus> members =
                    [.. cluster.Members.Select(member => new MemberStatus(member.Key, member.Value.Address, member.Value.IsVoter, 0, true))];
                return new LogStatus(Self, _knownLeader == Self, _knownEpoch, _knownLeader, _position, _position, _position, members);
            }
        }
    }

    private bool Serves => !_isStopped && cluster.Serves(Self);

    public async ValueTask<CommitResult> ProposeAsync(ReadOnlyMemory<byte> command, ulong? expectedEpoch, CancellationToken cancellationToken)
    {
        var bytes = cluster.Bug == MemoryBug.KeepsTheBuffer ? command : command.ToArray();
        await Task.Yield();
        if (cluster.Bug == MemoryBug.KeepsTheBuffer) await Task.Delay(50, CancellationToken.None); // The caller goes on before it is looked at.
        using var limit = new CancellationTokenSource(cluster.RequestLimit);
        while (true)
        {
            Task changed;
            lock (cluster.Gate)
            {
                if (_isStopped && cluster.Bug != MemoryBug.ServesAfterStop) return Not(ProposalOutcome.NotCommitted, "this node is stopping");
                if (Serves || _isStopped || cluster.Bug == MemoryBug.CommitsAlone)
                {
                    if (expectedEpoch is { } epoch && epoch != cluster.Epoch && cluster.Bug != MemoryBug.IgnoresExpectedEpoch)
                        return Not(ProposalOutcome.NotCommitted, "the epoch is another");
                    return Commit(MemoryCluster.Text(bytes));
                }

                changed = Sleep();
            }

            if (await IsOverAsync(changed, limit.Token, cancellationToken)) return GiveUp(bytes, cancellationToken);
        }
    }

    public async ValueTask<LogPosition> ReadBarrierAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(cluster.RequestLimit);
        while (true)
        {
            Task changed;
            lock (cluster.Gate)
            {
                if (_isStopped) throw new NoLeaderException("This node is stopping.");
                if (Serves || cluster.Bug == MemoryBug.BarrierWithoutMajority)
                {
                    if (Serves && cluster.Bug != MemoryBug.StaleBarrier) CatchUp();
                    return _position;
                }

                changed = Sleep();
            }

            if (!await IsOverAsync(changed, limit.Token, cancellationToken)) continue;
            cancellationToken.ThrowIfCancellationRequested();
            throw new NoLeaderException("No majority.");
        }
    }

    public ValueTask<string?> TransferLeadershipAsync(NodeId? target, CancellationToken cancellationToken) => new(cluster.Transfer(target));

    public ValueTask<string?> ChangeMembersAsync(MembershipChange change, CancellationToken cancellationToken) => new(cluster.Change(change));

    public async ValueTask WaitAppliedAsync(LogPosition position, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task changed;
            lock (cluster.Gate)
            {
                if (_isStopped) throw new NoLeaderException("This node is stopping.");
                if (Serves) CatchUp();
                if (_position.CompareTo(position) >= 0) return;
                changed = Sleep();
            }

            await changed.WaitAsync(cancellationToken);
        }
    }

    public ValueTask DisposeAsync() => default;

    /// <summary>Whoever waits looks again. Under the gate.</summary>
    public void Wake()
    {
        foreach (var sleeper in _sleepers) sleeper.TrySetResult();
        _sleepers.Clear();
    }

    public void Tell() => StatusChanged?.Invoke(Status);

    public void Stop()
    {
        _isStopped = true;
        Wake();
    }

    /// <summary>The log has lost its end. Under the gate.</summary>
    public void Forget() => _applied = Math.Min(_applied, cluster.Log.Count);

    private static CommitResult Not(ProposalOutcome outcome, string reason) => new(outcome, default, default, reason);

    private CommitResult Commit(string command)
    {
        var position = cluster.Append(command);
        if (_isStopped || cluster.Bug == MemoryBug.AnswersBeforeApplying)
            return new CommitResult(ProposalOutcome.Committed, position, Encoding.UTF8.GetBytes("soon"), null);
        CatchUp();
        return new CommitResult(ProposalOutcome.Committed, position, _result, null);
    }

    private CommitResult GiveUp(ReadOnlyMemory<byte> command, CancellationToken cancellationToken)
    {
        var isCancelled = cancellationToken.IsCancellationRequested;
        var isAppended = cluster.Bug == MemoryBug.RefusedIsCommitted || (isCancelled && cluster.Bug == MemoryBug.CancelledIsNotCommitted);
        if (isAppended)
        {
            lock (cluster.Gate) cluster.Append(MemoryCluster.Text(command));
        }

        if (isCancelled && cluster.Bug == MemoryBug.CancellationThrows) throw new OperationCanceledException(cancellationToken);
        var isUnknown = isCancelled && cluster.Bug != MemoryBug.CancelledIsNotCommitted;
        return isUnknown ? Not(ProposalOutcome.Unknown, "the caller gave up waiting") : Not(ProposalOutcome.NotCommitted, "no majority");
    }

    private void CatchUp()
    {
        var entries = cluster.Log.Skip(_applied).ToArray();
        _applied = cluster.Log.Count;
        if (cluster.Bug == MemoryBug.AppliesOutOfOrder) Array.Reverse(entries);
        foreach (var entry in entries)
        {
            _result = Machine.Apply(entry.Position, entry.Epoch, Encoding.UTF8.GetBytes(entry.Command));
            _position = entry.Position;
        }
    }

    private Task Sleep()
    {
        var sleeper = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _sleepers.Add(sleeper);
        return sleeper.Task;
    }

    private static async Task<bool> IsOverAsync(Task changed, CancellationToken limit, CancellationToken caller)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit, caller);
        try
        {
            await changed.WaitAsync(both.Token);
            return false;
        }
        catch (OperationCanceledException)
        {
            return true;
        }
    }
}
