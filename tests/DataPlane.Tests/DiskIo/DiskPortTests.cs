using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DirtyRegions.Faster;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Metadata;
using Xunit;

namespace RaftMirror.DataPlane.Tests.DiskIo;

/// <summary>Disks that hang: nobody who may give up waits for them, and nobody gets memory that they still use.</summary>
public sealed class DiskPortTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public void Open_Hangs_EndsAfterTheLimitAndTheDiskIsClosedWhenItOpensAfterAll()
    {
        using var go = new ManualResetEventSlim();
        var late = new ClosedDevice();
        Assert.Throws<IOException>(() => PortDevice.Open(
            "d", () =>
            {
                go.Wait();
                return late;
            },
            TimeSpan.FromMilliseconds(50), Now));
        go.Set();
        Assert.True(late.Closed.Wait(Limit));
    }

    [Fact]
    public void Call_Hangs_EndsAsUnreachableAfterTheLimitAndItsMemoryIsNotReused()
    {
        using var device = new GatedDevice(new MemoryBlockDevice("d", 1 << 20));
        using var port = PortDevice.Open("d", () => device, TimeSpan.FromMilliseconds(100), Now);
        device.Hold(DeviceOperations.All);
        Assert.Equal(DeviceStatus.Unreachable, port.Write(0, Filled(7)));
        // Whoever rents now must not get the memory of the call that waits in the device.
        var rented = Enumerable.Range(0, 64).Select(_ => AlignedBufferPool.Shared.Rent(4096)).ToList();
        foreach (var buffer in rented) buffer.GetSpan().Clear();
        device.Release();
        Span<byte> landed = new byte[4096];
        Assert.True(SpinWait.SpinUntil(() => HasLanded(device), Limit));
        Assert.Equal(DeviceStatus.Ok, device.Inner.Read(0, landed));
        Assert.True(landed.SequenceEqual(Filled(7)));
        rented.ForEach(buffer => buffer.Dispose());
    }

    [Fact] // Legs and dirty logs alike: the log goes on without the disk that is lost, in the middle of a commit.
    public async Task DirtyLog_OneDiskHangsAndIsLost_AppendEndsAndTheOtherDiskHasTheMarks()
    {
        const long bytes = 6 << 20;
        using var a = new MemoryBlockDevice("a", bytes);
        using var b = new GatedDevice(new MemoryBlockDevice("b", bytes));
        using var hanging = PortDevice.Open("b", () => b, Timeout.InfiniteTimeSpan, Now);
        Assert.True(DiskLayout.TryCreate(bytes, DiskLayout.MinMetadataBytes, 16, out var layout, out _));
        var set = Guid.NewGuid();
        var (log, failure) = await FasterDirtyRegionLog.OpenAsync(set, 1, new SlotConfiguration(7, ["a", "b"], 3), layout, [a, hanging]);
        Assert.Null(failure);
        Assert.True(await log!.AppendAsync(new[] { new RegionUpdate(5, 1, true) }));

        b.Hold(DeviceOperations.All);
        var stuck = log.AppendAsync(new[] { new RegionUpdate(5, 2, true) }).AsTask();
        Assert.True(b.WaitUntilHeld(1, Limit));
        Assert.False(stuck.IsCompleted);
        hanging.GiveUp();
        Assert.True(await stuck.WaitAsync(Limit));
        Assert.True(await log.AppendAsync(new[] { new RegionUpdate(5, 3, true) }));
        await log.DisposeAsync().AsTask().WaitAsync(Limit); // It waits for no disk that is lost.

        var found = DirtyRegionLogReader.Recover(set, 1, new SlotConfiguration(7, ["a"], 3), layout, [a]);
        Assert.False(found.IsEverythingDirty);
        Assert.Equal([1, 2, 3], found.Marks[5]);
        b.Release();
    }

    [Fact]
    public async Task DirtyLog_ItsOnlyDiskIsLost_Fails()
    {
        const long bytes = 6 << 20;
        using var hanging = PortDevice.Open("a", () => new MemoryBlockDevice("a", bytes), Timeout.InfiniteTimeSpan, Now);
        Assert.True(DiskLayout.TryCreate(bytes, DiskLayout.MinMetadataBytes, 16, out var layout, out _));
        var (log, _) = await FasterDirtyRegionLog.OpenAsync(Guid.NewGuid(), 1, new SlotConfiguration(7, ["a"], 3), layout, [hanging]);
        hanging.GiveUp();
        Assert.False(await log!.AppendAsync(new[] { new RegionUpdate(5, 2, true) }));
        Assert.Equal("a", log.Failure!.Disk);
        await log.DisposeAsync();
    }

    private static long Now() => Environment.TickCount64 * 1_000_000;

    private static byte[] Filled(byte value) => Enumerable.Repeat(value, 4096).ToArray();

    private static bool HasLanded(GatedDevice device)
    {
        Span<byte> first = new byte[512];
        return device.Inner.Read(0, first) == DeviceStatus.Ok && first[0] != 0;
    }

    private sealed class ClosedDevice() : WrappedDevice(new MemoryBlockDevice("d", 1 << 20))
    {
        public ManualResetEventSlim Closed { get; } = new();

        protected override void Dispose(bool disposing)
        {
            base.Dispose(disposing);
            Closed.Set();
        }
    }
}
