using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

public sealed class WalCompactionTests
{
    private const int SegmentBytes = 16 * 1024;

    [Fact]
    public void Compact_KeepsWhatRecoveryNeeds_AndReopensFromTheBase()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Fill(log, 1, 20);
            log.Compact(9);
            log.Maintain();
        }

        var recovered = Open(storage);
        Assert.Equal(new EntryId(1, 8), recovered.Base); // Four frames a segment: the one that begins with entry 9 is the first.
        Assert.Equal(Enumerable.Range(9, 12), recovered.Entries.Select(entry => (int)entry.Index));
        Assert.Equal(2, storage.Files.Keys.Count(WalFiles.IsSpare) + (storage.Files.ContainsKey(WalFiles.Segment(6)) ? 1 : 0));
    }

    [Fact] // The frame in segment 2 is not reachable from a start whose base lies behind its own previous entry.
    public void Compact_LaterFrameGoesBackBehindTheStart_KeepsTheSegmentBefore()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Fill(log, 1, 9, commit: 2); // Segments begin with the entries 1, 5, 9.
            log.Append(new WriteBatch(0, new HardState(2, default, 2), new EntryId(1, 6), [Entry(2, 7), Entry(2, 8), Entry(2, 9)]));
            log.Append(new WriteBatch(0, new HardState(2, default, 9), new EntryId(2, 9), [Entry(2, 10)]));
            log.Flush();
            log.Compact(9);
        }

        var recovered = Open(storage);
        Assert.Equal(new EntryId(1, 4), recovered.Base);
        Assert.Equal(new EntryId(2, 10), recovered.Entries[^1].Id);
    }

    [Fact]
    public void Compact_FirstFrameNotDurable_KeepsTheSegmentBefore()
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        Fill(log, 1, 4);
        log.Append(new WriteBatch(0, new HardState(7, new NodeId(3), 4), new EntryId(1, 4), []));
        log.Compact(4);
        Assert.DoesNotContain(WalFiles.Start, storage.Files.Keys);
        log.Flush();
        log.Compact(4);
        Assert.Contains(WalFiles.Start, storage.Files.Keys);
    }

    [Fact]
    public void Reset_ReplacesTheLog_AndAllBeforeItCanBeDropped()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Fill(log, 1, 5);
            log.Append(new WriteBatch(0, new HardState(3, default, 50), new EntryId(2, 50), [Entry(3, 51)], IsReset: true));
            log.Flush();
        }

        Check(Open(storage));
        using (var log = new WriteAheadLog(storage, SegmentBytes, 2))
        {
            log.Compact(50);
            log.Maintain();
        }

        Assert.Equal(1UL, (ulong)WalInspector.Inspect(storage).Segments.Count(segment => segment.Frames.Count > 0));
        Check(Open(storage));

        static void Check(RecoveredLog recovered)
        {
            Assert.Equal(new EntryId(2, 50), recovered.Base);
            Assert.Equal([new EntryId(3, 51)], recovered.Entries.Select(entry => entry.Id));
            Assert.Equal(new HardState(3, default, 50), recovered.HardState);
        }
    }

    [Fact]
    public void Reset_ThenHardStateAlone_KeepsTheBase()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            log.Append(new WriteBatch(0, new HardState(3, default, 50), new EntryId(2, 50), [], IsReset: true));
            log.Append(new WriteBatch(0, new HardState(4, new NodeId(1), 50), new EntryId(2, 50), []));
            log.Flush();
        }

        var recovered = Open(storage);
        Assert.Equal((new HardState(4, new NodeId(1), 50), new EntryId(2, 50), 0), (recovered.HardState, recovered.Base, recovered.Entries.Count));
    }

    [Fact] // Reference raft.md 7, bug 24.
    public void RecycledSegment_OldFramesBehindTheTail_AreNeitherReadNorATornTail()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Fill(log, 1, 8);
            log.Compact(8);
            Fill(log, 9, 8);
            log.Compact(16);
            Fill(log, 17, 1); // In a recycled segment, whose other three frames are old.
        }

        var tail = WalInspector.Inspect(storage).Segments.Last(segment => segment.Frames.Count > 0).Name;
        Assert.Equal(4, Enumerable.Range(0, 4).Count(block => WalFrame.DecodeHeader(storage.Files[tail].AsSpan(block * 4096)) is not null));
        Assert.Equal(WalVerdict.Intact, WalInspector.Verify(storage).Verdict);
        var recovered = Open(storage);
        Assert.Equal(17UL, recovered.Entries[^1].Index);
        Assert.False(recovered.TornFrames);
    }

    [Fact]
    public void Spares_AreBounded()
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        Fill(log, 1, 60);
        log.Compact(60);
        log.Maintain();
        Assert.True(storage.Files.Count <= 6, string.Join(' ', storage.Files.Keys));
        Assert.False(log.IsMaintenanceDue);
    }

    [Fact]
    public void Maintain_BeforeTheRoll_LeavesNothingForTheRollToMake()
    {
        var storage = new FaultyStorage(0, isCrash: false);
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        Assert.True(log.IsMaintenanceDue);
        log.Maintain();
        Fill(log, 1, 3);
        Assert.True(log.IsMaintenanceDue);
        log.Maintain();
        Assert.False(log.IsMaintenanceDue);
        Fill(log, 4, 1);
        var before = storage.Operations;
        log.Append(new WriteBatch(0, new HardState(1, default, 4), new EntryId(1, 4), [Entry(1, 5)]));
        Assert.Equal(before, storage.Operations); // The next segment was there; the frame waits for the flush.
        log.Flush();
        Assert.Equal(before + 3, storage.Operations); // One write, one flush, the mark.
    }

    [Fact] // The one call that another thread makes.
    public void Maintain_OnAnotherThread_WhileTheLogRolls()
    {
        var path = Directory.CreateTempSubdirectory("raft-mirror-wal-").FullName;
        try
        {
            using (var log = new WriteAheadLog(new DirectoryStorage(path), SegmentBytes, 1))
            {
                var isDone = false;
                var thread = new Thread(() =>
                {
                    while (!Volatile.Read(ref isDone)) log.Maintain();
                });
                thread.Start();
                try
                {
                    for (ulong first = 1; first < 150; first += 5)
                    {
                        Fill(log, first, 5);
                        log.Compact(first);
                    }
                }
                finally
                {
                    Volatile.Write(ref isDone, true);
                    thread.Join();
                }
            }

            using var again = new WriteAheadLog(new DirectoryStorage(path), SegmentBytes, 2);
            Assert.Equal(150UL, again.Recovered.Entries[^1].Index);
            Assert.True(again.Recovered.Base.Index > 130);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    [Fact]
    public void GroupCommit_LargeAndSmallBatches_RecoverAsOneLog()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, 8 << 20, 1))
        {
            LogEntry[] large = [.. Enumerable.Range(1, 30).Select(i => new LogEntry(
                new EntryId(1, (ulong)i), EntryType.Command, default, Enumerable.Repeat((byte)i, i == 7 ? 5 << 20 : 300_000).ToArray()))];
            log.Append(new WriteBatch(0, new HardState(1, default, 30), default, large));
            for (ulong index = 31; index <= 90; index++)
                log.Append(new WriteBatch(0, new HardState(1, default, 30), new EntryId(1, index - 1), [Entry(1, index)]));
            log.Flush();
        }

        var recovered = Open(storage);
        Assert.Equal(Enumerable.Range(1, 90), recovered.Entries.Select(entry => (int)entry.Index));
        Assert.All(recovered.Entries, entry => Assert.Equal(-1, entry.Payload.Span.IndexOfAnyExcept((byte)entry.Index)));
    }

    [Fact]
    public void AppendAndFlush_Warm_AllocatesNothing()
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, 16 << 20, 1);
        WriteBatch[] batches = [.. Enumerable.Range(0, 500).Select(i => new WriteBatch(
            0, new HardState(1, default, (ulong)i), new EntryId(i == 0 ? 0UL : 1UL, (ulong)i), [Entry(1, (ulong)i + 1)]))];
        foreach (var batch in batches[..100]) AppendAndFlush(batch);

        // A collection that another thread causes counts what this thread had reserved and not used: once, not in each of four rounds.
        var least = long.MaxValue;
        for (var round = 1; round < 5; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            foreach (var batch in batches.AsSpan(round * 100, 100)) AppendAndFlush(batch);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);

        void AppendAndFlush(WriteBatch batch)
        {
            log.Append(batch);
            log.Flush();
        }
    }

    private static void Fill(WriteAheadLog log, ulong first, ulong count, ulong? commit = null)
    {
        for (var index = first; index < first + count; index++)
        {
            var previous = new EntryId(index == 1 ? 0UL : 1UL, index - 1);
            log.Append(new WriteBatch(0, new HardState(1, default, Math.Min(commit ?? index, index)), previous, [Entry(1, index)]));
            log.Flush();
        }
    }

    private static LogEntry Entry(ulong term, ulong index) =>
        new(new EntryId(term, index), EntryType.Command, new ProposalId(1, 2, index), Enumerable.Repeat((byte)index, 300).ToArray());

    private static RecoveredLog Open(MemoryStorage storage)
    {
        using var log = new WriteAheadLog(storage, SegmentBytes, 9);
        return log.Recovered;
    }
}
