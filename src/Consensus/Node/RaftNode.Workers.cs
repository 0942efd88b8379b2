using RaftMirror.Consensus.Core;

namespace RaftMirror.Consensus.Node;

/// <summary>The log thread: nobody else waits for the disk.</summary>
public sealed partial class RaftNode
{
    /// <summary>How often a log that could not grow tries again.</summary>
    private const int RoomRetryMs = 200;

    private readonly object _writesGate = new();
    private List<LogInput> _writes = [];
    private List<LogInput> _writesSpare = [];
    private ulong _compactTo;
    private string? _loggedShortage;
    private Task _maintaining = Task.CompletedTask;

    /// <summary>Why the log cannot grow beyond its present segment, of which at most half is left; null if it can. Commands of users should then be
    /// refused: what is left is for those that keep the cluster running. Any thread.</summary>
    public string? LogShortage => _wal.Shortage;

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
                    if (!Monitor.Wait(_writesGate, IsRoomWanted ? RoomRetryMs : Timeout.Infinite)) break; // No event tells of room.
                }

                if (_stopping.IsCancellationRequested) return;
                (_writes, _writesSpare) = (_writesSpare, _writes);
                inputs = _writesSpare;
            }

            if (!Write(inputs)) return;
        }
    }

    /// <summary>Something is to be done that failed for want of space, though nothing may be written for long.</summary>
    private bool IsRoomWanted => _wal.Shortage is not null || _compactTo > 0;

    /// <summary>Group commit without a timer: everything that came during the last flush is written and flushed together.</summary>
    /// <returns>False if the node stops.</returns>
    private bool Write(List<LogInput> inputs)
    {
        ulong sequence = 0;
        foreach (var (write, compact) in inputs)
        {
            _compactTo = Math.Max(_compactTo, compact);
            if (write is null) continue;
            if (!_wal.Append(write))
            {
                // What went in before is not held up by what does not.
                if (!Flush(sequence) || !WaitForRoomFor(write)) return false;
            }

            sequence = write.Sequence;
        }

        inputs.Clear();
        if (!Flush(sequence)) return false;
        Compact();
        Maintain();
        return true;
    }

    /// <returns>False if the node stops.</returns>
    private bool Flush(ulong sequence)
    {
        if (sequence == 0) return true;
        lock (_inboxGate) _isFlushing = true;
        if (!_wal.Flush() && !WaitForRoom(_wal.Flush)) return false;

        // What is committed by it is applied elsewhere: this thread is for the disk, and a slow state machine is no slow disk.
        if (TryTake(new LoopInput.Written(sequence))) CarryOutAndPassOn();
        return true;
    }

    private bool WaitForRoomFor(WriteBatch write) => WaitForRoom(() => _wal.Append(write));

    /// <summary>Nothing was promised about what does not fit, so the node lives on without it, as with a disk that hangs: it acknowledges nothing, and
    /// gives leadership up. A snapshot that others do not hinder may make room, and so may whoever frees space.</summary>
    /// <returns>False if the node stops.</returns>
    private bool WaitForRoom(Func<bool> again)
    {
        LogRoom();
        while (true)
        {
            lock (_writesGate)
            {
                if (!_stopping.IsCancellationRequested) Monitor.Wait(_writesGate, RoomRetryMs);
                if (_stopping.IsCancellationRequested) return false;
                for (var i = 0; i < _writes.Count; i++)
                {
                    _compactTo = Math.Max(_compactTo, _writes[i].CompactTo);
                    _writes[i] = _writes[i] with { CompactTo = 0 };
                }
            }

            _maintaining.Wait();
            Compact();
            if (again()) break;
        }

        LogRoom();
        return true;
    }

    private void Compact()
    {
        if (_compactTo > 0 && _wal.Compact(_compactTo)) _compactTo = 0;
    }

    /// <summary>Old segments go and the next one is prepared on another thread, so that no flush waits for it.</summary>
    private void Maintain()
    {
        LogRoom();
        if (!_maintaining.IsCompleted || !_wal.IsMaintenanceDue) return;
        _maintaining = Task.Run(() => Guard(_wal.Maintain));
    }

    /// <summary>Said once when it begins, and once when it is over.</summary>
    private void LogRoom()
    {
        var shortage = _wal.Shortage;
        if ((shortage is null) == (_loggedShortage is null)) return;
        _loggedShortage = shortage;
        if (shortage is not null) NodeLogMessages.LogCannotGrow(_logger, Self, shortage);
        else NodeLogMessages.LogGrowsAgain(_logger, Self);
    }
}
