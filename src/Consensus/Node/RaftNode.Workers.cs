using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus;

/// <summary>The log thread: nobody else waits for the disk.</summary>
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

    private void RunLog()
    {
        while (true)
        {
            List<LogInput> inputs;
            lock (_writesGate)
            {
                while (_writes.Count == 0)
                {
                    if (_stopping.IsCancellationRequested) return;
                    Monitor.Wait(_writesGate);
                }

                if (_stopping.IsCancellationRequested) return;
                (_writes, _writesSpare) = (_writesSpare, _writes);
                inputs = _writesSpare;
            }

            Write(inputs);
        }
    }

    /// <summary>Group commit without a timer: everything that came during the last flush is written and flushed together.</summary>
    private void Write(List<LogInput> inputs)
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
            lock (_inboxGate) _isFlushing = true;
            _wal.Flush();

            // What is committed by it is applied elsewhere: this thread is for the disk, and a slow state machine is no slow disk.
            if (TryTake(new LoopInput.Written(sequence))) CarryOutAndPassOn();
        }

        if (compactTo > 0) _wal.Compact(compactTo);
        Maintain();
    }

    /// <summary>Old segments go and the next one is prepared on another thread, so that no flush waits for it.</summary>
    private void Maintain()
    {
        if (!_maintaining.IsCompleted || !_wal.IsMaintenanceDue) return;
        _maintaining = Task.Run(() => Guard(_wal.Maintain));
    }
}
