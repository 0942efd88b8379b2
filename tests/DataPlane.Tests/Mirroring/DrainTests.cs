using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Exports;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Mirroring;

/// <summary>A node that takes a set out of service is counted on by the others until its leave is committed: it goes on to hear them (design
/// §14.1, §14.9, §14.20).</summary>
public sealed class DrainTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact] // Else its own drain waits for the disk, and the other node's write for its confirmation, as long as the disk hangs.
    public async Task DiskHangsDuringTheDrain_LossIsConfirmedTheOthersWriteIsAnsweredAndTheDrainEnds()
    {
        await using var set = new TestSet(WriterMode.All, RecoveryMode.Log, "a", "b");
        set.Lease();
        using var a = await set.OpenAsync("a");
        using var b = await set.OpenAsync("b");
        // A new connection waits for what came on former ones (design §14.9); neither of these is new any more.
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 1));
        Assert.Equal(IoStatus.Ok, await WriteAsync(b, 4 << 20, 1));
        var hold = new ManualResetEventSlim(); // The set lets go of it when it ends.
        set.Disks["d1"].Hold = hold;
        var stuck = WriteAsync(a, 0, 2);
        var other = WriteAsync(b, 4 << 20, 3);
        await TestSet.WaitAsync(() => set.Disks["d1"].Held >= 2);
        var end = set["a"].EndAsync();
        await TestSet.WaitAsync(() => set["a"].Find("s/v") is { } && set["a"].Look("s/v").Reason.Contains("taken out of service", StringComparison.Ordinal));

        set.LoseDisk("d1", "b");

        Assert.Equal(IoStatus.Ok, await other.WaitAsync(Limit));
        Assert.Equal(IoStatus.Drop, await stuck.WaitAsync(Limit));
        Assert.False(await end.WaitAsync(Limit), "a call is left in the kernel, so it is not clean");
        Assert.False(hold.IsSet);
    }

    [Fact] // Between the end of the drain and the commit of the leave lie closing beats and the log.
    public async Task NodeHasDrained_NewClientAndOwnershipElsewhereDoNotWaitForIt()
    {
        await using var set = new TestSet(WriterMode.One, RecoveryMode.Log, "a", "b");
        set.Lease();
        using var a = await set.OpenAsync("a");
        Assert.Equal(IoStatus.Ok, await WriteAsync(a, 0, 2));
        Assert.True(await set["a"].EndAsync().WaitAsync(Limit));

        using var b = await set.OpenAsync("b");

        Assert.Equal(IoStatus.Ok, await WriteAsync(b, 0, 3).WaitAsync(Limit));
        Assert.Contains("a released", set.Reports);
        Assert.DoesNotContain(set.Reports, report => report.Contains(" leg ", StringComparison.Ordinal)); // Its closed disks are no failed ones.
        Assert.Equal(3, set.Disks["d1"].Content()[0]);
    }

    private static async Task<IoStatus> WriteAsync(IExportSession session, long offset, byte value)
    {
        using var buffer = AlignedBufferPool.Shared.Rent(4096);
        buffer.GetSpan()[..4096].Fill(value);
        return await session.WriteAsync(offset, buffer.Memory[..4096], false);
    }
}
