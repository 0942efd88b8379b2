using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

public sealed class MirrorVolumeTests
{
    [Theory]
    [InlineData(WriterMode.One, RecoveryMode.Log)]
    [InlineData(WriterMode.All, RecoveryMode.Log)]
    [InlineData(WriterMode.All, RecoveryMode.App)]
    public async Task WriteReadFlush_EachKind_BothLegsEqual(WriterMode writers, RecoveryMode recovery)
    {
        await using var set = new TestSet(writers, recovery, "a", "b");
        set.Lease();
        using var a = await set.OpenAsync("a");
        using var b = await set.OpenAsync("b");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 4096, 65536, 7));
        Assert.Equal(IoStatus.Ok, await WriteAsync(b, 4 << 20, 4096, 9));
        Assert.Equal(IoStatus.Ok, await a.FlushAsync());
        Assert.Equal(Pattern(65536, 7), await ReadAsync(b, 4096, 65536));
        Assert.Equal(Pattern(4096, 9), await ReadAsync(a, 4 << 20, 4096));
        Assert.Equal(IoStatus.Ok, await a.WriteZeroesAsync(4096, 4096, true, true));
        Assert.Equal(IoStatus.Ok, await b.TrimAsync(8192, 4096, false));
        Assert.Equal(new byte[8192], await ReadAsync(b, 4096, 8192));
        Assert.Equal(set.Disks["d0"].Content(), set.Disks["d1"].Content());
        if (writers == WriterMode.One) Assert.Contains("a released", set.Reports);
        if (recovery == RecoveryMode.Log) Assert.NotEmpty(set.Marks);
    }

    [Fact] // ADR 0008: giving the slot up takes the ownership away at once, so nothing of this node may reach a leg after it.
    public async Task LogFails_WriteUnderWay_ReportedAfterItEnded()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 1));
        var hold = new ManualResetEventSlim(); // The set lets go of it when it ends: a failed test must not hang.
        set.Disks["d1"].Hold = hold;
        var held = WriteAsync(a, 0, 4096, 2); // Its region is marked.
        await TestSet.WaitAsync(() => set.Disks["d1"].Held == 1);
        set.FailsLog = true;
        _ = WriteAsync(a, 4 << 20, 4096, 3); // Its mark fails; it waits for another log.
        await TestSet.WaitAsync(() => set["a"].Statistics() is [{ Held.Reason: HoldReason.Log }]);
        var isEarly = set.Reports.Any(report => report.StartsWith("a log the dirty log failed", StringComparison.Ordinal));
        set.Disks["d1"].Hold = null;
        hold.Set();
        Assert.False(isEarly);
        Assert.Equal(IoStatus.Ok, await held);
        await TestSet.WaitAsync(() => set.Reports.Any(report => report.StartsWith("a log the dirty log failed", StringComparison.Ordinal)));
    }

    [Fact] // A log that works is given up for one on more disks by the same steps; what was marked is written to the new one first.
    public async Task LogIsGivenUp_WriteUnderWay_ReportedOnceItEndedAndWritesGoOnWithTheNextLog()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 1));
        var hold = new ManualResetEventSlim();
        set.Disks["d1"].Hold = hold;
        var held = WriteAsync(a, 0, 4096, 2);
        await TestSet.WaitAsync(() => set.Disks["d1"].Held == 1);
        set["a"].GiveUpLog(generation: 2, "of another slot");
        set["a"].GiveUpLog(generation: 1, "chosen");
        set["a"].GiveUpLog(generation: 1, "chosen");
        await set.PassedAsync("a");
        var isEarly = !set.LogFailures.IsEmpty;
        set.Disks["d1"].Hold = null;
        hold.Set();
        Assert.False(isEarly);
        Assert.Equal(IoStatus.Ok, await held);
        await TestSet.WaitAsync(() => !set.LogFailures.IsEmpty);
        var later = WriteAsync(a, 4 << 20, 4096, 3);
        await set.PassedAsync("a");
        Assert.False(later.IsCompleted); // No log covers it.
        Assert.True(Assert.Single(set.LogFailures) is { IsChosen: true, Disk: null, Message: "chosen" });
        set.SlotGeneration = 2;
        set.Change(static volume => volume);
        Assert.Equal(IoStatus.Ok, await later);
        Assert.Equal(set.Disks["d0"].Content(), set.Disks["d1"].Content());
    }

    [Fact] // The same for copies: after the report another node may own the volume and write there.
    public async Task LogFails_CopyUnderWay_ReportedAfterItEndedAndNoOtherBegins()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 1));
        set.Disks["d0"].Inner.Write(1 << 20, Pattern(4096, 5));
        var hold = new ManualResetEventSlim(); // The set lets go of it when it ends: a failed test must not hang.
        set.Disks["d1"].Hold = hold;
        set.Change(volume => volume with { Resync = new ResyncConfiguration(true, [], 0, 9) });
        await TestSet.WaitAsync(() => set.Disks["d1"].Held == 1);
        set.FailsLog = true;
        _ = WriteAsync(a, 6 << 20, 4096, 3); // Its mark fails.
        await TestSet.WaitAsync(() => set["a"].Statistics() is [{ Held.Reason: HoldReason.Log }]);
        var isEarly = set.Reports.Any(report => report.StartsWith("a log the dirty log failed", StringComparison.Ordinal));
        set.Disks["d1"].Hold = null;
        hold.Set();
        Assert.False(isEarly);
        await TestSet.WaitAsync(() => set.Reports.Any(report => report.StartsWith("a log the dirty log failed", StringComparison.Ordinal)));
        Assert.Null(set.Finished);
    }

    /// <summary>The gap that every lease leaves open (docs/architecture.md, "What lease fencing cannot do"): between the last look at the
    /// lease and the disk a pause has no bound. The late write lands over the next owner's; only storage can refuse it. What
    /// the lease does guarantee: nobody is told that it was done.</summary>
    [Fact] // Design §14.4.
    public async Task Write_PausedBetweenLeaseCheckAndDisk_LandsLateAndIsNeverAcknowledged()
    {
        const long leaseMs = 1500;
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        using var a = await set.OpenAsync("a");
        var leaseEndsNs = BootTimeLeaseClock.Instance.NowNs + (leaseMs * 1_000_000);
        set.Lease("a", leaseMs);
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 1));
        var pause = new ManualResetEventSlim();
        set.Disks["d1"].Hold = pause;
        var late = WriteAsync(a, 0, 4096, 2);
        await TestSet.WaitAsync(() => set.Disks["d1"].Held == 1 && BootTimeLeaseClock.Instance.NowNs > leaseEndsNs);

        foreach (var disk in set.Disks.Values) disk.Inner.Write(0, Pattern(4096, 3)); // The next owner, after the horizon.
        set.Disks["d1"].Hold = null;
        pause.Set();

        Assert.Equal(IoStatus.Drop, await late);
        Assert.Equal(Pattern(4096, 3), set.Disks["d0"].Content()[..4096]);
        Assert.Equal(Pattern(4096, 2), set.Disks["d1"].Content()[..4096]); // The gap.
    }

    [Fact] // Design §13: marks go away once the region has been idle for two passes and the legs are flushed.
    public async Task Cleaning_IdleRegion_ClearsItsMark()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 1));
        await TestSet.WaitAsync(() => set.Marks.Any(mark => !mark.IsDirty));
        Assert.Equal([true, false], set.Marks.Select(mark => mark.IsDirty));
    }

    [Fact] // Design §14.2: not acknowledged before the loss is committed and every node stopped reading that leg.
    public async Task WriteError_AcknowledgedOnlyAfterLossIsCommitted()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a", "b") { CommitsLegFailures = false };
        set.Lease();
        using var a = await set.OpenAsync("a");
        set.Disks["d1"].FailsWrites = true;
        var write = WriteAsync(a, 0, 4096, 3);
        await TestSet.WaitAsync(() => set.Reports.Contains("a leg b WriteError"));
        Assert.False(write.IsCompleted);
        set.CommitsLegFailures = true; // The report is repeated.
        Assert.Equal(IoStatus.Ok, await write);
        Assert.Contains("b confirms", set.Reports);
        Assert.Equal(Pattern(4096, 3), await ReadAsync(a, 0, 4096));
        Assert.Equal(Pattern(4096, 3), await ReadAsync(a, 0, 4096));
    }

    [Fact]
    public async Task WriteError_OnLastLeg_IsAnIoError()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        set.Disks["d0"].FailsWrites = true;
        set.Disks["d1"].FailsWrites = true;
        Assert.Equal(IoStatus.IoError, await WriteAsync(a, 0, 4096, 3));
    }

    [Fact]
    public async Task ReadError_OtherLegAnswers()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.App, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 3));
        set.Disks["d0"].FailsReads = true;
        for (var i = 0; i < 3; i++) Assert.Equal(Pattern(4096, 3), await ReadAsync(a, 0, 4096));
        Assert.Contains("a leg a ReadError", set.Reports);
    }

    [Fact] // Design §6.1: the call ended after the lease, so nobody may be told that it worked.
    public async Task Write_EndsAfterLease_IsDropped()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.App, "a");
        using var a = await set.OpenAsync("a");
        var hold = new ManualResetEventSlim(); // The set lets go of it when it ends: a failed test must not hang.
        set.Disks["d0"].Hold = hold;
        set.Lease("a", 300);
        var write = WriteAsync(a, 0, 4096, 3);
        await TestSet.WaitAsync(() => Volatile.Read(ref set.Disks["d0"].Held) > 0);
        await Task.Delay(350); // Past the lease; the clock is the machine's.
        Assert.False(write.IsCompleted);
        hold.Set();
        Assert.Equal(IoStatus.Drop, await write);
    }

    [Fact]
    public async Task Write_NoLease_IsDroppedAfterItsWait()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.App, "a");
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Drop, await WriteAsync(a, 0, 4096, 3));
    }

    [Fact] // Design §6.5: a reservation conflict is the end of this incarnation, not a disk error.
    public async Task Fenced_DropsClientsAndIsNoDiskError()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 3));
        set.Disks["d1"].IsFenced = true;
        Assert.Equal(IoStatus.Drop, await WriteAsync(a, 0, 4096, 4));
        await TestSet.WaitAsync(() => a.Dropped.IsCancellationRequested);
        Assert.Contains("a fenced", set.Reports);
        Assert.DoesNotContain(set.Reports, report => report.Contains("leg", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(WriterMode.One)]
    [InlineData(WriterMode.All)]
    public async Task Resync_OwedRegions_MakesLegsEqualAndCountsWhatItCopied(WriterMode writers)
    {
        await using var set = new TestSet(writers, RecoveryMode.Log, "a", "b");
        using var a = await set.OpenAsync("a");
        using var b = await set.OpenAsync("b");
        set.Disks["d1"].Inner.Flip((3 << 20) + 5); // The legs differ in region 3.
        set.Change(volume => volume with
        {
            Resync = new ResyncConfiguration(false, [new ByteRange(2, 2)], 0),
            Owner = new OwnerConfiguration("b", 1, volume.Owner.Epoch + 1, null),
        });
        set.Lease(); // It counts only where the debt is enacted: until then a read may go to either leg.
        Assert.Equal(new byte[4096], await ReadAsync(a, 3 << 20, 4096));
        Assert.Equal(new byte[4096], await ReadAsync(a, 3 << 20, 4096));
        await TestSet.WaitAsync(() => set.Finished is not null);
        Assert.Equal(64 << 10, set.Finished!.CopiedBytes);
        Assert.Equal((2 << 20) - (64 << 10), set.Finished.ComparedBytes);
        Assert.Equal(6 << 20, set.Finished.SkippedBytes);
        Assert.Equal(set.Disks["d0"].Content(), set.Disks["d1"].Content());
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 3 << 20, 4096, 8));
        Assert.Equal(Pattern(4096, 8), await ReadAsync(b, 3 << 20, 4096));
    }

    [Fact]
    public async Task Ownership_MovesUnderLoad_NothingIsLost()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a", "b");
        set.Lease();
        using var a = await set.OpenAsync("a");
        using var b = await set.OpenAsync("b");
        for (var round = 0; round < 6; round++)
        {
            var writes = new List<Task<IoStatus>>();
            for (var i = 0; i < 16; i++)
            {
                writes.Add(WriteAsync(i % 2 == 0 ? a : b, i * 4096L, 4096, (byte)((round * 16) + i)));
            }

            Assert.All(await Task.WhenAll(writes), status => Assert.Equal(IoStatus.Ok, status));
            for (var i = 0; i < 16; i++)
            {
                Assert.Equal(Pattern(4096, (byte)((round * 16) + i)), await ReadAsync(i % 2 == 0 ? b : a, i * 4096L, 4096));
            }
        }

        Assert.Equal(set.Disks["d0"].Content(), set.Disks["d1"].Content());
    }

    [Fact]
    public async Task Statistics_AfterWrites_CountOpenRegionsAndClients()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.Log, "a");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 4096, 3));
        await TestSet.WaitAsync(() => set["a"].Statistics() is [{ Clients: 1 }]);
        Assert.Equal("s/v", set["a"].Look("s/v").Export!.Info.Name);
    }

    private static byte[] Pattern(int length, byte seed)
    {
        var bytes = new byte[length];
        for (var i = 0; i < length; i++) bytes[i] = (byte)(seed + (i * 31));
        return bytes;
    }

    private static async Task<IoStatus> WriteAsync(IExportSession session, long offset, int length, byte seed)
    {
        using var buffer = AlignedBufferPool.Shared.Rent(length);
        Pattern(length, seed).CopyTo(buffer.GetSpan());
        return await session.WriteAsync(offset, buffer.Memory[..length], false);
    }

    private static async Task<byte[]> ReadAsync(IExportSession session, long offset, int length)
    {
        using var buffer = AlignedBufferPool.Shared.Rent(length);
        Assert.Equal(IoStatus.Ok, await session.ReadAsync(offset, buffer.Memory[..length]));
        return buffer.GetSpan()[..length].ToArray();
    }
}
