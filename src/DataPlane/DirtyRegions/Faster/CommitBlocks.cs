using FASTER.core;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;

namespace RaftMirror.DataPlane.DirtyRegions.Faster;

/// <summary>FasterLog's commit manager: records alternate between the two commit blocks, on every disk, flushed. What is
/// acknowledged follows <see cref="DurableSequence"/> alone, not what FasterLog says: its commit may end well though
/// its metadata was not written. <see cref="Commit"/> is called on the device's thread.</summary>
internal sealed class CommitBlocks(LogLegs legs, ulong incarnation, ulong generation) : ILogCommitManager
{
    private readonly AlignedBuffer _block = AlignedBufferPool.Shared.Rent(SlotLayout.BlockBytes);
    private readonly Lock _gate = new();
    private readonly Queue<(long Address, ulong Sequence)> _entries = new();
    private ulong _number;
    private ulong _coveredSequence;
    private ulong _durableSequence;

    /// <summary>Newest entry that a durable commit record covers.</summary>
    public ulong DurableSequence => Volatile.Read(ref _durableSequence);

    /// <summary>Called for each entry, after it was put into the log.</summary>
    public void Enqueued(long address, ulong sequence)
    {
        lock (_gate) _entries.Enqueue((address, sequence));
    }

    /// <inheritdoc/>
    public void Commit(long beginAddress, long untilAddress, byte[] commitMetadata, long commitNum, bool forceWriteMetadata)
    {
        lock (_gate)
        {
            // A commit ends between entries: one that starts before it is covered.
            while (_entries.TryPeek(out var entry) && entry.Address < untilAddress)
            {
                _coveredSequence = entry.Sequence;
                _entries.Dequeue();
            }
        }

        var record = new CommitRecord(++_number, beginAddress, untilAddress, _coveredSequence, incarnation, generation);
        record.Write(_block.GetSpan(), commitMetadata);
        var offset = _number % 2 == 1 ? SlotLayout.CommitAOffset : SlotLayout.CommitBOffset;
        if (legs.Do(leg => leg.WriteThrough(offset, _block))) Volatile.Write(ref _durableSequence, _coveredSequence);
    }

    /// <inheritdoc/>
    public byte[] GetCommitMetadata(long commitNum) => throw new NotSupportedException("A writer recovers nothing.");

    /// <inheritdoc/>
    public IEnumerable<long> ListCommits() => [];

    /// <inheritdoc/>
    public void RemoveCommit(long commitNum)
    {
    }

    /// <inheritdoc/>
    public void RemoveAllCommits()
    {
    }

    /// <inheritdoc/>
    public void OnRecovery(long commitNum)
    {
    }

    /// <inheritdoc/>
    public void Dispose() => _block.Dispose();
}
