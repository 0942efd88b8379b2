using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Node.Disks;

/// <summary>One disk on this node. Its own calls to the device (labels, proofs) run on a thread of their own, one at a time and waited for
/// only so long: a disk that hangs costs one thread and nobody else's time. Any thread.</summary>
#pragma warning disable CA1001 // The semaphore's wait handle is never asked for, so there is nothing to free.
internal sealed class NodeDisk(string name, string node, Guid id)
#pragma warning restore CA1001
{
    /// <summary>How long a call is waited for if nothing else is said.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly Lock _gate = new();
    private readonly DiskClaim _claim = new();
    private readonly LinkedList<Guid> _nonces = new();
    private FileBlockDevice? _claimed;
    private volatile Admitted? _admitted;

    /// <summary>Taken while the disk is opened, judged and taken into use.</summary>
    public SemaphoreSlim Admission { get; } = new(1, 1);

    /// <summary>The open device, once it was judged and proven as far as that can be before this node serves the set; null before.</summary>
    public Admitted? Current => _admitted;

    /// <summary>True if the data plane may have <see cref="Current"/>: it was proven after this node had joined.</summary>
    public bool IsInUse
    {
        get
        {
            lock (_gate) return _claim.Phase == ClaimPhase.InUse;
        }
    }

    /// <summary>What this node is about to use, and shows to whoever asks; null if it looks at nothing.</summary>
    public FileBlockDevice? Claimed
    {
        get
        {
            lock (_gate) return _claimed;
        }
    }

    /// <summary>The newest verdict; null before the first.</summary>
    public DiskVerdict? Verdict { get; private set; }

    /// <summary>Shows a device to whoever asks, before this node asks. While <see cref="Admission"/> is held, nothing being in use.</summary>
    public void Claim(FileBlockDevice device)
    {
        lock (_gate)
        {
            _claim.Claim();
            _claimed = device;
        }
    }

    /// <summary>The question to the others about what was claimed.</summary>
    public SamenessLook Ask(string self, bool isJoined, IEnumerable<string> others)
    {
        lock (_gate) return _claim.Ask(self, isJoined, others);
    }

    /// <summary>Takes what was claimed and proven; into use if the look allows it.</summary>
    public void Admit(Admitted admitted, SamenessLook look, DiskVerdict verdict)
    {
        lock (_gate)
        {
            _claim.End(look);
            (_admitted, _claimed, Verdict) = (admitted, null, verdict);
        }
    }

    /// <summary>Notes why it is not in use. What was claimed is shown no more; its owner closes it.</summary>
    public void Refuse(DiskVerdict? verdict)
    {
        lock (_gate)
        {
            _claim.Drop();
            (_claimed, Verdict) = (null, verdict);
        }
    }

    /// <summary>Closes it; what uses it must have ended. What is looked at now is not touched: its look ends by itself.</summary>
    public void Close()
    {
        lock (_gate)
        {
            if (_claimed is null) _claim.Drop();
            _admitted?.Device.Dispose();
            _admitted = null;
            if (Verdict is { IsUsable: true }) Verdict = null; // Why it was refused stands until it is looked at again.
        }
    }

    /// <summary>The newest nonces with a new one, to be written; only in a call of <see cref="RunAsync"/>.</summary>
    public IReadOnlyCollection<Guid> NoncesWith(Guid nonce)
    {
        _nonces.AddFirst(nonce);
        if (_nonces.Count > SamenessProof.Nonces) _nonces.RemoveLast();
        return _nonces;
    }

    /// <summary>Runs a call that may block for ever.</summary>
    /// <param name="call">The call.</param>
    /// <param name="cancellationToken">Ends the waiting, not the call.</param>
    /// <param name="late">Gets the result if nobody waits for it any more.</param>
    /// <param name="limit">How long it is waited for; null for <see cref="Limit"/>.</param>
    /// <param name="isReading">It writes nothing: what of it comes late does no harm.</param>
    /// <exception cref="DiskSilentException">It did not end in time, or another one still has not.</exception>
    /// <exception cref="IOException">The call's own.</exception>
    public async Task<T> RunAsync<T>(
        Func<T> call, CancellationToken cancellationToken, Action<T>? late = null, TimeSpan? limit = null, bool isReading = false)
    {
        var most = limit ?? Limit;
        if (!await _one.WaitAsync(most, cancellationToken))
            throw new DiskSilentException($"disk '{name}' does not answer: an earlier call has not ended");
        if (!isReading) LateWrites.Begin(node, id);
        var ended = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => Run(call, ended, isReading)) { IsBackground = true, Name = $"label I/O {name}" }.Start();
        try
        {
            return await ended.Task.WaitAsync(most, cancellationToken);
        }
        catch (Exception given) when (given is TimeoutException or OperationCanceledException)
        {
            _ = ended.Task.ContinueWith(
                done => late?.Invoke(done.Result), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
            if (given is OperationCanceledException) throw;
            throw new DiskSilentException($"disk '{name}' does not answer within {most.TotalSeconds:0} s");
        }
    }

    private void Run<T>(Func<T> call, TaskCompletionSource<T> ended, bool isReading)
    {
        try
        {
            ended.SetResult(call());
        }
#pragma warning disable CA1031 // Whatever it was belongs to the caller, who waits on another thread.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            ended.SetException(failure);
        }
        finally
        {
            if (!isReading) LateWrites.End(node, id);
            _one.Release(); // Not before the call has ended: two writes of a label must not meet.
        }
    }

    /// <summary>A device in use.</summary>
    /// <param name="Device">Open; owned here.</param>
    /// <param name="AtIndex">Log index of the state by which it was judged: one from before the disk came back is not used any more.</param>
    public sealed record Admitted(FileBlockDevice Device, ulong AtIndex);
}

/// <summary>A disk that neither answers nor fails, as far as it was waited for: it may be slow, or busy with another look.</summary>
/// <param name="message">For people.</param>
internal sealed class DiskSilentException(string message) : IOException(message);
