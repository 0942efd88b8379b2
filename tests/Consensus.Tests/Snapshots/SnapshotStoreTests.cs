using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Snapshots;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Snapshots;

public sealed class SnapshotStoreTests
{
    private const int ChunkBytes = 1 << 20;
    private readonly MemorySnapshotStorage _storage = new();

    [Fact] // One that was received waited for the apply thread while two more came, and the node ended for want of its file.
    public void Write_ReceivedOneIsNotRestoredYet_StaysUntilItIs()
    {
        var store = new SnapshotStore(_storage, Samples.Cluster);
        var received = store.Write(10, Samples.Content(100)).Last;
        store.Pin(received);
        foreach (var index in (ulong[])[20, 30, 40]) store.Write(index, Samples.Content(100));
        Assert.Equal([10, 30, 40], store.List().Select(static last => last.Index));
        store.OpenVerified(received).Dispose();

        store.Unpin(new EntryId(received.Term, 30)); // Another one was refused.
        store.Write(50, Samples.Content(100));
        Assert.Equal([10, 40, 50], store.List().Select(static last => last.Index));

        store.UnpinThrough(new EntryId(received.Term, 30));
        store.Write(60, Samples.Content(100));
        Assert.Equal([50, 60], store.List().Select(static last => last.Index));
    }

    [Fact]
    public void Write_ThreeSnapshots_KeepsTheNewestTwoAlsoAfterReopening()
    {
        var store = new SnapshotStore(_storage, Samples.Cluster);
        Assert.Null(store.Newest());
        for (ulong index = 1; index <= 3; index++) store.Write(index * 9, Samples.Content(100, index));
        Assert.Equal(["00000000000000000018-3.snap", "00000000000000000027-3.snap"], _storage.List());
        Assert.Equal(new EntryId(3, 27), store.Newest()!.Last);

        using var newest = new SnapshotStore(_storage, Samples.Cluster).OpenNewestVerified().Snapshot!;
        Assert.Equal(Samples.Content(100, 3), Samples.ContentOf(newest));
        Assert.Equal(27UL * 17, newest.StateChain);
    }

