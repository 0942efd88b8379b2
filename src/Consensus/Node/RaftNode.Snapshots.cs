using System.Buffers.Binary;
using System.Threading.Channels;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus.Node;

/// <summary>
/// Snapshots: one task owns the store. It writes what is handed to it on applying and fetches, by chunks and on a connection of its own, what the
/// leader offers; <see cref="SnapshotReceiver"/> decides whom to ask for what. A snapshot that cannot be written costs log space, nothing else.
/// <code>
/// raft.snapshot.newest: nothing → 0 8 term, 8 8 index, 16 8 bytes, 24 4 CRC-32C; nothing if there is none
/// </code>
/// </summary>
public sealed partial class RaftNode
{
    private const int MaxOwnDigests = 256;
    private const int SnapshotRetryMs = 5000;
    private const string NewestSnapshotMethod = "raft.snapshot.newest";

    private readonly Channel<StoreInput> _storeInputs = Channel.CreateUnbounded<StoreInput>(new UnboundedChannelOptions { SingleReader = true });
    private readonly SnapshotReceiver _receiver = new(new SnapshotReceiverOptions());
    private Task _keepingSnapshots = Task.CompletedTask;
    private IncomingSnapshot? _incoming;
    private int _queuedJobs;
    private volatile ReceiverProgress? _progress;
    private volatile string? _snapshotFailure;
    private SnapshotJob? _failedJob;
    private long _snapshotRetryMs = long.MaxValue;

    /// <summary>A snapshot that is being fetched: bytes here, bytes in all, and the last failure; null for none. Any thread.</summary>
    public (long DoneBytes, long TotalBytes, string? LastError)? SnapshotProgress =>
        _progress is { Offer: { } offer } progress ? (progress.ReceivedBytes, offer.LengthBytes, progress.LastError) : null;

    /// <summary>The newest snapshot on this node's disk; null for none. Any thread.</summary>
    public (ulong Index, long Bytes, uint Crc)? SnapshotInfo =>
        _snapshots.Newest() is { } meta ? (meta.Last.Index, meta.LengthBytes, meta.Crc) : null;

    /// <summary>Why the newest snapshot could not be written, which is tried again; null if it could. Any thread.</summary>
    public string? SnapshotFailure => _snapshotFailure;

    /// <summary>Apply thread. While one is being written the next is left out: the one after will do.</summary>
    private void QueueSnapshot(SnapshotJob job)
    {
        if (Interlocked.Increment(ref _queuedJobs) > 1) Interlocked.Decrement(ref _queuedJobs);
        else _storeInputs.Writer.TryWrite(new StoreInput.Write(job));
    }

    private void Fetch(OfferedSnapshot offer) => _storeInputs.Writer.TryWrite(
        new StoreInput.Offered(offer.From, new SnapshotOffer(offer.Last, offer.LengthBytes, offer.Crc)));

