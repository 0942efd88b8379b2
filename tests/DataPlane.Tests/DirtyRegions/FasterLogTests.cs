using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DirtyRegions.Faster;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.DirtyRegions;

/// <summary>The log on FasterLog, on devices in memory that lose what was not flushed.</summary>
public sealed class FasterLogTests
{
    private const int Slot = 1;
    private const long DiskBytes = 6 << 20;
    private static readonly Guid Set = new("11111111-2222-3333-4444-555555555555");
    private static readonly SlotConfiguration Configuration = new(7, ["a", "b"], 3);

    private static DiskLayout Layout
    {
        get
        {
            Assert.True(DiskLayout.TryCreate(DiskBytes, DiskLayout.MinMetadataBytes, 16, out var layout, out _));
            return layout;
        }
    }

    private static RegionUpdate[] Marks(params long[] regions) => [.. regions.Select(r => new RegionUpdate(5, r, true))];

    private static RegionUpdate[] Clears(params long[] regions) => [.. regions.Select(r => new RegionUpdate(5, r, false))];

    private static RecoveredMarks Recover(params IBlockDevice[] disks) =>
        DirtyRegionLogReader.Recover(Set, Slot, Configuration, Layout, disks);

    private static async Task<FasterDirtyRegionLog> OpenAsync(params IBlockDevice[] disks)
    {
        var (log, failure) = await FasterDirtyRegionLog.OpenAsync(Set, Slot, Configuration, Layout, disks);
        Assert.Null(failure);
        return log!;
    }

    [Fact]
    public async Task Recover_MarksAndClears_FindsWhatIsLeft()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        using var b = new MemoryBlockDevice("b", DiskBytes);
        await using var log = await OpenAsync(a, b);
        Assert.True(await log.AppendAsync(Marks(1, 2, 3, 900)));
        Assert.True(await log.AppendAsync(Clears(2)));

        var found = Recover(a, b);

