using RaftMirror.Consensus.Messages;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// Who has the core. Inputs wait in one queue. Whoever posts one while nobody has the core takes it and carries out what waits: a message is
/// handled on the thread that received it, the end of a flush on the thread that flushed, and none of them is handed to another
/// thread first. A holder goes through the queue once; if more has come meanwhile, the loop thread takes over, and batches grow. The loop
/// thread also takes the core when a deadline has come.
/// </summary>
public sealed partial class RaftNode
{
    private const int MaxInboxMessages = 16384;

    /// <summary>Proposals wait for a flush to share the next one only when so many are under way, so few wait, and they are small.</summary>
    private const int MinShared = 4;
    private const int MaxShared = 1024;
    private const int MaxSharedBytes = 4096;

    /// <summary>Guards all of these. Pulsed for the loop thread, and for whoever waits until nobody has the core any more.</summary>
    private readonly object _inboxGate = new();
    private List<LoopInput> _inbox = [];
    private List<LoopInput> _inboxSpare = [];
    private int _inboxMessages;
    private bool _isHeld = true; // Until the threads start.
    private volatile bool _isOver;
    private bool _isFlushing;
    private int _outstanding;
    private long _deadlineMs;
    private long _loopWakesAtMs;

    private void Deliver(in Message message, Transport.InboundBudget budget, int bytes)
    {
        if (Interlocked.Increment(ref _inboxMessages) <= MaxInboxMessages)
        {
            Post(new LoopInput.Received(message, budget, bytes));
            return;
        }

        Interlocked.Decrement(ref _inboxMessages);
        NodeLogMessages.InboxFull(_logger, MaxInboxMessages);
        budget.Return(bytes); // Raft repeats what matters.
    }

    /// <summary>Takes an input in, and carries it out if nobody else is about to. Any thread, also one that has the core.</summary>
    private void Post(LoopInput input)
    {
        if (TryTake(input)) CarryOutHere();
    }

    /// <summary>Takes an input in.</summary>
    /// <returns>True if this thread has the core now, and must go on with <see cref="CarryOutHere"/> or <see cref="CarryOutAndPassOn"/>.</returns>
    private bool TryTake(LoopInput input)
    {
        lock (_inboxGate)
        {
            _inbox.Add(input);
            if (input is LoopInput.Written) _isFlushing = false;
            if (_isHeld || _isOver) return false;

            // The end of the flush under way takes it along, so that one append and one flush carry all that come meanwhile.
            if (_isFlushing && _outstanding >= MinShared && _inbox.Count <= MaxShared && MayShare(input)) return false;
            _isHeld = true;
            return true;
        }
    }

    private static bool MayShare(LoopInput input) => input switch
    {
        LoopInput.ProposeLocal local => local.Proposal.Command.Length <= MaxSharedBytes,
        LoopInput.ProposeForPeer peer => peer.Command.Length <= MaxSharedBytes,
        _ => false,
    };

    private void CarryOutHere()
    {
        try
        {
            Hold();
            ApplyHere();
            if (Volatile.Read(ref _hasUnsent)) ThreadPool.UnsafeQueueUserWorkItem(static node => node.SendRest(), this, preferLocal: false);
        }
#pragma warning disable CA1031 // Every failure stops the node, loudly, on whatever thread.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Fail(error);
        }
    }

    private void RunLoop()
    {
        while (WaitForWork()) CarryOutAndPassOn();
    }

    /// <summary>For the engine's own threads, which have other things to do than to apply.</summary>
    private void CarryOutAndPassOn()
    {
        Hold();
        WakeApply();
        SendRest();
    }

    /// <summary>What nobody waits for leaves after those who wait have been answered, and with whatever else leaves first.</summary>
    private void SendRest()
    {
        if (!Volatile.Read(ref _hasUnsent)) return;
        Volatile.Write(ref _hasUnsent, false);
        _transport.Flush();
    }

    /// <summary>Waits until there is something to do that nobody does, and takes the core.</summary>
    /// <returns>False if the node stops.</returns>
    private bool WaitForWork()
    {
        lock (_inboxGate)
        {
            while (!_stopping.IsCancellationRequested && !_isOver)
            {
                _loopWakesAtMs = long.MaxValue;
                if (!_isHeld)
                {
                    var waitMs = _inbox.Count > 0 ? 0 : _deadlineMs - NowMs();
                    if (waitMs <= 0)
                    {
                        _isHeld = true;
                        return true;
                    }

                    _loopWakesAtMs = _deadlineMs;
                    Monitor.Wait(_inboxGate, (int)Math.Min(waitMs, 1000));
                }
                else
                {
                    Monitor.Wait(_inboxGate);
                }
            }

            return false;
        }
    }

    /// <summary>Carries out what waits, and lets go of the core; what came meanwhile is for the loop thread, unless somebody comes first.</summary>
    private void Hold()
    {
        List<LoopInput> inputs;
        lock (_inboxGate)
        {
            (_inbox, _inboxSpare) = (_inboxSpare, _inbox);
            inputs = _inboxSpare;
        }

        try
        {
            if (!_stopping.IsCancellationRequested) Handle(inputs);
        }
        catch
        {
            lock (_inboxGate)
            {
                _isOver = true; // Nobody takes it again: what it is worth now is unknown.
                _isHeld = false;
                Monitor.PulseAll(_inboxGate);
            }

            throw;
        }

        inputs.Clear();
        lock (_inboxGate)
        {
            _isHeld = false;
            _outstanding = _appended.Count;
            _deadlineMs = Math.Min(_core.NextDeadlineMs, _sweepDue);
            if (_stopping.IsCancellationRequested || _inbox.Count > 0 || _deadlineMs < _loopWakesAtMs) Monitor.PulseAll(_inboxGate);
        }
    }

    private void OpenInputs()
    {
        lock (_inboxGate) _isHeld = false;
    }

    /// <summary>Waits until nobody has the core or applies, and sees to it that nobody does any more. After the stop has begun.</summary>
    private void CloseInputs()
    {
        lock (_inboxGate)
        {
            while (_isHeld) Monitor.Wait(_inboxGate);
        }

        lock (_applyGate)
        {
            while (_isApplying) Monitor.Wait(_applyGate);
        }

        _isOver = true;
    }
}
