using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>A snapshot on its way in. One thread, the store's. Disposing it keeps what has come, to be resumed; after a failed write or
/// flush the partial file is deleted, since its content counts as lost.</summary>
internal sealed class IncomingSnapshot : IDisposable
{
    private readonly SnapshotStore _store;
    private readonly string _name;
    private readonly ISnapshotFile _file;
    private bool _isOver;

    internal IncomingSnapshot(SnapshotStore store, string name, SnapshotOffer offer, ISnapshotFile file)
    {
        (_store, _name, _file, Offer) = (store, name, file, offer);
    }

    public SnapshotOffer Offer { get; }

    /// <summary>Bytes that are here: the offset of the next chunk.</summary>
    public long ReceivedBytes => _file.LengthBytes;

    public bool IsComplete => ReceivedBytes == Offer.LengthBytes;

    /// <summary>Adds a chunk; durable on return.</summary>
    /// <param name="offset">Must be <see cref="ReceivedBytes"/>.</param>
    /// <param name="bytes">1 to <see cref="SnapshotStore.MaxChunkBytes"/> bytes.</param>
    /// <param name="crc">CRC-32C of <paramref name="bytes"/>, as the source computed it.</param>
    /// <returns>Null, or why the chunk was refused; nothing was changed then.</returns>
    /// <exception cref="IOException">It could not be written; the reception is over and begins anew.</exception>
    public string? AppendChunk(long offset, ReadOnlySpan<byte> bytes, uint crc)
    {
        Invariant.Require(!_isOver, "Nothing is added to a reception that is over.");
        if (offset != ReceivedBytes) return $"a chunk at {offset}, where {ReceivedBytes} comes next";
        if (bytes.Length is 0 or > SnapshotStore.MaxChunkBytes) return $"a chunk of {bytes.Length} bytes";
        if (bytes.Length > Offer.LengthBytes - offset) return "a chunk goes past the end of the snapshot";
        if (Crc32C.Compute(bytes) != crc) return "a chunk's checksum is wrong";
        try
        {
            _file.Append(bytes);
            _file.Sync();
            return null;
        }
        catch (IOException)
        {
            Discard();
            throw;
        }
    }

    /// <summary>Checks the whole snapshot and puts it among the others, durable on return.</summary>
    /// <exception cref="InvalidDataException">It is not sound, or not what was offered. It was discarded, the exception says why.</exception>
    /// <exception cref="IOException">It could not be read or renamed; the reception is over.</exception>
    public SnapshotMeta Commit()
    {
        Invariant.Require(!_isOver && IsComplete, "Only a whole snapshot is committed, and once.");
        _isOver = true;
        _file.Dispose();
        return _store.Accept(_name, Offer);
    }

    /// <summary>Gives the reception up and deletes what came.</summary>
    public void Discard()
    {
        if (_isOver) return;
        _isOver = true;
        _file.Dispose();
        _store.Discard(_name);
    }

    public void Dispose()
    {
        if (_isOver) return;
        _isOver = true;
        _file.Dispose();
    }
}
