using System.Text.Json;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

public sealed class WalToolsTests : IDisposable
{
    private const int SegmentBytes = 16 * 1024;
    private readonly string _root = Directory.CreateTempSubdirectory("raft-mirror-wal-").FullName;

    private string Source => Path.Combine(_root, "old");

    private string Target => Path.Combine(_root, "new");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Inspect_OfADirectory_TellsAllAndChangesNothing()
    {
        Fill(unflushed: 2);
        Flip(WalFiles.Segment(4), 4096 + 200); // The first of the two that were not flushed.
        File.WriteAllText(Path.Combine(Source, "notes.txt"), "not the log's");
        File.WriteAllText(Path.Combine(Source, "seg-000000000009.wal.new"), "unfinished");
        var before = Contents();
        var report = WalInspector.Inspect(Source);
        Assert.Equal(WalVerdict.TornTail, report.Verdict);
        Assert.Equal((13UL, 13UL, new EntryId(1, 13)), (report.Mark, report.LastFrame, report.Last));
        var cut = Assert.Single(report.Cut, frame => frame.Sequence == 15);
        Assert.Equal((WalFiles.Segment(4), 8192L, FrameVerdict.BehindTail), (cut.Segment, cut.Offset, cut.Verdict));
        Assert.Equal(15, report.Segments.Sum(segment => segment.Frames.Count));
        Assert.Contains("notes.txt", report.Others);
        Assert.Equal(before, Contents());
    }

    [Fact]
    public void Verify_DurableFrameDamaged_NamesThePlaceAndChangesNothing()
    {
        Fill(unflushed: 0);
        Flip(WalFiles.Segment(2), 4096 + 200);
        var before = Contents();
        var report = WalInspector.Verify(Source);
        Assert.Equal(WalVerdict.Damaged, report.Verdict);
        Assert.Equal((WalFiles.Segment(2), 4096L, 6UL, 13UL), (report.Damage!.File, report.Damage.Offset, report.Damage.Sequence, report.Damage.KnownDurable));
        Assert.Equal(before, Contents());
    }

