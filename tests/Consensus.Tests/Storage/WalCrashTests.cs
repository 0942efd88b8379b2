using RaftMirror.Consensus.Storage;

namespace RaftMirror.Consensus.Tests.Storage;

/// <summary>Every changing operation of a log's life fails once, or is the last one before a crash.</summary>
public sealed class WalCrashTests
{
    private const int Steps = 120;

    [Theory] // Roll, compaction, recycling and repair included: whatever step is the last one, nothing durable is lost.
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Crash_AtEveryOperation_RecoversExactly(ulong seed)
    {
        var counted = new FaultyStorage(0, isCrash: false);
        Assert.True(Live(counted, new WalModel(), seed));
        for (var n = 1; n <= counted.Operations; n++)
        {
            foreach (var unflushed in Enum.GetValues<UnflushedSectors>())
            {
                var storage = new FaultyStorage(n, isCrash: true);
                var model = new WalModel();
                Live(storage, model, seed);
                Assert.True(storage.HasFailed);
                GoOn(storage.After(unflushed, seed + (ulong)n), model, seed);
            }
        }
    }

    [Theory] // Reference raft.md 7, bug 22: no error of write or flush is survived, whichever it is.
    [InlineData(1)]
    [InlineData(2)]
    public void AnyOperation_FailsOnce_StopsTheLogAndRecoversExactly(ulong seed)
    {
        var counted = new FaultyStorage(0, isCrash: false);
        Assert.True(Live(counted, new WalModel(), seed));
        for (var n = 1; n <= counted.Operations; n++)
        {
            var storage = new FaultyStorage(n, isCrash: false);
            var model = new WalModel();
            Assert.False(Live(storage, model, seed), $"Operation {n} failed and the log went on.");
            GoOn(storage.After(UnflushedSectors.Kept, seed), model.Copy(), seed);
            GoOn(storage.After(UnflushedSectors.Lost, seed), model, seed);
        }
    }

    [Fact] // Each crash hits the recovery from the crash before.
    public void Crash_DuringRepair_RecoversExactly()
    {
        for (var n = 1; n <= 12; n++)
        {
            var first = new FaultyStorage(40 + (5 * n), isCrash: true);
            var model = new WalModel();
            Live(first, model, 7);
            var image = first.After(UnflushedSectors.Mixed, (ulong)n);
            for (var step = 1; ; step++)
            {
                var storage = new FaultyStorage(step, isCrash: true);
                storage.Load(image);
                var isOpen = TryOpen(storage);
                if (!storage.HasFailed) break;
                Assert.False(isOpen);
                var analysis = WalAnalysis.Read(storage.After(UnflushedSectors.Mixed, (ulong)step));
                Assert.Null(analysis.Damage);
                model.RequireExact(analysis.Sequence, analysis.HardState, analysis.Base, analysis.Entries);
            }
        }
    }

    private static bool TryOpen(FaultyStorage storage)
    {
        try
        {
            new WriteAheadLog(storage, WalScript.SegmentBytes, 3).Dispose();
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static bool Live(FaultyStorage storage, WalModel model, ulong seed)
    {
        try
        {
            using var log = new WriteAheadLog(storage, WalScript.SegmentBytes, 1);
            return WalScript.Run(log, model, seed, Steps);
        }
        catch (IOException)
        {
            return false; // While the log was made.
        }
    }

    private static void GoOn(MemoryStorage storage, WalModel model, ulong seed)
    {
        using (var log = new WriteAheadLog(storage, WalScript.SegmentBytes, 2))
        {
            var recovered = log.Recovered;
            model.RequireExact(log.LastSequence, recovered.HardState, recovered.Base, recovered.Entries);
            model.Reopened(log.LastSequence);
            Assert.True(WalScript.Run(log, model, seed + 100, 12));
        }

        var report = WalInspector.Verify(storage);
        Assert.Equal(WalVerdict.Intact, report.Verdict);
        var again = WalAnalysis.Read(storage);
        Assert.Equal(model.LastFrame, again.Sequence);
        model.RequireExact(again.Sequence, again.HardState, again.Base, again.Entries);
    }
}
