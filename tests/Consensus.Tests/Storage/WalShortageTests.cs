using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>Space and descriptors run out under the log (design §14.22): nothing was promised about what does not fit, so nothing is over.</summary>
public sealed class WalShortageTests
{
    private const int SegmentBytes = 64 << 10;
    private const int NoSpace = 28;
    private const int TooManyOpen = 24;
    private const int IoError = 5;

    [Theory]
    [InlineData(NoSpace, false)]
    [InlineData(TooManyOpen, false)]
    [InlineData(TooManyOpen, true)] // The file is there, and its directory could not be opened to be flushed.
    public void Append_NoFurtherSegment_SaysSoAndFitsLater(int errno, bool isDone)
    {
        var storage = new MemoryStorage { IsDoneAllTheSame = isDone };
        ulong last = 0;
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Assert.True(log.Append(Batch(++last)));
            storage.CreateErrno = errno;
            while (log.Append(Batch(++last))) Assert.True(log.Flush());
            Assert.NotNull(log.Shortage);
            Assert.True(last > 10, "what is left of the segment is used first");
            Assert.True(log.Flush(), "what went in is made durable all the same");
            Assert.False(log.Append(Batch(last)));
            storage.CreateErrno = 0;
            Assert.True(log.Append(Batch(last)));
            Assert.True(log.Flush());
            Assert.Null(log.Shortage);
        }

        Assert.Equal(Enumerable.Range(1, (int)last), Recover(storage));
    }

    [Fact] // Half of a segment before it is full, so that commands can be refused while there is room for what keeps things running.
    public void Maintain_NoFurtherSegment_TellsWhileHalfIsLeft()
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        ulong last = 0;
        Assert.True(log.Append(Batch(++last)));
        storage.CreateErrno = NoSpace;
        while (!log.IsMaintenanceDue) Assert.True(log.Append(Batch(++last)));
        log.Maintain();
        Assert.Contains("ENOSPC", log.Shortage, StringComparison.Ordinal);
        Assert.True(log.Append(Batch(++last)), "there is room for more");
        storage.CreateErrno = 0;
        log.Maintain();
        Assert.Null(log.Shortage);
    }

    [Fact] // A batch of several frames, of which the first ones fit: they are not repeated.
    public void Append_BatchThatFitsInPart_GoesOnWhereItWas()
    {
        var storage = new MemoryStorage();
        LogEntry[] entries = [.. Enumerable.Range(1, 8).Select(i => Entry((ulong)i, 30_000))];
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Assert.True(log.Append(new WriteBatch(1, new HardState(1, default, 0), default, [])));
            storage.CreateErrno = NoSpace;
            var batch = new WriteBatch(2, new HardState(1, default, 0), default, entries);
            Assert.False(log.Append(batch));
            Assert.True(log.Flush());
            storage.CreateErrno = 0;
            Assert.True(log.Append(batch));
            Assert.True(log.Flush());
        }

        Assert.Equal(Enumerable.Range(1, 8), Recover(storage));
    }

    [Fact] // A file system that never writes in place has no space for what lies in the segment either.
    public void Flush_WriteFindsNoSpace_IsDoneAgain()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Assert.True(log.Append(Batch(1)));
            Assert.True(log.Flush());
            Assert.True(log.Append(Batch(2)));
            storage.WriteErrno = NoSpace;
            Assert.False(log.Flush());
            Assert.NotNull(log.Shortage);
            storage.WriteErrno = 0;
            Assert.True(log.Flush());
            Assert.Null(log.Shortage);
        }

        Assert.Equal([1, 2], Recover(storage));
    }

    [Theory] // Compaction needs a block for the start record; without it nothing goes, and it is asked for again.
    [InlineData(false)]
    [InlineData(true)]
    public void Compact_NoSpaceForTheStart_DropsNothing(bool isDone)
    {
        var storage = new MemoryStorage { IsDoneAllTheSame = isDone };
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        for (ulong i = 1; i <= 60; i++)
        {
            Assert.True(log.Append(Batch(i)));
            Assert.True(log.Flush());
        }

        var before = storage.Files.Keys.ToArray();
        storage.CreateErrno = NoSpace;
        Assert.False(log.Compact(60));
        Assert.Superset(before.ToHashSet(), storage.Files.Keys.ToHashSet());
        storage.CreateErrno = 0;
        Assert.True(log.Compact(60));
    }

    [Theory] // Whatever else goes wrong is final, a failed flush whatever it failed for.
    [InlineData(true)]
    [InlineData(false)]
    public void OtherErrors_EndTheLog(bool inFlush)
    {
        var storage = new MemoryStorage();
        using var log = new WriteAheadLog(storage, SegmentBytes, 1);
        Assert.True(log.Append(Batch(1)));
        if (inFlush) storage.FailFlush = true;
        else storage.WriteErrno = IoError;
        Assert.Throws<WalException>(() => log.Flush());
        storage.FailFlush = false;
        storage.WriteErrno = 0;
        Assert.Throws<WalException>(() => log.Append(Batch(2)));
    }

    private static WriteBatch Batch(ulong index) => new(
        index, new HardState(1, default, 0), new EntryId(index == 1 ? 0UL : 1UL, index - 1), [Entry(index, 300)]);

    private static LogEntry Entry(ulong index, int bytes) =>
        new(new EntryId(1, index), EntryType.Command, new ProposalId(1, 2, index), new byte[bytes]);

    private static IEnumerable<int> Recover(MemoryStorage storage)
    {
        using var log = new WriteAheadLog(storage, SegmentBytes, 2);
        return log.Recovered.Entries.Select(entry => (int)entry.Index);
    }
}