    [Fact]
    public void Recover_DamagedLog_KeepsTheLongestPrefixAndSaysWhatIsLost()
    {
        Fill(unflushed: 0);
        Flip(WalFiles.Segment(2), 4096 + 200);
        var before = Contents();
        var receipt = WalSalvage.Recover(Source, Target, SegmentBytes, 8, "both others burnt", DateTimeOffset.UnixEpoch);
        Assert.Equal(before, Contents());
        Assert.Equal((5UL, 5UL, 8UL, 13UL), (receipt.KeptLast.Index, receipt.KeptFrames, receipt.LostKnownDurableFrames, receipt.LostLastIndexSeen));
        Assert.True(receipt is { WasDamaged: true, RequiresNewIncarnation: true, RequiresNewClusterGeneration: true });
        Assert.All(receipt.Sources, source => Assert.NotNull(source.Crc32C));
        using var written = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Target, WalSalvage.ReceiptName)));
        Assert.Equal("both others burnt", written.RootElement.GetProperty("reason").GetString());
        Assert.Equal(5UL, written.RootElement.GetProperty("keptLast").GetProperty("index").GetUInt64());
        using var log = new WriteAheadLog(new DirectoryStorage(Target), SegmentBytes, 9);
        Assert.Equal(Enumerable.Range(1, 5), log.Recovered.Entries.Select(entry => (int)entry.Index));
        Assert.Equal(new HardState(1, new NodeId(2), 5), log.Recovered.HardState);
    }

    [Fact] // Without the record of where the log starts the first segment says it, but only here.
    public void Recover_StartRecordAndMarkLost_TakesTheFirstSegment()
    {
        Fill(unflushed: 0);
        using (var log = new WriteAheadLog(new DirectoryStorage(Source), SegmentBytes, 2))
        {
            log.Compact(13);
            log.Maintain();
        }

        File.Delete(Path.Combine(Source, WalFiles.Start));
        File.Delete(Path.Combine(Source, WalFiles.Mark));
        Assert.Throws<WalException>(() => new WriteAheadLog(new DirectoryStorage(Source), SegmentBytes, 3));
        var receipt = WalSalvage.Recover(Source, Target, SegmentBytes, 8, "files lost", DateTimeOffset.UnixEpoch);
        Assert.Equal((12UL, 13UL), (receipt.KeptBase.Index, receipt.KeptLast.Index));
        using var salvaged = new WriteAheadLog(new DirectoryStorage(Target), SegmentBytes, 9);
        Assert.Equal(new EntryId(1, 12), salvaged.Recovered.Base);
    }

    [Fact]
    public void Verify_BlockUnreadable_IsDamageWithItsPlace()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1)) Append(log, 1, 3);
        storage.Unreadable = 4096 + 17;
        var report = WalInspector.Inspect(storage);
        Assert.Equal(WalVerdict.Damaged, report.Verdict);
        Assert.Equal((WalFiles.Segment(1), 4096L), (report.Damage!.File, report.Damage.Offset));
        Assert.Equal(1UL, report.LastFrame);
        Assert.Throws<WalException>(() => new WriteAheadLog(storage, SegmentBytes, 2));
    }

    [Fact] // Segments, spares and a prepared segment of another length are not used for frames of the new one.
    public void SegmentLength_Changed_OldFilesAreReadAndNotReused()
    {
        var storage = new MemoryStorage();
        using (var log = new WriteAheadLog(storage, SegmentBytes, 1))
        {
            Append(log, 1, 12);
            log.Compact(12);
            log.Maintain();
        }

        using (var log = new WriteAheadLog(storage, 4 * SegmentBytes, 2))
        {
            Assert.Equal(12UL, log.Recovered.Entries[^1].Index);
            Append(log, 13, 30);
            log.Compact(30);
            log.Maintain();
        }

        Assert.All(storage.Files.Where(file => WalFiles.IsSpare(file.Key)), file => Assert.Equal(4 * SegmentBytes, file.Value.Length));
        using var again = new WriteAheadLog(storage, 4 * SegmentBytes, 3);
        Assert.Equal(42UL, again.Recovered.Entries[^1].Index);
    }

    [Fact]
    public void Recover_InPlaceOrWithoutReason_IsRefused()
    {
        Fill(unflushed: 0);
        Assert.Throws<ArgumentException>(() => WalSalvage.Recover(Source, Source, SegmentBytes, 8, "why not", DateTimeOffset.UnixEpoch));
        Assert.Throws<ArgumentException>(() => WalSalvage.Recover(Source, Target, SegmentBytes, 8, " ", DateTimeOffset.UnixEpoch));
        Assert.Empty(Directory.GetDirectories(_root, "new*"));
    }

    private static void Append(WriteAheadLog log, ulong first, ulong count)
    {
        for (var index = first; index < first + count; index++)
        {
            var entry = new LogEntry(new EntryId(1, index), EntryType.Command, default, new byte[300]);
            log.Append(new WriteBatch(0, new HardState(1, new NodeId(2), index), new EntryId(index == 1 ? 0UL : 1UL, index - 1), [entry]));
            log.Flush();
        }
    }

    /// <summary>Thirteen flushed frames of one entry, four a segment, and more that only reached the cache.</summary>
    private void Fill(int unflushed)
    {
        using var log = new WriteAheadLog(new DirectoryStorage(Source), SegmentBytes, 1);
        Append(log, 1, 13);
        for (ulong index = 14; index <= 13 + (ulong)unflushed; index++)
        {
            var entry = new LogEntry(new EntryId(1, index), EntryType.Command, default, new byte[300]);
            log.Append(new WriteBatch(0, new HardState(1, new NodeId(2), index), new EntryId(1, index - 1), [entry]));
        }

        log.Submit();
    }

    private void Flip(string name, int offset)
    {
        var path = Path.Combine(Source, name);
        var bytes = File.ReadAllBytes(path);
        bytes[offset] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    private string[] Contents() =>
        [.. Directory.GetFiles(Source).Order(StringComparer.Ordinal).Select(path => path + Convert.ToHexString(File.ReadAllBytes(path)))];
}
