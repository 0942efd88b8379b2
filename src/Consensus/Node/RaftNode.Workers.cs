using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus;

/// <summary>The log thread.</summary>
public sealed partial class RaftNode
{
    private readonly object _writesGate = new();
    private List<WriteBatch> _writes = [];
    private List<WriteBatch> _writesSpare = [];
    private ulong _compactTo;

    private void QueueWrite(WriteBatch write)
    {
        lock (_writesGate)
        {
            _writes.Add(write);
            Monitor.Pulse(_writesGate);
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
            var compactTo = Interlocked.Exchange(ref _compactTo, 0);
            if (compactTo > 0) _wal.Compact(compactTo);
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
}
