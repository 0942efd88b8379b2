using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus;

/// <summary>The log thread and the apply thread.</summary>
public sealed partial class RaftNode
{
    private readonly object _writesGate = new();
    private readonly object _applyGate = new();
    private readonly object _waitersGate = new();
    private readonly PriorityQueue<TaskCompletionSource, ulong> _waiters = new();
    private List<WriteBatch> _writes = [];
    private List<WriteBatch> _writesSpare = [];
    private List<LogEntry[]> _applies = [];
    private List<LogEntry[]> _appliesSpare = [];
    private ulong _applied;
    private LogStatus? _announced;

    private void QueueWrite(WriteBatch write)
    {
        lock (_writesGate)
        {
            _writes.Add(write);
            Monitor.Pulse(_writesGate);
        }
    }

    private void QueueApply(LogEntry[] entries)
    {
        lock (_applyGate)
        {
            _applies.Add(entries);
            Monitor.Pulse(_applyGate);
        }
    }

    /// <summary>Group commit without a timer: everything that came during the last flush is written and flushed together.</summary>
    private void RunLog()
    {
        while (Take(_writesGate, ref _writes, ref _writesSpare) is { } writes)
        {
            foreach (var write in writes) _wal.Append(write);
            _wal.Flush();
            Post(new LoopInput.Written(writes[^1].Sequence));
            writes.Clear();
        }
    }

    private void RunApply()
    {
        while (Take(_applyGate, ref _applies, ref _appliesSpare) is { } batches)
        {
            foreach (var entries in batches) Apply(entries);
            batches.Clear();
            Announce();
        }
    }

    private List<T>? Take<T>(object gate, ref List<T> queue, ref List<T> spare)
    {
        lock (gate)
        {
            while (queue.Count == 0)
            {
                if (_stopping.IsCancellationRequested) return null;
                Monitor.Wait(gate);
            }

            if (_stopping.IsCancellationRequested) return null;
            (queue, spare) = (spare, queue);
            return spare;
        }
    }

    private void Apply(LogEntry[] entries)
    {
        if (entries.Length == 0) return;
        foreach (var entry in entries)
        {
            ReadOnlyMemory<byte> result = default;
            var position = new LogPosition(entry.Index);
            if (entry.Type == EntryType.Command) result = _stateMachine.Apply(position, entry.Term, entry.Payload.Span);

            // Applied is visible before the proposer is told, so that it never finds itself behind its own command.
            lock (_waitersGate)
            {
                Volatile.Write(ref _applied, entry.Index);
                while (_waiters.TryPeek(out var waiter, out var index) && index <= entry.Index)
                {
                    _waiters.Dequeue();
                    waiter.TrySetResult();
                }
            }

            var isOwn = entry.Proposal.Node == Self.Value && entry.Proposal.Incarnation == Incarnation;
            if (isOwn && _proposals.TryRemove(entry.Proposal.Sequence, out var proposal))
                proposal.Outcome.TrySetResult(new CommitResult(ProposalOutcome.Committed, position, result, null));
        }

        Post(new LoopInput.Applied(entries[^1].Index));
    }

    /// <summary>Tells subscribers of changes of leadership, epoch or members; on this thread only, so in order.</summary>
    private void Announce()
    {
        var status = Status;
        if (_announced is { } last && last.IsLeader == status.IsLeader && last.Epoch == status.Epoch && last.Leader == status.Leader) return;
        _announced = status;
        StatusChanged?.Invoke(status);
    }
}
