using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>The snapshots of one node: the last <see cref="Kept"/>, each written whole or not at all. A crash at any point leaves
/// the old set or the new one, and leftovers that the next opening deletes.
///
/// Threads: one at a time for everything but <see cref="ReadChunk"/>, <see cref="List"/>, <see cref="Newest"/> and pins, which are for any.
/// Errors: an <see cref="IOException"/> of <see cref="Write"/> or of an incoming snapshot leaves the older snapshots as they were; the
/// write-ahead log must then not be compacted, and nothing is retried on the same file.</summary>
internal sealed partial class SnapshotStore
{
    /// <summary>Snapshots kept: the newest, and one to fall back to.</summary>
    public const int Kept = 2;

    /// <summary>Most bytes of a chunk.</summary>
    public const int MaxChunkBytes = 1 << 20;

    private readonly ISnapshotStorage _storage;
    private readonly Guid _clusterId;
    private readonly Lock _lock = new();

    /// <summary>By index. Metadata is null until the file was verified in this process.</summary>
    private readonly SortedDictionary<EntryId, SnapshotMeta?> _known = new(ByIndex.Instance);
    private readonly HashSet<EntryId> _damaged = [];

    /// <summary>Received, and not restored yet: newer ones do not push them out.</summary>
    private readonly HashSet<EntryId> _pinned = [];

    private readonly int _chunkBytes;

    /// <summary>Opens a store and deletes what a crash left of unfinished writes. Partial receptions stay.</summary>
    /// <param name="storage">Its files.</param>
    /// <param name="clusterId">Snapshots of other clusters are refused.</param>
    /// <param name="chunkBytes">Most bytes that are received at once, 1 to <see cref="MaxChunkBytes"/>: what a resumed reception drops.</param>
    public SnapshotStore(ISnapshotStorage storage, Guid clusterId, int chunkBytes = MaxChunkBytes)
    {
        _chunkBytes = chunkBytes;
        _storage = storage;
        _clusterId = clusterId;
        foreach (var name in storage.List())
        {
            if (name.EndsWith(SnapshotName.Unfinished, StringComparison.Ordinal)) storage.Delete(name);
            else if (SnapshotName.TryParse(name, out var last)) _known.Add(last, null);
        }

        Prune(); // A crash may have come between the renaming of the third and the deletion of the first.
    }

    /// <summary>All snapshots, oldest first; not verified.</summary>
    public IReadOnlyList<EntryId> List()
    {
        lock (_lock) return [.. _known.Keys];
    }

    /// <summary>The newest snapshot that was written, received or verified in this process and not found damaged: what to offer to
    /// others. Null if there is none.</summary>
    public SnapshotMeta? Newest()
    {
        lock (_lock) return _known.Where(pair => !_damaged.Contains(pair.Key)).Select(pair => pair.Value).LastOrDefault(meta => meta is not null);
    }

    /// <summary>Writes a snapshot, durable on return, in place of one of the same entry. Older ones beyond <see cref="Kept"/> go.</summary>
    /// <param name="last">The last entry that it covers.</param>
    /// <param name="configuration">Who took part after it, committed.</param>
    /// <param name="stateChain">The chain over everything applied, the same on every node.</param>
    /// <param name="source">The state after it. Read once, on the calling thread.</param>
    /// <exception cref="IOException">It could not be written; the newest that was there still is.</exception>
    public SnapshotMeta Write(EntryId last, Configuration configuration, ulong stateChain, ISnapshotSource source)
    {
        Invariant.Require(last.Index > 0, "Before the first entry there is nothing to keep.");
        var name = SnapshotName.OfUnfinished(last);
        SnapshotMeta meta;
        try
        {
            using var file = _storage.Create(name);
            meta = SnapshotWriter.Write(file, _clusterId, last, configuration, stateChain, source);
            file.Sync();
        }
        catch (IOException failure)
        {
            MakeRoom(name, isShort: ErrnoText.IsOutOfSpace(failure.HResult));
            throw;
        }

        Publish(name, meta);
        return meta;
    }

    /// <summary>What was begun goes; without space so does the snapshot to fall back to, which is the price of ever writing a newer one. Best
    /// effort: the failure that led here is told.</summary>
    private void MakeRoom(string unfinished, bool isShort)
    {
        try
        {
            if (_storage.List().Contains(unfinished)) _storage.Delete(unfinished);
            if (isShort) Prune(kept: 1);
        }
        catch (IOException)
        {
            // The next opening deletes it.
        }
    }

    /// <summary>Opens a snapshot after checking all of it.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or another's, and says why.</exception>
    /// <exception cref="FileNotFoundException">There is none of that entry.</exception>
    public SnapshotReader OpenVerified(EntryId last)
    {
        try
        {
            var reader = SnapshotReader.Open(_storage.Open(SnapshotName.Of(last)));
            if (WhyNotOurs(reader, last) is { } why)
            {
                reader.Dispose();
                throw new InvalidDataException(why);
            }

            lock (_lock)
            {
                _known[last] = reader.Meta;
                _damaged.Remove(last);
            }

            return reader;
        }
        catch (Exception broken) when (broken is InvalidDataException or IOException and not FileNotFoundException)
        {
            lock (_lock) _damaged.Add(last);
            throw new InvalidDataException($"Snapshot {SnapshotName.Of(last)}: {broken.Message}", broken);
        }
    }

