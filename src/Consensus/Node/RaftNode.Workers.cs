using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus;

/// <summary>Writing and flushing the log: the log thread, and on a follower whoever received a little.</summary>
public sealed partial class RaftNode
{
    private const int MaxWrittenByOthers = 4;
    private const int SlowFlushMs = 20;
    private const int FlushesAfterSlow = 64;

    /// <summary>Guards what is to be written, and who does it: one thread at a time.</summary>
    private readonly object _writesGate = new();
    private List<LogInput> _writes = [];
    private List<LogInput> _writesSpare = [];
    private bool _writesMore;
    private bool _isWriting;
    private int _slowFlushes; // Of whoever writes.
    private Task _maintaining = Task.CompletedTask;

    private void QueueWrite(LogInput input)
    {
        lock (_writesGate)
        {
            _writes.Add(input);
            if (input.CompactTo > 0 || input.Write is not { Entries.Length: <= MaxWrittenByOthers }) _writesMore = true;
        }
    }

    /// <summary>After the core was let go of: a follower writes and flushes a little on the thread that received it. A leader does not: its
    /// caller has other things to do, and the log thread flushes while the followers do.</summary>
    private void WriteHere()
    {
        List<LogInput> inputs;
        lock (_writesGate)
        {
            if (_isWriting || _writes.Count == 0 || _stopping.IsCancellationRequested) return;
            if (_writesMore || _view.Role != RaftRole.Follower || _slowFlushes > 0)
            {
                Monitor.PulseAll(_writesGate);
                return;
            }

            inputs = TakeWrites();
        }

        Write(inputs);
    }

    private void WakeLog()
    {
        lock (_writesGate)
        {
            if (_writes.Count > 0 && !_isWriting) Monitor.PulseAll(_writesGate);
        }
    }

    private void RunLog()
    {
        while (true)
        {
            List<LogInput> inputs;
            lock (_writesGate)
            {
                while (_isWriting || _writes.Count == 0)
                {
                    if (_stopping.IsCancellationRequested) return;
                    Monitor.Wait(_writesGate);
                }

                if (_stopping.IsCancellationRequested) return;
                inputs = TakeWrites();
            }

            Write(inputs);
        }
    }

    private List<LogInput> TakeWrites()
    {
        (_writes, _writesSpare) = (_writesSpare, _writes);
        _writesMore = false;
        _isWriting = true;
        return _writesSpare;
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
            var from = NowMs();
            _wal.Flush();
            _slowFlushes = NowMs() - from >= SlowFlushMs ? FlushesAfterSlow : Math.Max(0, _slowFlushes - 1);
        }

        if (compactTo > 0) _wal.Compact(compactTo);
        Maintain();

        // In the order of the writes: nobody else writes before it is in the queue.
        var hasCore = sequence > 0 && TryTake(new LoopInput.Written(sequence));
        lock (_writesGate)
        {
            _isWriting = false;
            if (_writes.Count > 0 || _stopping.IsCancellationRequested) Monitor.PulseAll(_writesGate);
        }

        if (hasCore) CarryOutHere();
    }

    /// <summary>Old segments go and the next one is prepared on another thread, so that no flush waits for it.</summary>
    private void Maintain()
    {
        if (!_maintaining.IsCompleted || !_wal.IsMaintenanceDue) return;
        _maintaining = Task.Run(() => Guard(_wal.Maintain));
    }
}