    [Fact]
    public void Open_LeftoversAndStrangeNames_GoOrAreLeftAlone()
    {
        foreach (var name in new[] { "00000000000000000005-1.snap.new", "7-1.snap", "notes", "00000000000000000005-01.snap" }) _storage.Put(name, [1]);
        var store = new SnapshotStore(_storage, Samples.Cluster);
        Assert.Empty(store.List());
        Assert.Equal(["00000000000000000005-01.snap", "7-1.snap", "notes"], _storage.List());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Write_CrashAtEveryStep_LeavesTheOldSetOrTheNew(bool losesPower)
    {
        var endings = new HashSet<ulong>();
        for (var step = 0; ; step++)
        {
            var storage = new MemorySnapshotStorage((ulong)step + 1);
            var store = new SnapshotStore(storage, Samples.Cluster);
            store.Write(10, Samples.Content(70_000, 10));
            store.Write(20, Samples.Content(70_000, 20));
            storage.LosePowerAtStep = storage.Steps + step;
            var isDone = true;
            try
            {
                store.Write(30, Samples.Content(140_000, 30));
            }
            catch (PowerLossException)
            {
                isDone = false;
            }

            storage.LosePowerAtStep = int.MaxValue;
            if (losesPower) storage.LosePower();
            var again = new SnapshotStore(storage, Samples.Cluster);
            var newest = again.OpenNewestVerified();
            Assert.False(newest.IsFallback, $"step {step}: {string.Join(' ', newest.Damage)}");
            var index = newest.Snapshot!.Meta.Last.Index;
            Assert.True(index == 30 || (index == 20 && !isDone), $"step {step}: newest is {index}");
            Assert.Equal(Samples.Content(index == 30 ? 140_000 : 70_000, index), Samples.ContentOf(newest.Snapshot));
            Assert.Equal(2, again.List().Count);
            foreach (var last in again.List()) again.OpenVerified(last).Dispose();
            Assert.All(storage.List(), name => Assert.EndsWith(".snap", name, StringComparison.Ordinal));
            endings.Add(index);
            if (isDone) break;
        }

        Assert.Equal(2, endings.Count);
    }

    [Fact]
    public void Write_FlushFails_LeavesTheOldSnapshotsAndSaysSo()
    {
        var store = new SnapshotStore(_storage, Samples.Cluster);
        store.Write(10, Samples.Content(100));
        _storage.FailNextSync = true;
        Assert.Throws<IOException>(() => store.Write(20, Samples.Content(100)));
        Assert.Equal(10UL, store.Newest()!.Last.Index);
        store.Write(20, Samples.Content(100));
        Assert.Equal(20UL, store.Newest()!.Last.Index);
    }

    [Fact]
    public void OpenNewestVerified_NewestDamaged_FallsBackAndSaysWhy()
    {
        var store = new SnapshotStore(_storage, Samples.Cluster);
        store.Write(10, Samples.Content(100, 10));
        store.Write(20, Samples.Content(100, 20));
        _storage.Flip("00000000000000000020-3.snap", 120);
        store = new SnapshotStore(_storage, Samples.Cluster);
        var newest = store.OpenNewestVerified();
        Assert.True(newest.IsFallback);
        Assert.Contains("00000000000000000020-3.snap: This is no sound snapshot", Assert.Single(newest.Damage), StringComparison.Ordinal);
        Assert.Equal(10UL, newest.Snapshot!.Meta.Last.Index);
        Assert.Equal(10UL, store.Newest()!.Last.Index);
        Assert.Equal(ChunkStatus.Damaged, store.ReadChunk(new(3, 20), 0, 10).Status);

        store.Write(30, Samples.Content(100, 30)); // The damaged one does not count as one of two.
        Assert.Equal([10UL, 20UL, 30UL], store.List().Select(last => last.Index));
        store.Write(40, Samples.Content(100, 40));
        Assert.Equal([30UL, 40UL], store.List().Select(last => last.Index));
    }

    [Fact]
    public void OpenVerified_AnothersFile_IsRefused()
    {
        new SnapshotStore(_storage, Guid.Empty).Write(10, Samples.Content(10));
        var store = new SnapshotStore(_storage, Samples.Cluster);
        Assert.Contains("another cluster", Assert.Throws<InvalidDataException>(() => store.OpenVerified(new(3, 10))).Message, StringComparison.Ordinal);
        _storage.Rename("00000000000000000010-3.snap", "00000000000000000011-3.snap");
        var ofNobody = new SnapshotStore(_storage, Guid.Empty);
        Assert.Throws<InvalidDataException>(() => ofNobody.OpenVerified(new(3, 11)));
        Assert.Throws<FileNotFoundException>(() => ofNobody.OpenVerified(new(3, 10)));
    }

    [Fact]
    public void ReadChunk_AnyRange_GivesThoseBytesOrRefuses()
    {
        var store = new SnapshotStore(_storage, Samples.Cluster);
        var meta = store.Write(10, Samples.Content(1000));
        var bytes = _storage.Bytes("00000000000000000010-3.snap");
        store = new SnapshotStore(_storage, Samples.Cluster);
        var chunk = store.ReadChunk(meta.Last, 100, 50);
        Assert.Equal((ChunkStatus.Chunk, SnapshotOffer.Of(meta), 100L), (chunk.Status, chunk.Snapshot, chunk.Offset));
        Assert.Equal(bytes[100..150], chunk.Bytes.ToArray());
        Assert.Equal(Crc32C.Compute(bytes.AsSpan(100, 50)), chunk.Crc);
        Assert.Equal(bytes[^10..], store.ReadChunk(meta.Last, bytes.Length - 10, 50).Bytes.ToArray());
        foreach (var (offset, length) in new[] { (-1L, 5), (bytes.Length, 5), (long.MaxValue, 5), (0, 0), (0, -1), (0, ChunkBytes + 1) })
            Assert.Equal(ChunkStatus.BadRange, store.ReadChunk(meta.Last, offset, length).Status);
        Assert.Equal(ChunkStatus.Gone, store.ReadChunk(new(4, 10), 0, 5).Status);
        store.Delete(meta.Last);
        Assert.Equal(ChunkStatus.Gone, store.ReadChunk(meta.Last, 0, 5).Status);
    }

    [Fact]
    public void ReadCodec_RequestsAndAnswers_ComeBackAndCutOnesAreRefused()
    {
        var request = new ChunkRequest(new(1, 2), 3, 4);
        var bytes = SnapshotReadCodec.Encode(request);
        Assert.Null(SnapshotReadCodec.TryDecode(bytes.AsSpan(), out var decoded));
        Assert.Equal(request, decoded);
        for (var length = 0; length < bytes.Length; length++) Assert.NotNull(SnapshotReadCodec.TryDecode(bytes.AsSpan(0, length), out _));

        var answer = new ChunkAnswer(ChunkStatus.Chunk, new(new(1, 2), 3, 4), 5, new byte[] { 6, 7 }, Crc32C.Compute([6, 7]));
        bytes = SnapshotReadCodec.Encode(answer);
        Assert.Null(SnapshotReadCodec.TryDecode(bytes.AsMemory(), out var back));
        Assert.Equal(answer with { Bytes = default }, back with { Bytes = default });
        Assert.Equal(answer.Bytes.ToArray(), back.Bytes.ToArray());
        for (var length = 0; length < bytes.Length; length++) Assert.NotNull(SnapshotReadCodec.TryDecode(bytes.AsMemory(0, length), out _));
        Assert.Null(SnapshotReadCodec.TryDecode(SnapshotReadCodec.Encode(ChunkAnswer.Failed(ChunkStatus.Gone)).AsMemory(), out var gone));
        Assert.Equal(ChunkStatus.Gone, gone.Status);
    }

    [Fact]
    public void Receive_CrashAtEveryStep_ResumesAndEndsWithTheSameBytes()
    {
        var (bytes, offer) = Served(2_500_000);
        var hasResumed = false;
        for (var step = 0; ; step++)
        {
            var storage = new MemorySnapshotStorage((ulong)step + 1) { LosePowerAtStep = step };
            var isDone = true;
            try
            {
                Receive(new SnapshotStore(storage, Samples.Cluster), bytes, offer);
            }
            catch (PowerLossException)
            {
                isDone = false;
            }

            storage.LosePowerAtStep = int.MaxValue;
            storage.LosePower();
            var store = new SnapshotStore(storage, Samples.Cluster);
            if (isDone) Assert.Single(store.List());
            if (store.List().Count == 0) hasResumed |= Receive(store, bytes, offer) > 0;
            using var reader = store.OpenVerified(offer.Last);
            Assert.Equal(bytes, storage.Bytes(SnapshotName.Of(offer.Last)));
            if (isDone) break;
        }

        Assert.True(hasResumed);
    }

    [Fact]
    public void Receive_HostileChunks_AreRefusedAndChangeNothing()
    {
        var (bytes, offer) = Served(1000);
        using var incoming = new SnapshotStore(_storage, Samples.Cluster).BeginReceive(offer);
        Assert.Null(Add(incoming, bytes, 0, 100));
        Assert.NotNull(Add(incoming, bytes, 0, 100));
        Assert.NotNull(Add(incoming, bytes, 101, 100));
        Assert.NotNull(Add(incoming, bytes, -1, 100));
        Assert.NotNull(incoming.AppendChunk(100, bytes.AsSpan(100, 10), 0));
        Assert.NotNull(incoming.AppendChunk(100, [], 0));
        var tooMuch = new byte[bytes.Length - 99];
        Assert.NotNull(incoming.AppendChunk(100, tooMuch, Crc32C.Compute(tooMuch)));
        Assert.Equal(100, incoming.ReceivedBytes);
        Assert.Throws<InvariantException>(() => incoming.Commit());
    }

    [Fact]
    public void Commit_WrongBytes_DiscardsThemAndSaysSo()
    {
        var (bytes, offer) = Served(1000);
        bytes[500] ^= 1;
        var store = new SnapshotStore(_storage, Samples.Cluster);
        var error = Assert.Throws<InvalidDataException>(() => Receive(store, bytes, offer));
        Assert.Contains("discarded", error.Message, StringComparison.Ordinal);
        Assert.Empty(_storage.List());
        Assert.Empty(store.List());
    }

    [Fact] // Sound, but another snapshot under the name of the one that was offered.
    public void Commit_AnotherSnapshotThanOffered_IsDiscarded()
    {
        var (bytes, offer) = Served(1000);
        var store = new SnapshotStore(_storage, Samples.Cluster);
        Assert.Throws<InvalidDataException>(() => Receive(store, bytes, offer with { Crc = offer.Crc + 1 }));
        Assert.Throws<InvalidDataException>(() => Receive(store, bytes, offer with { Last = new(3, 51) }));
        Assert.Throws<InvalidDataException>(() => Receive(new SnapshotStore(_storage, Guid.Empty), bytes, offer));
        Assert.Empty(_storage.List());
    }

    [Fact]
    public void BeginReceive_OtherOffer_StartsOver()
    {
        var (bytes, offer) = Served(2_500_000);
        var store = new SnapshotStore(_storage, Samples.Cluster);
        foreach (var other in new[] { offer, offer with { Crc = 1 }, offer with { LengthBytes = 2_400_000 }, offer with { Last = new(4, 50) } })
        {
            using var incoming = store.BeginReceive(other);
            Assert.Equal(0, incoming.ReceivedBytes);
            Assert.Null(Add(incoming, bytes, 0, ChunkBytes));
            Assert.Null(Add(incoming, bytes, ChunkBytes, ChunkBytes));
            Assert.Single(_storage.List());
        }

        store.DiscardIncoming();
        Assert.Empty(_storage.List());
    }

    [Fact]
    public void AppendChunk_FlushFails_LosesThePartialFile()
    {
        var (bytes, offer) = Served(1000);
        var store = new SnapshotStore(_storage, Samples.Cluster);
        using var incoming = store.BeginReceive(offer);
        _storage.FailNextSync = true;
        Assert.Throws<IOException>(() => Add(incoming, bytes, 0, 100));
        Assert.Empty(_storage.List());
        Assert.Equal(0, Receive(store, bytes, offer));
    }

    [Fact]
    public void RealDirectory_WriteServeReceiveReopen_KeepsTheBytes()
    {
        var path = Directory.CreateTempSubdirectory("snapshots-").FullName;
        try
        {
            var source = new SnapshotStore(new DirectorySnapshotStorage(Path.Combine(path, "a")), Samples.Cluster);
            var meta = source.Write(50, Samples.Content(2_500_000));
            var target = new SnapshotStore(new DirectorySnapshotStorage(Path.Combine(path, "b")), Samples.Cluster);
            using (var incoming = target.BeginReceive(SnapshotOffer.Of(meta)))
            {
                for (var i = 0; i < 2; i++)
                {
                    var chunk = source.ReadChunk(meta.Last, incoming.ReceivedBytes, ChunkBytes);
                    Assert.Null(incoming.AppendChunk(chunk.Offset, chunk.Bytes.Span, chunk.Crc));
                }
            }

            target = new SnapshotStore(new DirectorySnapshotStorage(Path.Combine(path, "b")), Samples.Cluster);
            using (var incoming = target.BeginReceive(SnapshotOffer.Of(meta)))
            {
                Assert.Equal(ChunkBytes, incoming.ReceivedBytes);
                while (!incoming.IsComplete)
                {
                    var chunk = source.ReadChunk(meta.Last, incoming.ReceivedBytes, ChunkBytes);
                    Assert.Null(incoming.AppendChunk(chunk.Offset, chunk.Bytes.Span, chunk.Crc));
                }

                Assert.Equal(meta.Crc, incoming.Commit().Crc);
            }

            var name = Assert.Single(Directory.GetFiles(Path.Combine(path, "b")));
            Assert.Equal(File.ReadAllBytes(Path.Combine(path, "a", Path.GetFileName(name))), File.ReadAllBytes(name));
            Assert.Throws<FileNotFoundException>(() => target.OpenVerified(new(1, 1)));
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    private static (byte[] Bytes, SnapshotOffer Offer) Served(int contentBytes)
    {
        var storage = new MemorySnapshotStorage();
        var meta = new SnapshotStore(storage, Samples.Cluster).Write(50, Samples.Content(contentBytes));
        return (storage.Bytes(SnapshotName.Of(meta.Last)), SnapshotOffer.Of(meta));
    }

    /// <returns>Where it began.</returns>
    private static long Receive(SnapshotStore store, byte[] bytes, SnapshotOffer offer)
    {
        using var incoming = store.BeginReceive(offer);
        var start = incoming.ReceivedBytes;
        while (!incoming.IsComplete)
            Assert.Null(Add(incoming, bytes, incoming.ReceivedBytes, (int)Math.Min(ChunkBytes, bytes.Length - incoming.ReceivedBytes)));
        incoming.Commit();
        return start;
    }

    private static string? Add(IncomingSnapshot incoming, byte[] bytes, long offset, int length)
    {
        var chunk = bytes.AsSpan((int)Math.Max(offset, 0), length);
        return incoming.AppendChunk(offset, chunk, Crc32C.Compute(chunk));
    }
}