    /// <summary>Opens the newest sound snapshot. If that is not the newest, the answer says what is wrong with the newer ones: the caller
    /// must make sure that the log still holds the entries between, and must not take them for applied.</summary>
    public NewestSnapshot OpenNewestVerified()
    {
        var damage = new List<string>();
        foreach (var last in List().Reverse())
        {
            try
            {
                return new NewestSnapshot(OpenVerified(last), damage);
            }
            catch (InvalidDataException broken)
            {
                damage.Add(broken.Message);
            }
        }

        return new NewestSnapshot(null, damage);
    }

    /// <summary>Keeps a snapshot that was received until it is restored or refused, however many newer ones come meanwhile. Any thread.</summary>
    public void Pin(EntryId last)
    {
        lock (_lock) _pinned.Add(last);
    }

    /// <summary>The snapshot is refused: the next newer one may push it out. Any thread.</summary>
    public void Unpin(EntryId last)
    {
        lock (_lock) _pinned.Remove(last);
    }

    /// <summary>The snapshot is restored: neither it nor an older one is needed for that any more. Any thread.</summary>
    public void UnpinThrough(EntryId last)
    {
        lock (_lock) _pinned.RemoveWhere(pinned => pinned.Index <= last.Index);
    }

    /// <summary>Removes a snapshot: the state of a node that is to be seeded anew must not come back at the next start.</summary>
    public void Delete(EntryId last)
    {
        lock (_lock)
        {
            _storage.Delete(SnapshotName.Of(last));
            _known.Remove(last);
            _damaged.Remove(last);
        }
    }

    /// <summary>Reads a part of a snapshot for a peer. Checks the whole snapshot first, once per process: a damaged one is not given on.</summary>
    /// <param name="last">Which.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="lengthBytes">Wanted, 1 to <see cref="MaxChunkBytes"/>; fewer are given at the end of the file.</param>
    public ChunkAnswer ReadChunk(EntryId last, long offset, int lengthBytes)
    {
        SnapshotMeta? meta;
        lock (_lock)
        {
            if (!_known.TryGetValue(last, out meta)) return ChunkAnswer.Failed(ChunkStatus.Gone);
            if (_damaged.Contains(last)) return ChunkAnswer.Failed(ChunkStatus.Damaged);
        }

        try
        {
            if (meta is null)
            {
                using var reader = OpenVerified(last);
                meta = reader.Meta;
            }

            if (lengthBytes is <= 0 or > MaxChunkBytes || offset < 0 || offset >= meta.LengthBytes) return ChunkAnswer.Failed(ChunkStatus.BadRange);
            using var file = _storage.Open(SnapshotName.Of(last));
            if (file.LengthBytes != meta.LengthBytes) return ChunkAnswer.Failed(ChunkStatus.Damaged);
            var bytes = new byte[Math.Min(lengthBytes, meta.LengthBytes - offset)];
            file.Read(offset, bytes);
            return new ChunkAnswer(ChunkStatus.Chunk, SnapshotOffer.Of(meta), offset, bytes, Crc32C.Compute(bytes));
        }
        catch (FileNotFoundException)
        {
            return ChunkAnswer.Failed(ChunkStatus.Gone); // Deleted since it was looked up: newer ones came.
        }
        catch (Exception broken) when (broken is InvalidDataException or IOException)
        {
            lock (_lock) _damaged.Add(last);
            return ChunkAnswer.Failed(ChunkStatus.Damaged);
        }
    }

    private string? WhyNotOurs(SnapshotReader reader, EntryId last)
    {
        if (reader.ClusterId != _clusterId) return $"it is of another cluster, {reader.ClusterId}";
        return reader.Meta.Last == last ? null : $"it ends with entry {reader.Meta.Last} instead of {last}";
    }

    private void Publish(string temporary, SnapshotMeta meta)
    {
        lock (_lock)
        {
            _storage.Rename(temporary, SnapshotName.Of(meta.Last));
            _known[meta.Last] = meta;
            _damaged.Remove(meta.Last);
            Prune();
        }
    }

    /// <summary>Deletes what is older than the newest <paramref name="kept"/> that are not known to be damaged, the damaged ones among it; not
    /// what is pinned.</summary>
    private void Prune(int kept = Kept)
    {
        lock (_lock)
        {
            var sound = 0;
            foreach (var last in _known.Keys.Reverse().ToArray())
            {
                if (sound < kept)
                {
                    if (!_damaged.Contains(last)) sound++;
                }
                else if (!_pinned.Contains(last))
                {
                    _storage.Delete(SnapshotName.Of(last));
                    _known.Remove(last);
                    _damaged.Remove(last);
                }
            }
        }
    }

    private sealed class ByIndex : IComparer<EntryId>
    {
        public static readonly ByIndex Instance = new();

        public int Compare(EntryId x, EntryId y) => x.Index != y.Index ? x.Index.CompareTo(y.Index) : x.Term.CompareTo(y.Term);
    }
}

/// <summary>The newest snapshot that can be believed.</summary>
/// <param name="Snapshot">It, for the caller to dispose; null if there is none.</param>
/// <param name="Damage">What is wrong with newer ones, newest first; empty if <paramref name="Snapshot"/> is the newest.</param>
internal sealed record NewestSnapshot(SnapshotReader? Snapshot, IReadOnlyList<string> Damage)
{
    /// <summary>There are newer ones, damaged.</summary>
    public bool IsFallback => Damage.Count > 0;
}
