using RaftMirror.Node.Disks;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What may still land on a lost disk is known, also what nobody waits for any more (design §14.20).</summary>
public sealed class LateWritesTests
{
    [Fact]
    public async Task LabelWriteHangs_IsCountedUntilItHasComeBack()
    {
        var id = Guid.NewGuid();
        var disk = new NodeDisk("d0", "late", id);
        using var hold = new ManualResetEventSlim();
        await Assert.ThrowsAsync<DiskSilentException>(() => disk.RunAsync(
            () =>
            {
                hold.Wait();
                return 0;
            },
            CancellationToken.None));
        Assert.True(LateWrites.Any("late", id));
        Assert.False(LateWrites.Any("other", id));
        hold.Set();
        for (var i = 0; i < 1000 && LateWrites.Any("late", id); i++) await Task.Delay(10);
        Assert.False(LateWrites.Any("late", id));
        Assert.Equal(7, await disk.RunAsync(
            () =>
            {
                Assert.False(LateWrites.Any("late", id)); // A read that comes late does no harm.
                return 7;
            },
            CancellationToken.None,
            isReading: true));
    }

    [Fact] // Only where no kill ends a thread's wait does the end of a process prove that its calls have ended.
    public void FileSystem_IsToldByItsType()
    {
        Assert.Equal(0x9FA0, Linux.FileSystemType("/proc"));
        Assert.Null(Linux.FileSystemType("/nowhere/at/all"));
        Assert.False(KernelWaits.OutlastAKill("/nowhere/at/all"));
        Assert.True(KernelWaits.OutlastAKill("/proc"));
    }
}
