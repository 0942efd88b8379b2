using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

public sealed class WriteAheadLogTests
{
    private const int SegmentBytes = 16 * 1024;
    private const int FlushedBatches = 6;

    [Fact]
    public void Reopen_AfterFlush_HasEverything()
    {
        var storage = Generate(unflushed: 0);
        var recovered = Open(storage);
        Assert.Equal(new HardState(FlushedBatches, new NodeId(2), FlushedBatches), recovered.HardState);
        Assert.Equal(Enumerable.Range(1, 2 * FlushedBatches), recovered.Entries.Select(entry => (int)entry.Index));
        Assert.True(storage.Files.Count > 2, "The log spans several segments.");
    }

    [Fact] // Reference raft.md 5.4: what is past the mark may be torn at any sector.
    public void TailPastTheMark_CutAtEverySector_IsAnExactPrefix()
    {
        var whole = Generate(unflushed: 2);
        var full = Open(whole.Copy());
        foreach (var (name, bytes) in whole.Files.Where(file => file.Key.StartsWith("seg-", StringComparison.Ordinal)))
        {
            for (var cut = 0; cut < bytes.Length; cut += 512)
            {
                var damaged = whole.Copy();
                damaged.Files[name].AsSpan(cut).Clear();
                var later = damaged.Files.Keys.Where(other => string.CompareOrdinal(other, name) > 0 && other.StartsWith("seg-", StringComparison.Ordinal)).ToArray();
                foreach (var other in later) damaged.Files[other].AsSpan().Clear();
                RequirePrefixOrFault(damaged, full);
            }
        }
    }

    [Fact] // Reference raft.md 7, bug 23: never silently shorter than what was durable.
    public void AnyBit_Flipped_IsAnExactPrefixOrAFault()
    {
        var whole = Generate(unflushed: 1);
        var full = Open(whole.Copy());
        var faults = 0;
        foreach (var (name, bytes) in whole.Files)
        {
            for (var at = 0; at < bytes.Length; at += at % 4096 < 512 ? 3 : 97)
            {
                var damaged = whole.Copy();
                damaged.Files[name][at] ^= (byte)(1 << (at % 8));
                if (RequirePrefixOrFault(damaged, full)) faults++;
            }
        }

        Assert.True(faults > 100, $"{faults} faults");
    }

    [Fact]
    public void TornTail_ThenMoreWrites_StaleFramesNeverComeBack()
    {
        var storage = Generate(unflushed: 2);
        var segment = storage.Files.Keys.Last();
        var frames = Enumerable.Range(0, SegmentBytes / 4096).Where(block => storage.Files[segment][block * 4096] != 0).ToArray();
        storage.Files[segment][(frames[^2] * 4096) + 200] ^= 1; // The first of the two unflushed frames is torn, the second is whole.
        int count;
        using (var log = new WriteAheadLog(storage, SegmentBytes, 2))
        {
            count = log.Recovered.Entries.Count;
            Assert.True(log.Recovered.TornFrames);
            Assert.Equal(2 * FlushedBatches, count);
            log.Append(Batch(1, FlushedBatches + 1, count));
            log.Flush();
        }

        Assert.Equal(count + 2, Open(storage).Entries.Count);
    }

    [Fact] // Reference raft.md 7, bug 22.
    public void Flush_Fails_TheLogTakesNothingMore()
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        storage.FailFlush = true;
        log.Append(Batch(1, 1, 0));
        Assert.Throws<WalException>(() => log.Flush());
        storage.FailFlush = false;
        Assert.Throws<WalException>(() => log.Flush());
        Assert.Throws<WalException>(() => log.Append(Batch(2, 1, 2)));
    }

    [Fact]
    public void Batch_ThatReplacesASuffix_RecoversWithoutIt()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            log.Append(Batch(1, 1, 0));
            log.Append(new WriteBatch(2, new HardState(3, default, 0), new EntryId(1, 1), [Entry(3, 2)]));
            log.Flush();
        }

        Assert.Equal([new EntryId(1, 1), new EntryId(3, 2)], Open(storage).Entries.Select(entry => entry.Id));
    }

    [Fact]
    public void MarkOrSegment_Missing_IsAFault()
    {
        var storage = Generate(unflushed: 0);
        var withoutMark = storage.Copy();
        withoutMark.Files.Remove("durable.mark");
        Assert.Throws<WalException>(() => Open(withoutMark));
        foreach (var name in storage.Files.Keys.Where(name => name.StartsWith("seg-", StringComparison.Ordinal)))
        {
            var damaged = storage.Copy();
            damaged.Files.Remove(name);
            Assert.Throws<WalException>(() => Open(damaged));
        }
    }

    [Fact]
    public void Directory_Reopened_HasEverything()
    {
        var path = Directory.CreateTempSubdirectory("raft-mirror-wal-").FullName;
        try
        {
            for (var life = 0; life < 3; life++)
            {
                using var log = new WriteAheadLog(new DirectoryStorage(path), SegmentBytes, (ulong)life + 1);
                Assert.Equal(life * 2, log.Recovered.Entries.Count);
                log.Append(Batch(1, life + 1, life * 2));
                log.Flush();
            }
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    private static MemoryStorage Generate(int unflushed)
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        for (var i = 1; i <= FlushedBatches + unflushed; i++)
        {
            log.Append(Batch((ulong)i, i, (i - 1) * 2));
            if (i <= FlushedBatches) log.Flush();
            else log.Submit();
        }

        return storage;
    }

    private static WriteBatch Batch(ulong sequence, int term, int last) => new(
        sequence,
        new HardState((ulong)term, new NodeId(2), (ulong)Math.Min(term, last + 2)),
        new EntryId(last == 0 ? 0 : (ulong)term - 1, (ulong)last),
        [Entry((ulong)term, (ulong)last + 1), Entry((ulong)term, (ulong)last + 2)]);

    private static LogEntry Entry(ulong term, ulong index) => new(
        new EntryId(term, index), EntryType.Command, new ProposalId(1, 2, index), Enumerable.Repeat((byte)(index + 1), 700).ToArray());

    private static RecoveredLog Open(MemoryStorage storage)
    {
        using var log = new WriteAheadLog(storage, SegmentBytes, 9);
        return log.Recovered;
    }

    /// <returns>True for a fault.</returns>
    private static bool RequirePrefixOrFault(MemoryStorage damaged, RecoveredLog full)
    {
        RecoveredLog recovered;
        try
        {
            recovered = Open(damaged);
        }
        catch (WalException)
        {
            return true;
        }

        Assert.True(recovered.Entries.Count >= 2 * FlushedBatches, $"Only {recovered.Entries.Count} entries, without a word.");
        for (var i = 0; i < recovered.Entries.Count; i++)
        {
            Assert.Equal(full.Entries[i].Id, recovered.Entries[i].Id);
            Assert.True(full.Entries[i].Payload.Span.SequenceEqual(recovered.Entries[i].Payload.Span));
        }

        return false;
    }
}
