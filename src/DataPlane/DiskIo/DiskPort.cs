using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.DiskIo;

/// <summary>Where a disk's port stands.</summary>
internal enum DiskPortState
{
    /// <summary>Being opened; calls wait.</summary>
    Opening,

    Open,

    /// <summary>Could not be opened; calls end as unreachable. It may be opened again.</summary>
    Missing,

    /// <summary>Calls end as unreachable, for good.</summary>
    Closed,
}

/// <summary>One disk of a set on one node: its queue and its own threads, so that a disk which neither answers nor fails holds up no
/// call to another one, nor opening, closing or stopping. Threads are started as needed; one that is stuck in a call that was
/// given up is replaced. The queue is bounded by the volumes' admission. Any thread.</summary>
internal sealed class DiskPort(string name, Func<long> nowNs, Action<Exception> fatal)
{
    /// <summary>Threads of a disk at most: enough for a useful queue depth; the calls block, they do not compute. With more of them fewer calls wait in
    /// the queue, and each costs a wake.</summary>
    public const int MaxThreads = 8;

    private readonly object _gate = new();
    private readonly Queue<DiskCall> _queue = new();
    private readonly Queue<DiskCall> _urgent = new();
    private TaskCompletionSource<IBlockDevice?> _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IBlockDevice? _device;
    private DiskPortState _state = DiskPortState.Missing;
    private int _threads;
    private int _idle;
    private int _stuck;
    private bool _isWaking; // A thread was woken or started, and has not looked at the queue yet.

    public string Name { get; } = name;

    /// <summary>What is in the kernel.</summary>
    public RunningCalls Calls { get; } = new();

    public DiskPortState State
    {
        get
        {
            lock (_gate) return _state;
        }
    }

    /// <summary>The device, while it is open; its calls are counted like the queue's own. For those with threads of their own.</summary>
    public IBlockDevice? Device
    {
        get
        {
            lock (_gate) return _state == DiskPortState.Open ? _device : null;
        }
    }

    /// <summary>Outcome of the opening that is under way or was the last: the device, or null.</summary>
    public Task<IBlockDevice?> Opened
    {
        get
        {
            lock (_gate) return _opened.Task;
        }
    }

