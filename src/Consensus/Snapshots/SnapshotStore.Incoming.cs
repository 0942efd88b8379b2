using RaftMirror.Consensus.Model;
namespace RaftMirror.Consensus.Snapshots;

internal sealed partial class SnapshotStore
{
    /// <summary>Begins or resumes the reception of a snapshot; partial files of others are deleted. One at a time: dispose the last first.
    ///
    /// A partial file found on disk is cut by one chunk: each chunk is flushed before the next is accepted, so after a loss of power
    /// no more than the last one can be other than what was written.</summary>
    /// <exception cref="IOException">The file cannot be made or opened.</exception>
    public IncomingSnapshot BeginReceive(SnapshotOffer offer)
    {
        var name = SnapshotName.OfPart(offer);
        var isThere = false;
        foreach (var other in _storage.List())
        {
            if (other == name) isThere = true;
            else if (SnapshotName.IsPart(other)) _storage.Delete(other);
        }

        if (!isThere) return new IncomingSnapshot(this, name, offer, _storage.Create(name));
        var file = _storage.Open(name);
        try
        {
            file.Truncate(Math.Clamp(file.LengthBytes - _chunkBytes, 0, offer.LengthBytes));
            return new IncomingSnapshot(this, name, offer, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Deletes partial files: the node needs no snapshot any more.</summary>
    public void DiscardIncoming()
    {
        foreach (var name in _storage.List())
            if (SnapshotName.IsPart(name)) _storage.Delete(name);
    }

    internal SnapshotMeta Accept(string name, SnapshotOffer offer)
    {
        SnapshotMeta meta;
        try
        {
            using var reader = SnapshotReader.Open(_storage.Open(name));
            meta = reader.Meta;
            if (WhyNotOurs(reader, offer.Last) is { } why) throw new InvalidDataException(why);
            if (SnapshotOffer.Of(meta) != offer) throw new InvalidDataException("it is sound, but not the one that was offered");
        }
        catch (InvalidDataException broken)
        {
            _storage.Delete(name); // Nothing in it says which part is wrong.
            throw new InvalidDataException($"The snapshot received for {offer.Last} was discarded: {broken.Message}", broken);
        }

        Publish(name, meta);
        return meta;
    }

    internal void Discard(string name) => _storage.Delete(name);
}