    private async Task KeepSnapshotsAsync()
    {
        try
        {
            var waiters = new List<StoreInput.Awaited>();
            while (!_stopping.IsCancellationRequested)
            {
                while (_storeInputs.Reader.TryRead(out var input)) Handle(input, waiters);
                if (_failedJob is { } failed && NowMs() >= _snapshotRetryMs) Write(failed);
                await StepAsync(_receiver.Next(NowMs()), waiters);
                _progress = _receiver.Progress;
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
        finally
        {
            _incoming?.Dispose();
        }
    }

    private void Handle(StoreInput input, List<StoreInput.Awaited> waiters)
    {
        switch (input)
        {
            case StoreInput.Write write:
                Write(write.Job);
                Interlocked.Decrement(ref _queuedJobs);
                break;
            case StoreInput.Offered offered:
                _receiver.Offered(offered.From, offered.Offer, NowMs());
                break;
            case StoreInput.Awaited awaited:
                waiters.Add(awaited);
                break;
            case StoreInput.Run run:
                run.Done.TrySetResult(run.Action());
                break;
        }
    }

    private void Write(SnapshotJob job)
    {
        try
        {
            var meta = _snapshots.Write(job.Last, job.Configuration, job.StateChain, job.Source);
            NodeLogMessages.SnapshotWritten(_logger, Self, meta.Last.Index, meta.LengthBytes, meta.Crc);
            (_snapshotFailure, _failedJob, _snapshotRetryMs) = (null, null, long.MaxValue);
            Post(new LoopInput.SnapshotTaken(meta));
        }
        catch (IOException error)
        {
            // Said once. Without commands no later snapshot is due, and without a snapshot no log space comes free: so this one is tried again.
            if (_snapshotFailure is null) NodeLogMessages.SnapshotFailed(_logger, Self, job.Last.Index, error.Message);
            (_snapshotFailure, _failedJob, _snapshotRetryMs) = (error.Message, job, NowMs() + SnapshotRetryMs);
        }
    }

    private async Task StepAsync(ReceiverStep step, List<StoreInput.Awaited> waiters)
    {
        try
        {
            switch (step.Kind)
            {
                case ReceiverStepKind.Begin:
                    if (step.StartsOver) _incoming?.Discard();
                    _incoming?.Dispose();
                    _incoming = _snapshots.BeginReceive(step.Offer);
                    _receiver.Began(step.Ticket, _incoming.ReceivedBytes);
                    break;
                case ReceiverStepKind.Request:
                    await RequestChunkAsync(step);
                    break;
                case ReceiverStepKind.Append:
                    var chunk = step.Chunk!;
                    var refusal = _incoming!.AppendChunk(chunk.Offset, chunk.Bytes.Span, chunk.Crc);
                    _receiver.Appended(step.Ticket, _incoming.ReceivedBytes, refusal, NowMs());
                    break;
                case ReceiverStepKind.Commit:
                    Commit(step, waiters);
                    break;
                default:
                    await WaitForStoreInputAsync(step.WakeMs);
                    break;
            }
        }
        catch (IOException error)
        {
            NodeLogMessages.FetchFailed(_logger, Self, error.Message);
            _incoming = null;
            _receiver.StoreFailed(step.Ticket, error.Message);
        }
    }

    private void Commit(ReceiverStep step, List<StoreInput.Awaited> waiters)
    {
        try
        {
            var meta = _incoming!.Commit();
            _snapshots.Pin(meta.Last); // The apply thread may be busy for longer than two more receptions take.
            _receiver.Committed(step.Ticket);
            NodeLogMessages.SnapshotFetched(_logger, Self, meta.Last.Index, meta.LengthBytes);
            foreach (var waiter in waiters.Where(waiter => waiter.Last == meta.Last)) waiter.Done.TrySetResult(meta);
            waiters.RemoveAll(waiter => waiter.Last == meta.Last);
            Post(new LoopInput.SnapshotReceived(meta));
        }
        catch (InvalidDataException refused)
        {
            NodeLogMessages.FetchFailed(_logger, Self, refused.Message);
            _receiver.CommitRefused(step.Ticket, refused.Message, NowMs());
        }

        _incoming = null;
    }

    private async Task RequestChunkAsync(ReceiverStep step)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        limit.CancelAfter((int)Math.Clamp(step.WakeMs - NowMs(), 1, int.MaxValue));
        try
        {
            var bytes = await _transport.CallAsync(step.Source, SnapshotReadCodec.Method, SnapshotReadCodec.Encode(step.Request), limit.Token);
            var error = SnapshotReadCodec.TryDecode(bytes, out var answer);
            _receiver.Answered(step.Ticket, error is null ? answer : null, NowMs());
        }
        catch (Exception error) when (error is NotSentException or PeerUnreachableException or OperationCanceledException)
        {
            _stopping.Token.ThrowIfCancellationRequested();
            _receiver.RequestFailed(step.Ticket, error.Message, NowMs());
        }
    }

    private async Task WaitForStoreInputAsync(long wakeMs)
    {
        wakeMs = Math.Min(wakeMs, _snapshotRetryMs);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        if (wakeMs != long.MaxValue) limit.CancelAfter((int)Math.Clamp(wakeMs - NowMs(), 1, int.MaxValue));
        try
        {
            await _storeInputs.Reader.WaitToReadAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!_stopping.IsCancellationRequested)
        {
            // It is time to ask the receiver again.
        }
    }

    /// <summary>Fetches another node's newest snapshot, whatever this node's log has.</summary>
    private async Task<SnapshotMeta?> FetchNewestAsync(NodeId from, CancellationToken cancellationToken)
    {
        ReadOnlyMemory<byte> answer;
        try
        {
            answer = await _transport.CallAsync(from, NewestSnapshotMethod, ReadOnlyMemory<byte>.Empty, cancellationToken);
        }
        catch (NotSentException error)
        {
            throw new PeerUnreachableException(error.Message, error);
        }

        if (answer.Length == 0) return null;
        if (answer.Length != 28) throw new InvalidDataException("an answer of a wrong length");
        var last = new EntryId(
            BinaryPrimitives.ReadUInt64LittleEndian(answer.Span), BinaryPrimitives.ReadUInt64LittleEndian(answer.Span[8..]));
        var offer = new SnapshotOffer(
            last, BinaryPrimitives.ReadInt64LittleEndian(answer.Span[16..]), BinaryPrimitives.ReadUInt32LittleEndian(answer.Span[24..]));
        var done = new TaskCompletionSource<SnapshotMeta>(TaskCreationOptions.RunContinuationsAsynchronously);
        _storeInputs.Writer.TryWrite(new StoreInput.Awaited(last, done));
        _storeInputs.Writer.TryWrite(new StoreInput.Offered(from, offer));
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        return await done.Task.WaitAsync(both.Token);
    }

    /// <summary>Does something with the store on the task that owns it.</summary>
    private async Task<string?> WithStoreAsync(Func<string?> action, CancellationToken cancellationToken)
    {
        var done = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _storeInputs.Writer.TryWrite(new StoreInput.Run(action, done));
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping.Token);
        return await done.Task.WaitAsync(both.Token);
    }