    /// <summary>Ends when it is closed and no call is left in the kernel.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Opens it on a thread of its own; calls that come meanwhile wait for the outcome.</summary>
    /// <param name="open">Blocks; throws an IOException if the disk cannot be used.</param>
    /// <param name="opened">Told the outcome, null if it is open; on that thread.</param>
    public void BeginOpen(Func<IBlockDevice> open, Action<IOException?> opened)
    {
        lock (_gate)
        {
            if (_state != DiskPortState.Missing) return;
            _state = DiskPortState.Opening;
            if (_opened.Task.IsCompleted) _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        Start($"open {Name}", () => Open(open, opened));
    }

    /// <summary>Queues a call.</summary>
    public void Enqueue(DiskCall call) => Enqueue(call, _queue);

    /// <summary>Queues a call before those that are not urgent: many wait for a dirty log or a label.</summary>
    public void EnqueueUrgent(DiskCall call) => Enqueue(call, _urgent);

    private void Enqueue(DiskCall call, Queue<DiskCall> queue)
    {
        lock (_gate)
        {
            if (_state is DiskPortState.Open or DiskPortState.Opening)
            {
                queue.Enqueue(call);
                if (_state == DiskPortState.Open) Serve();
                return;
            }
        }

        Refuse(call);
    }

    /// <summary>Nobody waits for the call any longer. If it is in the kernel its thread and memory stay with it until it comes back.</summary>
    /// <returns>False if it has ended already, and says so itself.</returns>
    public bool GiveUp(DiskCall call)
    {
        var (isGivenUp, wasRunning) = call.TryGiveUp();
        if (!isGivenUp) return false;
        if (!wasRunning)
        {
            call.Release(); // The queue passes over it.
            return true;
        }

        lock (_gate)
        {
            _stuck++;
            if (Waiting > 0) Serve();
        }

        return true;
    }

    /// <summary>No call begins any more. The device is closed once none is left in the kernel; nobody waits for that here.</summary>
    public void Close()
    {
        DiskCall[] left;
        lock (_gate)
        {
            if (_state == DiskPortState.Closed) return;
            var wasOpening = _state == DiskPortState.Opening;
            _state = DiskPortState.Closed;
            left = TakeAll();
            Monitor.PulseAll(_gate);
            _opened.TrySetResult(null);
            if (_threads == 0 && !wasOpening) EndClosing();
        }

        foreach (var call in left) Refuse(call);
    }

    /// <summary>Ends a call that no device will see.</summary>
    public static void Refuse(DiskCall call)
    {
        if (!call.TryRun() || !call.TryEnd()) return; // Given up: its owner knows.
        call.Refused();
    }

    private void Open(Func<IBlockDevice> open, Action<IOException?> opened)
    {
        IBlockDevice? device = null;
        IOException? failure = null;
        using (Calls.Begin(DeviceOperations.Read, nowNs()))
        {
            try
            {
                device = new WatchedDevice(open(), Calls, nowNs);
            }
            catch (IOException missing)
            {
                failure = missing; // Its calls answer Unreachable, which is reported leg by leg; it is tried again.
            }
        }

        DiskCall[] left = [];
        lock (_gate)
        {
            if (_state == DiskPortState.Closed)
            {
                _device = device;
                EndClosing();
            }
            else if (device is not null)
            {
                (_device, _state) = (device, DiskPortState.Open);
                if (Waiting > 0) Serve();
            }
            else
            {
                _state = DiskPortState.Missing;
                left = TakeAll();
            }
        }

        foreach (var call in left) Refuse(call);
        opened(failure);
        _opened.TrySetResult(State == DiskPortState.Open ? device : null);
    }

    private int Waiting => _queue.Count + _urgent.Count;

    // Under the gate.
    private DiskCall[] TakeAll()
    {
        DiskCall[] all = [.. _urgent, .. _queue];
        _urgent.Clear();
        _queue.Clear();
        return all;
    }

    // Under the gate. One thread wakes at a time, and wakes the next one if work is left: one that has just ended a call takes the next
    // call without being woken, and a wake costs several times what a fast call does.
    private void Serve()
    {
        if (_isWaking) return;
        if (_idle > 0)
        {
            _isWaking = true;
            Monitor.Pulse(_gate);
            return;
        }

        if (_threads - _stuck >= MaxThreads) return;
        _isWaking = true;
        _threads++;
        Start($"disk {Name}", Run);
    }

    private void Start(string threadName, Action action) => new Thread(() =>
    {
        try
        {
            action();
        }
#pragma warning disable CA1031 // Whatever a device call or a core threw: the node must stop, not only this thread.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            fatal(exception);
        }
    })
    {
        IsBackground = true, // A thread that never comes back from its call must not keep the process.
        Name = threadName,
    }.Start();

    private void Run()
    {
        lock (_gate) _isWaking = false;
        while (TryDequeue(out var call))
        {
            if (!call!.TryRun()) continue; // Given up while it waited.
            var status = call.Execute(_device!);
            if (call.TryEnd())
            {
                call.Ended(status); // From here on it is its owner's, who may use it again.
                continue;
            }

            call.Release();
            lock (_gate)
            {
                _stuck--;
                if (_threads - _stuck <= MaxThreads) continue;
                EndThread();
                return;
            }
        }
    }

    private bool TryDequeue(out DiskCall? call)
    {
        lock (_gate)
        {
            while (Waiting == 0)
            {
                if (_state == DiskPortState.Closed)
                {
                    EndThread();
                    call = null;
                    return false;
                }

                _idle++;
                Monitor.Wait(_gate);
                _idle--;
                _isWaking = false;
            }

            call = _urgent.Count > 0 ? _urgent.Dequeue() : _queue.Dequeue();
            if (Waiting > 0) Serve();
            return true;
        }
    }

    // Under the gate.
    private void EndThread()
    {
        _threads--;
        if (_state == DiskPortState.Closed && _threads == 0) EndClosing();
    }

    // Under the gate, once. Closing may block like any other call.
    private void EndClosing()
    {
        var device = _device;
        _device = null;
        if (device is null)
        {
            _closed.TrySetResult();
            return;
        }

        Start($"close {Name}", () =>
        {
            device.Dispose();
            _closed.TrySetResult();
        });
    }
}
