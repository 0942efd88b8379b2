using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Storage;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>A log with several segments, replaced suffixes, a reset, compaction, recycled segments and group commits, damaged everywhere.
/// The verdict is the exact prefix, not shorter than what was durable, or a refusal. Damage is done in place and undone, and
/// judged by the analysis that opening uses; opening itself, which repairs, is tried at every sector.</summary>
public sealed class WalDamageTests
{
    [Fact]
    public void GeneratedLog_HasEverything()
    {
        var (storage, model) = Generate();
        var report = WalInspector.Inspect(storage);
        Assert.NotEqual(WalVerdict.Damaged, report.Verdict);
        Assert.True(report.Segments.Count >= 4, $"{report.Segments.Count} segments");
        Assert.True(report.Start.SegmentId > 3, "The log was compacted.");
        Assert.True(model.LastFrame > model.Durable, "The last frames were not flushed.");
        Assert.Contains(report.Segments.SelectMany(segment => segment.Frames), frame => frame.IsReset);
        Assert.True(StaleFrames(storage) > 0, "Recycled segments hold old frames.");
    }

    [Theory]
    [InlineData(false)] // Zeros from there on, as a file that was never written.
    [InlineData(true)] // The file ends there.
    public void LastSegment_CutAtEveryByte_IsAnExactPrefixOrAFault(bool isShorter)
    {
        var (storage, model) = Generate();
        var name = LastUsedSegment(storage);
        var whole = storage.Files[name];
        var faults = 0;
        for (var cut = whole.Length - 1; cut >= 0; cut--)
        {
            if (isShorter) storage.Files[name] = whole[..cut];
            else whole[cut] = 0;
            if (Judge(storage, model)) faults++;
        }

        Assert.True(faults > 0, "Part of the segment was durable.");
    }

    [Fact]
    public void EveryFile_CutAtEverySector_OpensToAnExactPrefixOrNotAtAll()
    {
        var (whole, model) = Generate();
        foreach (var (name, bytes) in whole.Files)
        {
            for (var cut = 0; cut < bytes.Length; cut += 512)
            {
                var damaged = whole.Copy();
                damaged.Files[name].AsSpan(cut).Clear();
                Open(damaged, model.Copy());
            }
        }
    }

    [Fact] // Every byte of frame headers, entry headers and small files; every 37th of the rest. The slow one takes all.
    public void EveryFile_OneBitFlipped_IsAnExactPrefixOrAFault() => FlipBits(37);

    [Fact]
    [Trait("Category", "Slow")]
    public void EveryFile_OneBitFlippedInEveryByte_IsAnExactPrefixOrAFault() => FlipBits(1);

    [Fact]
    public void EveryFile_OneSectorLostOrFromElsewhere_IsAnExactPrefixOrAFault()
    {
        var (storage, model) = Generate();
        var random = new Xoshiro(5);
        foreach (var name in storage.Files.Keys.ToArray())
        {
            var whole = storage.Files[name];
            for (var at = 0; at + 512 <= whole.Length; at += 512)
            {
                var lost = (byte[])whole.Clone();
                lost.AsSpan(at, 512).Clear();
                storage.Files[name] = lost;
                Judge(storage, model);
                var misdirected = (byte[])whole.Clone();
                whole.AsSpan(random.Next(whole.Length / 512) * 512, 512).CopyTo(misdirected.AsSpan(at));
                storage.Files[name] = misdirected;
                Judge(storage, model);
            }

            storage.Files[name] = whole;
        }
    }

    [Fact]
    public void Files_LostSwappedOrRenamed_IsAFaultWhereTheyCount()
    {
        var (whole, model) = Generate();
        var used = WalInspector.Inspect(whole).Segments.Where(segment => segment.Frames.Count > 0).Select(segment => segment.Name).ToArray();
        foreach (var name in whole.Files.Keys)
        {
            var damaged = whole.Copy();
            damaged.Files.Remove(name);
            var isFault = Open(damaged, model.Copy());
            if (used.Contains(name) || name is WalFiles.Mark or WalFiles.Start) Assert.True(isFault, $"{name} was lost, and nobody noticed.");
        }

        foreach (var (one, other) in whole.Files.Keys.SelectMany(one => whole.Files.Keys.Select(other => (one, other))))
        {
            if (one == other) continue;
            var swapped = whole.Copy();
            (swapped.Files[one], swapped.Files[other]) = (swapped.Files[other], swapped.Files[one]);
            Open(swapped, model.Copy());
            var renamed = whole.Copy();
            renamed.Rename(one, other);
            Open(renamed, model.Copy());
        }
    }

