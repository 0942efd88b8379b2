using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Cli.Daemon.Disks;

/// <summary>One disk on this node. Its own calls to the device (labels, proofs) run on a thread of their own, one at a time and waited for
/// only so long: a disk that hangs costs one thread and nobody else's time. Any thread.</summary>
#pragma warning disable CA1001 // The semaphore's wait handle is never asked for, so there is nothing to free.
internal sealed class NodeDisk(string name)
#pragma warning restore CA1001
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);
    private readonly SemaphoreSlim _one = new(1, 1);
    private volatile Admitted? _admitted;

    /// <summary>Taken while the disk is opened, judged and taken into use.</summary>
    public SemaphoreSlim Admission { get; } = new(1, 1);

    /// <summary>The open device, once it was judged and proven; null before.</summary>
    public Admitted? Current => _admitted;

    /// <summary>The newest verdict; null before the first.</summary>
    public DiskVerdict? Verdict { get; private set; }

    /// <summary>Takes a device into use.</summary>
    public void Admit(Admitted admitted, DiskVerdict verdict)
    {
        var former = _admitted;
        _admitted = admitted;
        Verdict = verdict;
        if (former is not null && former.Device != admitted.Device) former.Device.Dispose();
    }

    /// <summary>Notes why it is not in use.</summary>
    public void Refuse(DiskVerdict verdict) => Verdict = verdict;

    /// <summary>Closes it; what uses it must have ended.</summary>
    public void Close()
    {
        _admitted?.Device.Dispose();
        (_admitted, Verdict) = (null, null);
    }

    /// <summary>Runs a call that may block for ever.</summary>
    /// <param name="call">The call.</param>
    /// <param name="cancellationToken">Ends the waiting, not the call.</param>
    /// <param name="late">Gets the result if nobody waits for it any more.</param>
    /// <exception cref="IOException">It did not end in time, or another one still has not; or the call's own.</exception>
    public async Task<T> RunAsync<T>(Func<T> call, CancellationToken cancellationToken, Action<T>? late = null)
    {
        if (!await _one.WaitAsync(Limit, cancellationToken))
            throw new IOException($"disk '{name}' does not answer: an earlier call has not ended");
        var ended = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => Run(call, ended)) { IsBackground = true, Name = $"label I/O {name}" }.Start();
        try
        {
            return await ended.Task.WaitAsync(Limit, cancellationToken);
        }
        catch (Exception given) when (given is TimeoutException or OperationCanceledException)
        {
            _ = ended.Task.ContinueWith(
                done => late?.Invoke(done.Result), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
            if (given is OperationCanceledException) throw;
            throw new IOException($"disk '{name}' does not answer within {Limit.TotalSeconds:0} s");
        }
    }

    private void Run<T>(Func<T> call, TaskCompletionSource<T> ended)
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
            _one.Release(); // Not before the call has ended: two writes of a label must not meet.
        }
    }

    /// <summary>A device in use.</summary>
    /// <param name="Device">Open; owned here.</param>
    /// <param name="AtIndex">Log index of the state by which it was judged: one from before the disk came back is not used any more.</param>
    public sealed record Admitted(FileBlockDevice Device, ulong AtIndex);
}
