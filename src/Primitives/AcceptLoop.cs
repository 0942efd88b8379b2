using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace RaftMirror.Primitives;

/// <summary>Why a listener takes in nobody, or not everybody, since when, and how many it has turned away.</summary>
/// <param name="Reason">For people.</param>
/// <param name="Since">When it began.</param>
/// <param name="Refused">Connections closed at once, and attempts to accept that failed.</param>
public sealed record AcceptEpisode(string Reason, DateTimeOffset Since, long Refused);

/// <summary>Turns single refusals into episodes, so that a flood of them is one message and one cause. Any thread.</summary>
/// <param name="began">Called once when an episode begins.</param>
/// <param name="ended">Called once when it is over: nobody was turned away for <paramref name="calm"/>.</param>
/// <param name="calm">How long that is.</param>
/// <param name="time">Its clock.</param>
public sealed class AcceptEpisodes(Action<AcceptEpisode> began, Action<AcceptEpisode> ended, TimeSpan calm, TimeProvider time)
{
    private readonly Lock _gate = new();
    private AcceptEpisode? _current;
    private DateTimeOffset _last;

    /// <summary>The episode that lasts, or null.</summary>
    public AcceptEpisode? Current
    {
        get
        {
            EndIfCalm();
            lock (_gate) return _current;
        }
    }

    /// <summary>Somebody was turned away.</summary>
    public void Refuse(string reason)
    {
        AcceptEpisode? first = null;
        lock (_gate)
        {
            _last = time.GetUtcNow();
            if (_current is null) first = _current = new AcceptEpisode(reason, _last, 1);
            else _current = _current with { Reason = reason, Refused = _current.Refused + 1 };
        }

        if (first is not null) began(first);
    }

    /// <summary>Ends the episode if nobody was turned away for long enough.</summary>
    public void EndIfCalm()
    {
        AcceptEpisode over;
        lock (_gate)
        {
            if (_current is null || time.GetUtcNow() - _last < calm) return;
            over = _current;
            _current = null;
        }

        ended(over);
    }
}

/// <summary>What an <see cref="AcceptLoop"/> is bound by and whom it tells.</summary>
public sealed record AcceptOptions
{
    /// <summary>Name of the thread.</summary>
    public required string Name { get; init; }

    /// <summary>Connections whose descriptor's number is not below this are closed again; see <see cref="DescriptorTiers"/>.</summary>
    public int DescriptorsBelow { get; init; } = int.MaxValue;

    /// <summary>Called once when an episode begins, and once when it is over. Any thread.</summary>
    public required Action<AcceptEpisode> Began { get; init; }

    /// <summary>See <see cref="Began"/>.</summary>
    public required Action<AcceptEpisode> Ended { get; init; }