        Assert.False(found.IsEverythingDirty);
        Assert.Null(found.Doubt);
        Assert.Equal([1, 3, 900], found.Marks[5]);
    }

    [Fact]
    public async Task Recover_OpenedButNothingMarked_IsEmptyWithoutDoubt()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);

        var found = DirtyRegionLogReader.Recover(Set, Slot, Configuration with { Disks = ["a"] }, Layout, [a]);

        Assert.Equal((false, null, 0), (found.IsEverythingDirty, found.Doubt, found.Marks.Count));
    }

    [Theory]
    [InlineData(8UL, 3UL)]
    [InlineData(7UL, 4UL)]
    public async Task Recover_WrongIncarnationOrGeneration_EverythingIsDirty(ulong incarnation, ulong generation)
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);

        var found = DirtyRegionLogReader.Recover(Set, Slot, new SlotConfiguration(incarnation, ["a"], generation), Layout, [a]);

        Assert.True(found.IsEverythingDirty);
        Assert.NotNull(found.Doubt);
    }

    [Fact]
    public async Task Append_ManyLapsOfTheRing_CompactsAndKeepsEveryMark()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        using var b = new MemoryBlockDevice("b", DiskBytes);
        await using var log = await OpenAsync(a, b);
        var random = new Xoshiro(1);
        var model = new SortedSet<long>();
        for (var i = 0; i < 300; i++)
        {
            var regions = Enumerable.Range(0, 100).Select(_ => random.NextInt64(200_000)).ToArray();
            var isDirty = random.Chance(0.6);
            Assert.True(await log.AppendAsync(isDirty ? Marks(regions) : Clears(regions)));
            if (isDirty) model.UnionWith(regions);
            else model.ExceptWith(regions);
        }

        var found = Recover(a, b);

        Assert.True(log.Compactions > 5, $"{log.Compactions} compactions");
        Assert.Null(found.Doubt);
        Assert.Equal(model, found.Marks[5]);
    }

    [Fact]
    public async Task Append_WholeVolumeAtOnce_IsOneRun()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);
        Assert.True(await log.AppendAsync(Marks([.. Enumerable.Range(0, 150_000).Select(r => (long)r)])));

        Assert.Equal(150_000, Recover(a).Marks[5].Count);
        Assert.False(Recover(a).IsEverythingDirty);
    }

    [Theory]
    [InlineData(nameof(DeviceOperations.Write))]
    [InlineData(nameof(DeviceOperations.Flush))]
    public async Task Append_OneDiskFails_IsNotAcknowledgedAndNamesTheDisk(string operation)
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        using var b = new FailingDevice(new MemoryBlockDevice("b", DiskBytes));
        await using var log = await OpenAsync(a, b);
        Assert.True(await log.AppendAsync(Marks(1)));

        b.Fail(Enum.Parse<DeviceOperations>(operation), count: 1);

        Assert.False(await log.AppendAsync(Marks(2)));
        Assert.Equal("b", log.Failure?.Disk);
        Assert.False(await log.AppendAsync(Marks(3)));
        Assert.Contains(1L, Recover(a, b).Marks[5]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Recover_OneDiskUnreadable_TheOtherHasAllAndTheLossIsNamed(int lost)
    {
        var disks = new[]
        {
            new FailingDevice(new MemoryBlockDevice("a", DiskBytes)), new FailingDevice(new MemoryBlockDevice("b", DiskBytes)),
        };
        await using var log = await OpenAsync(disks);
        Assert.True(await log.AppendAsync(Marks(4, 8)));

        disks[lost].Fail(DeviceOperations.Read);

        var found = Recover(disks);
        Assert.False(found.IsEverythingDirty);
        Assert.Contains(disks[lost].Name, found.Doubt, StringComparison.Ordinal);
        Assert.Equal([4, 8], found.Marks[5]);
    }

    [Fact]
    public async Task Recover_OneByteFlippedAnywhere_NeverFewerThanWasMarked()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);
        for (var i = 0; i < 100; i++) Assert.True(await log.AppendAsync(Marks(i * 3)));
        var expected = Enumerable.Range(0, 100).Select(i => i * 3L).ToArray();
        var start = Layout.SlotOffset(Slot);
        foreach (var at in Enumerable.Range(0, 36_000 / 7).Select(i => start + (i * 7)))
        {
            a.Flip(at, 0x40);
            var found = Recover(a);
            Assert.True(found.IsEverythingDirty || expected.All(found.Marks[5].Contains), $"byte {at - start}: {found.Doubt}");
            a.Flip(at, 0x40);
        }

        Assert.False(Recover(a).IsEverythingDirty);
    }

    [Fact]
    public async Task Recover_AnyBlockZeroed_NeverFewerThanWasMarked()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);
        for (var i = 0; i < 200; i++) Assert.True(await log.AppendAsync(Marks(i * 3)));
        var layout = SlotLayout.For(Layout.SlotBytes);
        using var copy = new MemoryBlockDevice("a", DiskBytes);
        for (var at = 0L; at < layout.UsedBytes; at += 512)
        {
            copy.CopyFrom(a);
            copy.WriteZeroes(Layout.SlotOffset(Slot) + at, 512, mayUnmap: false);
            var found = Recover(copy);
            Assert.True(found.IsEverythingDirty || found.Marks[5].Count == 200, $"sector {at}: {found.Doubt}");
        }
    }

    [Fact]
    public async Task Recover_PowerLostAtAnyMoment_NeverLosesAnAcknowledgedMark()
    {
        var undoubted = 0;
        for (ulong seed = 0; seed < 150; seed++)
        {
            var random = new Xoshiro(seed);
            using var a = new NonDurableDevice("a", DiskBytes, seed * 2);
            using var b = new NonDurableDevice("b", DiskBytes, (seed * 2) + 1);
            var (log, _) = await FasterDirtyRegionLog.OpenAsync(Set, Slot, Configuration, Layout, [a, b]);
            var crash = random.Next(400);
            a.CrashAfter(crash);
            b.CrashAfter(crash + random.Next(6));
            var acknowledged = new SortedSet<long>();
            var maybe = new SortedSet<long>();
            for (var i = 0; i < 300 && log!.Failure is null; i++)
            {
                var regions = Enumerable.Range(0, random.Next(1, 80)).Select(_ => random.NextInt64(5_000)).ToArray();
                var isDirty = random.Chance(0.7);
                if (!isDirty) acknowledged.ExceptWith(regions);
                if (isDirty) maybe.UnionWith(regions);
                if (await log.AppendAsync(isDirty ? Marks(regions) : Clears(regions)) && isDirty) acknowledged.UnionWith(regions);
            }

            a.Crash();
            b.Crash();
            await log!.DisposeAsync();
            a.Restart();
            b.Restart();
            var found = Recover(a, b);
            if (found.IsEverythingDirty) continue;
            undoubted++;
            var marks = found.Marks.TryGetValue(5, out var list) ? list : [];
            Assert.True(acknowledged.IsSubsetOf(marks), $"seed {seed}: {found.Doubt}");
            Assert.True(maybe.IsSupersetOf(marks), $"seed {seed}: marks from nowhere");
        }

        Assert.True(undoubted > 75, $"only {undoubted} of 150 were recovered without doubt");
    }

    [Fact]
    public async Task Open_OverAnOldLog_HoldsNothingOfIt()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using (var old = await OpenAsync(a)) Assert.True(await old.AppendAsync(Marks(77)));
        var next = new SlotConfiguration(8, ["a"], 3);
        var (log, _) = await FasterDirtyRegionLog.OpenAsync(Set, Slot, next, Layout, [a]);
        await using (log) Assert.True(await log!.AppendAsync(Marks(1)));

        Assert.Equal([1], DirtyRegionLogReader.Recover(Set, Slot, next, Layout, [a]).Marks[5]);
    }

    [Fact]
    public async Task Append_ManyCallersAtOnce_AllAreDurable()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);
        var answers = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => Task.Run(() => log.AppendAsync(Marks(i)).AsTask())));

        Assert.All(answers, Assert.True);
        Assert.Equal(500, Recover(a).Marks[5].Count);
    }

    [Fact] // design §14.17: what admission lets in always fits a snapshot, whatever the thread pool leaves undone meanwhile.
    public async Task Append_AsManyScatteredRegionsAsAdmissionAllows_AlwaysFits()
    {
        using var a = new MemoryBlockDevice("a", DiskBytes);
        await using var log = await OpenAsync(a);
        var regions = LayoutLimits.MaxRegions(Layout);
        Assert.True(await log.AppendAsync(Marks([.. Enumerable.Range(0, (int)(regions / 2)).Select(r => r * 2L)])));
        for (var i = 0; i < 200; i++)
        {
            var some = Enumerable.Range(0, 64).Select(r => (long)((r * 997) + i) % (regions / 2) * 2).ToArray();
            Assert.True(await log.AppendAsync(Clears(some)), log.Failure?.Message);
            Assert.True(await log.AppendAsync(Marks(some)), log.Failure?.Message);
        }

        Assert.True(log.Compactions > 2);
        Assert.Equal(regions / 2, Recover(a).Marks[5].Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Append_OnRealFiles_IsRecovered(bool isDirect)
    {
        var path = Path.Combine(Path.GetTempPath(), $"raftmirror-{Guid.NewGuid():N}.img");
        try
        {
            await using (var file = File.Create(path)) file.SetLength(DiskBytes);
            using var a = FileBlockDevice.Open("a", path, isDirect);
            await using (var log = await OpenAsync(a)) Assert.True(await log.AppendAsync(Marks(1, 2, 3)));
            Assert.Equal([1, 2, 3], Recover(a).Marks[5]);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