    private ValueTask<ReadOnlyMemory<byte>> AnswerNewestAsync(NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        // What a quarantined node has is what it is quarantined for.
        if (_quarantine is not null || _snapshots.Newest() is not { } meta) return ValueTask.FromResult(ReadOnlyMemory<byte>.Empty);
        var answer = new byte[28];
        BinaryPrimitives.WriteUInt64LittleEndian(answer, meta.Last.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(answer.AsSpan(8), meta.Last.Index);
        BinaryPrimitives.WriteInt64LittleEndian(answer.AsSpan(16), meta.LengthBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(answer.AsSpan(24), meta.Crc);
        return ValueTask.FromResult<ReadOnlyMemory<byte>>(answer);
    }

    private ValueTask<ReadOnlyMemory<byte>> AnswerChunkAsync(NodeId from, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        if (SnapshotReadCodec.TryDecode(request.Span, out var wanted) is { } error) throw new ArgumentException(error);
        var answer = _quarantine is null
            ? _snapshots.ReadChunk(wanted.Last, wanted.Offset, wanted.LengthBytes)
            : ChunkAnswer.Failed(ChunkStatus.Gone);
        return ValueTask.FromResult<ReadOnlyMemory<byte>>(SnapshotReadCodec.Encode(answer));
    }

    private abstract record StoreInput
    {
        internal sealed record Write(SnapshotJob Job) : StoreInput;

        internal sealed record Offered(NodeId From, SnapshotOffer Offer) : StoreInput;

        internal sealed record Awaited(EntryId Last, TaskCompletionSource<SnapshotMeta> Done) : StoreInput;

        internal sealed record Run(Func<string?> Action, TaskCompletionSource<string?> Done) : StoreInput;
    }
}
