using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus;

/// <summary>The log thread.</summary>
public sealed partial class RaftNode
{
    private readonly object _writesGate = new();
    private List<LogInput> _writes = [];
    private List<LogInput> _writesSpare = [];
    private Task _maintaining = Task.CompletedTask;

    private void QueueWrite(LogInput input)
    {
        lock (_writesGate)
        {
            _writes.Add(input);
            if (_writes.Count == 1) Monitor.Pulse(_writesGate);
        }
    }

    /// <summary>Group commit without a timer: everything that came during the last flush is written and flushed together.</summary>
    private void RunLog()
    {
        while (Take(_writesGate, ref _writes, ref _writesSpare) is { } inputs)
        {
            ulong sequence = 0, compactTo = 0;
            foreach (var (write, compact) in inputs)
            {
                compactTo = Math.Max(compactTo, compact);
                if (write is null) continue;
                _wal.Append(write);
                sequence = write.Sequence;
            }

            inputs.Clear();
            if (sequence > 0)
            {
                _wal.Flush();
                Post(new LoopInput.Written(sequence));
            }

            if (compactTo > 0) _wal.Compact(compactTo);
            Maintain();
        }
    }

    /// <summary>Old segments go and the next one is prepared on another thread, so that no flush waits for it.</summary>
    private void Maintain()
    {
        if (!_maintaining.IsCompleted || !_wal.IsMaintenanceDue) return;
        _maintaining = Task.Run(() => Guard(_wal.Maintain));
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
}