    [Fact] // An earlier start record or mark, with the segments of now.
    public void StartRecordOrMark_OfThePast_IsAnExactPrefixOrAFault()
    {
        var past = new List<(string Name, byte[] Bytes)>();
        var storage = new MemoryStorage();
        var model = new WalModel();
        using (var log = new WriteAheadLog(storage, WalScript.SegmentBytes, 1))
        {
            for (var i = 0; i < 40; i++)
            {
                Assert.True(WalScript.Run(log, model, (ulong)i + 1, 6));
                foreach (var name in new[] { WalFiles.Start, WalFiles.Mark })
                    if (storage.Files.TryGetValue(name, out var bytes)) past.Add((name, (byte[])bytes.Clone()));
            }
        }

        Assert.Contains(past, file => file.Name == WalFiles.Start);
        foreach (var (name, bytes) in past)
        {
            var damaged = storage.Copy();
            damaged.Files[name] = bytes;
            Open(damaged, model.Copy());
        }
    }

    private static void FlipBits(int every)
    {
        var (storage, model) = Generate();
        var faults = 0;
        foreach (var (name, bytes) in storage.Files)
        {
            for (var at = 0; at < bytes.Length; at++)
            {
                if (at % WalFrame.BlockBytes > WalFrame.HeaderBytes + 96 && at % every != 0) continue;
                bytes[at] ^= (byte)(1 << ((at * 5) % 8));
                if (Judge(storage, model)) faults++;
                bytes[at] ^= (byte)(1 << ((at * 5) % 8));
            }
        }

        Assert.True(faults > 500, $"{faults} faults");
    }

    private static (MemoryStorage Storage, WalModel Model) Generate()
    {
        var storage = new MemoryStorage();
        var model = new WalModel();
        var random = new Xoshiro(11);
        using var log = new WriteAheadLog(storage, WalScript.SegmentBytes, 1);
        Assert.True(WalScript.Run(log, model, 11, 150));
        Reset(log, model);
        Assert.True(WalScript.Run(log, model, 12, 60));
        model.CompactedTo = Math.Max(model.CompactedTo, model.HardState.Commit);
        log.Compact(model.CompactedTo);
        log.Maintain();
        Reset(log, model);
        for (var i = 0; i < 36; i++)
        {
            WalScript.Append(log, model, WalScript.Next(model, random));
            if (i % 3 == 2) log.Flush();
            if (i == 4) model.CompactedTo = Math.Max(model.CompactedTo, model.HardState.Commit);
        }

        log.Flush();
        model.Durable = log.LastSequence;
        log.Compact(model.CompactedTo);
        Reset(log, model); // In a recycled segment.
        AppendSmall(log, model, 3);
        log.Flush();
        model.Durable = log.LastSequence;
        AppendSmall(log, model, 2);
        log.Submit();
        return (storage, model);
    }

    private static void Reset(WriteAheadLog log, WalModel model)
    {
        var term = model.HardState.Term + 1;
        var snapshot = new EntryId(term, model.LastId.Index + 3);
        WalScript.Append(log, model, new WriteBatch(0, new HardState(term, default, snapshot.Index), snapshot, [], IsReset: true));
        log.Flush();
        model.Durable = log.LastSequence;
    }

    private static void AppendSmall(WriteAheadLog log, WalModel model, int count)
    {
        for (var i = 0; i < count; i++)
        {
            var entry = WalScript.Entry(model.HardState.Term, model.LastId.Index + 1, 900, i);
            WalScript.Append(log, model, new WriteBatch(0, model.HardState, model.LastId, [entry]));
        }
    }

    private static string LastUsedSegment(MemoryStorage storage) =>
        WalInspector.Inspect(storage).Segments.Last(segment => segment.Frames.Count > 0).Name;

    private static int StaleFrames(MemoryStorage storage) => storage.Files
        .Where(file => WalFiles.TryParseSegment(file.Key, out _))
        .Sum(file => Enumerable.Range(0, file.Value.Length / WalFrame.BlockBytes).Count(block =>
            WalFrame.DecodeHeader(file.Value.AsSpan(block * WalFrame.BlockBytes)) is { } frame && WalFiles.Segment(frame.SegmentId) != file.Key));

    /// <returns>True for a fault.</returns>
    private static bool Judge(MemoryStorage damaged, WalModel model)
    {
        var analysis = WalAnalysis.Read(damaged);
        if (analysis.Damage is not null) return true;
        model.RequireExact(analysis.Sequence, analysis.HardState, analysis.Base, analysis.Entries);
        return false;
    }

    /// <returns>True for a fault.</returns>
    private static bool Open(MemoryStorage damaged, WalModel model)
    {
        try
        {
            using var log = new WriteAheadLog(damaged, WalScript.SegmentBytes, 9);
            model.RequireExact(log.LastSequence, log.Recovered.HardState, log.Recovered.Base, log.Recovered.Entries);
            model.Reopened(log.LastSequence);
            Assert.True(WalScript.Run(log, model, 3, 8));
        }
        catch (WalException)
        {
            return true;
        }

        var again = WalAnalysis.Read(damaged);
        Assert.Null(again.Damage);
        Assert.Equal(model.LastFrame, again.Sequence);
        model.RequireExact(again.Sequence, again.HardState, again.Base, again.Entries);
        return false;
    }
}
