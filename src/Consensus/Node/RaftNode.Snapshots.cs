using System.Threading.Channels;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Node;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Consensus.Transport;

namespace RaftMirror.Consensus;

/// <summary>
/// Snapshots: a worker writes what the apply thread hands it and fetches what the leader offers, one thing at a time, since the store wants
/// one user. A snapshot that cannot be written costs log space and nothing else. Fetching is by chunks, on a connection of its own, resumed where it
/// was interrupted, from any member that has the same snapshot.
/// </summary>
public sealed partial class RaftNode
{
    private const int MaxOwnDigests = 256;

    private readonly Channel<SnapshotJob> _snapshotJobs = Channel.CreateBounded<SnapshotJob>(
        new BoundedChannelOptions(1) { SingleReader = true, FullMode = BoundedChannelFullMode.DropWrite });

    private readonly SemaphoreSlim _storeGate = new(1, 1);
    private readonly object _offerGate = new();
    private OfferedSnapshot? _offer;
    private Task _fetching = Task.CompletedTask;
    private Task _writingSnapshots = Task.CompletedTask;
    private long _fetchedBytes;
    private long _fetchTotalBytes;

    /// <summary>A snapshot that is being fetched: bytes here and bytes in all; (0, 0) for none. Any thread.</summary>
    public (long DoneBytes, long TotalBytes) SnapshotProgress => (Interlocked.Read(ref _fetchedBytes), Interlocked.Read(ref _fetchTotalBytes));

    /// <summary>The newest snapshot on this node's disk, as (index, bytes, CRC-32C); null for none. Any thread.</summary>
    public (ulong Index, long Bytes, uint Crc)? SnapshotInfo =>
        _snapshots.Newest() is { } meta ? (meta.Last.Index, meta.LengthBytes, meta.Crc) : null;

    private void QueueSnapshot(SnapshotJob job)
    {
        // While one is being written the next is left out: the one after will do.
        _snapshotJobs.Writer.TryWrite(job);
    }

    private async Task WriteSnapshotsAsync()
    {
        try
        {
            await foreach (var job in _snapshotJobs.Reader.ReadAllAsync(_stopping.Token))
            {
                await _storeGate.WaitAsync(_stopping.Token);
                try
                {
                    var meta = _snapshots.Write(job.Last, job.Configuration, job.StateChain, job.Source);
                    Node.Log.SnapshotWritten(_logger, Self, meta.Last.Index, meta.LengthBytes, meta.Crc);
                    Post(new LoopInput.SnapshotTaken(meta));
                }
                catch (IOException error)
                {
                    Node.Log.SnapshotFailed(_logger, Self, job.Last.Index, error.Message);
                }
                finally
                {
                    _storeGate.Release();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    /// <summary>Loop thread: fetch this, unless it is under way.</summary>
    private void Fetch(OfferedSnapshot offer)
    {
        lock (_offerGate)
        {
            _offer = offer;
            if (!_fetching.IsCompleted) return; // It looks again before it ends.
            _fetching = Task.Run(FetchAsync);
        }
    }

    private async Task FetchAsync()
    {
        OfferedSnapshot? done = null;
        try
        {
            while (true)
            {
                OfferedSnapshot offer;
                lock (_offerGate)
                {
                    if (_offer is not { } wanted || wanted == done) return;
                    offer = wanted;
                }

                if (await FetchAsync(offer) is not { } meta) return; // It will be offered again.
                done = offer;
                Post(new LoopInput.SnapshotReceived(meta));
            }
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or InvalidDataException)
        {
            if (!_stopping.IsCancellationRequested) Node.Log.FetchFailed(_logger, Self, error.Message);
        }
        finally
        {
            Interlocked.Exchange(ref _fetchTotalBytes, 0);
            Interlocked.Exchange(ref _fetchedBytes, 0);
        }
    }

    private async Task<SnapshotMeta?> FetchAsync(OfferedSnapshot wanted)
    {
        var offer = new SnapshotOffer(wanted.Last, wanted.LengthBytes, wanted.Crc);
        await _storeGate.WaitAsync(_stopping.Token);
        try
        {
            using var incoming = _snapshots.BeginReceive(offer);
            Interlocked.Exchange(ref _fetchTotalBytes, offer.LengthBytes);
            var sources = new SnapshotSources(wanted.From, _core_Members(wanted.From));
            while (!incoming.IsComplete)
            {
                Interlocked.Exchange(ref _fetchedBytes, incoming.ReceivedBytes);
                var length = (int)Math.Min(SnapshotStore.MaxChunkBytes, offer.LengthBytes - incoming.ReceivedBytes);
                var answer = await ReadChunkAsync(sources, new ChunkRequest(offer.Last, incoming.ReceivedBytes, length));
                if (answer is null) return null;
                if (answer.Status != ChunkStatus.Ok || answer.Snapshot != offer
                    || incoming.AppendChunk(answer.Offset, answer.Bytes.Span, answer.Crc) is not null)
                {
                    if (!sources.GiveUpCurrent()) return null;
                }
            }

            var meta = incoming.Commit();
            Node.Log.SnapshotFetched(_logger, Self, meta.Last.Index, meta.LengthBytes);
            return meta;
        }
        finally
        {
            _storeGate.Release();
        }
    }
}