    /// <summary>How long nobody must have been turned away before an episode is over.</summary>
    public TimeSpan Calm { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>accept4(2) on the listener: a descriptor, or a negated errno. Another one for tests.</summary>
    public Func<SafeSocketHandle, int> Accept { get; init; } = AcceptLoop.SystemAccept;

    /// <summary>For the times of episodes.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Accepts connections of one listener on a thread of its own, for as long as the listener is open, whatever runs out: without
/// descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM) clients wait in the kernel's queue, and the loop tries again. Members: any thread.</summary>
/// <remarks>The framework's own accept is not used: after an accept that failed for want of descriptors it may never complete again.</remarks>
public sealed partial class AcceptLoop : IDisposable
{
    private const int RetryMilliseconds = 100;
    private const int WatchMilliseconds = 1000;
    private readonly Socket _listener;
    private readonly AcceptOptions _options;
    private readonly Func<Socket, string?> _admit;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _stop = new();
    private readonly AcceptEpisodes _episodes;

    /// <summary>Starts.</summary>
    /// <param name="listener">Listening; closed by <see cref="Dispose"/>.</param>
    /// <param name="options">Bounds.</param>
    /// <param name="admit">Takes a connection over, or says why it does not; must not block. On the loop's thread. If it says or throws something,
    /// the connection is closed and counts as turned away.</param>
    public AcceptLoop(Socket listener, AcceptOptions options, Func<Socket, string?> admit)
    {
        ArgumentNullException.ThrowIfNull(listener);
        ArgumentNullException.ThrowIfNull(options);
        _listener = listener;
        _options = options;
        _admit = admit;
        _episodes = new AcceptEpisodes(options.Began, options.Ended, options.Calm, options.Time);
        listener.Blocking = false; // A client may be gone before it is accepted.
        _thread = new Thread(Run, maxStackSize: 256 << 10) { IsBackground = true, Name = options.Name };
        _thread.Start();
    }

    /// <summary>The episode that lasts, or null.</summary>
    public AcceptEpisode? Episode => _episodes.Current;

    /// <summary>Closes the listener and waits for the thread.</summary>
    public void Dispose()
    {
        _stop.Set();
        _listener.Dispose(); // Ends a wait for connections.
        _thread.Join();
        _stop.Dispose();
    }

    /// <summary>accept4(2), the descriptor closed on exec.</summary>
    /// <returns>The descriptor, or a negated errno.</returns>
    public static unsafe int SystemAccept(SafeSocketHandle listener)
    {
        const int closeOnExec = 0x80000;
        var descriptor = NativeAccept(listener, null, null, closeOnExec);
        return descriptor >= 0 ? descriptor : -Marshal.GetLastPInvokeError();
    }

    private void Run()
    {
        while (!_stop.IsSet)
        {
            try
            {
                var isReady = Readiness.WaitReadable(_listener.SafeHandle, Episode is null ? -1 : WatchMilliseconds);
                if (_stop.IsSet) return;
                if (isReady) AcceptOne();
            }
            catch (ObjectDisposedException)
            {
                return; // The listener's owner has closed it.
            }
        }
    }

    private void AcceptOne()
    {
        var descriptor = _options.Accept(_listener.SafeHandle);
        if (descriptor < 0)
        {
            if (_stop.IsSet || IsOfOneClient(-descriptor)) return;
            _episodes.Refuse(ErrnoText.Of(-descriptor));
            _stop.Wait(RetryMilliseconds); // Nothing tells when descriptors or memory are free again.
            return;
        }

        if (descriptor >= _options.DescriptorsBelow)
        {
            new Socket(new SafeSocketHandle(descriptor, ownsHandle: true)).Dispose(); // In order: the handle alone would send a reset.
            _episodes.Refuse($"{_options.DescriptorsBelow} file descriptors are in use, the others are kept for the log, the disks and the nodes");
            return;
        }

        Admit(descriptor);
    }

    private void Admit(int descriptor)
    {
        Socket? socket = null;
        var handle = new SafeSocketHandle(descriptor, ownsHandle: true);
        try
        {
            socket = new Socket(handle);
            if (_admit(socket) is not { } refusal) return;
            socket.Dispose();
            _episodes.Refuse(refusal);
        }
#pragma warning disable CA1031 // Whatever one connection brought about must not end the loop, which would turn everybody away for good.
        catch (Exception failure) when (failure is not InvariantException)
#pragma warning restore CA1031
        {
            socket?.Dispose();
            handle.Dispose();
            if (failure is not SocketException) _episodes.Refuse(failure.Message); // Else it left before it was looked at.
        }
    }

    /// <summary>The client gave up in the queue, or what the network did to it meanwhile: accept(2) tells both as its own errors.</summary>
    private static bool IsOfOneClient(int errno) =>
        errno is 1 or 4 or 11 or 64 or 71 or 92 or 95 or 100 or 101 or 103 or 110 or 112 or 113;

    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    private static unsafe partial int NativeAccept(SafeSocketHandle listener, void* address, void* length, int flags);
}
