using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Metadata;

/// <summary>What a disk is taken for, and what a stamp does to it (design §14.19).</summary>
public sealed class DiskIdentityTests
{
    private const long DiskBytes = 8 << 20;
    private static readonly Guid Cluster = Guid.Parse("00000000-0000-0000-0000-00000000000c");
    private static readonly Guid Set = Guid.Parse("00000000-0000-0000-0000-00000000000a");
    private static readonly Guid Disk = Guid.Parse("00000000-0000-0000-0000-00000000000d");
    private static readonly Guid Other = Guid.Parse("00000000-0000-0000-0000-00000000000e");

    private static readonly ExpectedDisk Expected = new(
        "d1", "/dev/d1", Cluster, Set, Disk, DiskBytes, new Dictionary<Guid, string> { [Other] = "d2" });

    private static LabelStamp Stamp(ulong number, byte history = 1) => new(number, new Guid(history, 0, 0, [0, 0, 0, 0, 0, 0, 0, (byte)number]), 3);

    private static DiskLabel Label(LabelStamp stamp, Guid? disk = null, Guid? cluster = null, long sizeBytes = DiskBytes) =>
        new(cluster ?? Cluster, Set, disk ?? Disk, sizeBytes, DiskLayout.MinMetadataBytes, 4, 0, 4096, 1, 2, stamp, "log"u8.ToArray());

    private static StampExpectation Expect(ulong completed, ulong newest) => new(Stamp(completed), Stamp(newest))
    {
        Opened = [Stamp(newest - 1), Stamp(newest)],
    };

    private static DiskVerdict Judge(MemoryBlockDevice device, StampExpectation stamps) =>
        DiskIdentity.Judge(Expected, device.SizeBytes, DiskIdentity.Read(device, DiskBytes), stamps);

    private static MemoryBlockDevice Labelled(DiskLabel label, long sizeBytes = DiskBytes)
    {
        var device = new MemoryBlockDevice("d", sizeBytes);
        Assert.Equal(DeviceStatus.Ok, LabelStore.Write(device, label));
        return device;
    }

    [Theory]
    [InlineData(4, 1, 5, 6, StampVerdict.Older)]
    [InlineData(0, 1, 5, 6, StampVerdict.Older)]
    [InlineData(5, 1, 5, 6, StampVerdict.Current)]
    [InlineData(6, 1, 5, 6, StampVerdict.Current)]
    [InlineData(7, 1, 4, 8, StampVerdict.Current)] // Started, and not completed on this disk.
    [InlineData(7, 2, 4, 8, StampVerdict.Newer)]
    [InlineData(6, 1, 4, 8, StampVerdict.Older)] // Forgotten by now.
    [InlineData(6, 1, 0, 8, StampVerdict.Current)] // To be written anew: no source before it is stamped.
    [InlineData(7, 1, 5, 6, StampVerdict.Newer)]
    [InlineData(5, 2, 5, 6, StampVerdict.Newer)] // Another history gave the same number.
    [InlineData(6, 2, 5, 6, StampVerdict.Newer)]
    public void Judge_Stamp_IsComparedWithTheState(ulong label, byte history, ulong completed, ulong newest, StampVerdict verdict) =>
        Assert.Equal(verdict, StampJudge.Judge(Stamp(label, history), Expect(completed, newest)));

    [Fact]
    public void Judge_WhatIsUnderThePath_IsToldApart()
    {
        var stamps = Expect(5, 6);
        using var current = Labelled(Label(Stamp(5)));
        using var older = Labelled(Label(Stamp(3)));
        using var newer = Labelled(Label(Stamp(9)));
        using var swapped = Labelled(Label(Stamp(5), disk: Other));
        using var foreign = Labelled(Label(Stamp(5), cluster: Other));
        using var blank = new MemoryBlockDevice("d", DiskBytes);
        Assert.Equal(DiskFinding.Usable, Judge(current, stamps).Finding);
        Assert.Equal((DiskFinding.Older, true), (Judge(older, stamps).Finding, Judge(older, stamps).Message.Contains("gets all data anew", StringComparison.Ordinal)));
        Assert.Equal((DiskFinding.Newer, true), (Judge(newer, stamps).Finding, Judge(newer, stamps).Message.Contains("'raftmirror raft recover' leads out for the log, not for this disk", StringComparison.Ordinal)));
        Assert.Equal((DiskFinding.Swapped, true), (Judge(swapped, stamps).Finding, Judge(swapped, stamps).Message.Contains("'d2'", StringComparison.Ordinal)));
        Assert.Equal(DiskFinding.Foreign, Judge(foreign, stamps).Finding);
        Assert.Equal(DiskFinding.Foreign, Judge(blank, stamps).Finding);
    }

    [Fact]
    public void Judge_Cut_IsResized()
    {
        using var whole = Labelled(Label(Stamp(5)));
        using var cut = new MemoryBlockDevice("d", DiskBytes / 2);
        Copy(whole, cut);
        Assert.Equal(DiskFinding.Resized, Judge(cut, Expect(5, 6)).Finding);

        // Cut, and made long again by somebody: the head is as it was, and the end is a hole.
        using var regrown = new MemoryBlockDevice("d", DiskBytes);
        Copy(cut, regrown);
        Assert.Equal(DiskFinding.Resized, Judge(regrown, Expect(5, 6)).Finding);

        // Large enough, it may get all data anew; too short it may not, and what knows more than the state is more than cut.
        Assert.True(Judge(regrown, Expect(5, 6)).MayBeRefilled);
        Assert.False(Judge(cut, Expect(5, 6)).MayBeRefilled);
        var newer = Judge(regrown, Expect(3, 4));
        Assert.Equal((DiskFinding.Newer, false), (newer.Finding, newer.MayBeRefilled));
    }

    [Fact] // Taken back with everything owed: until it is stamped, neither its age nor the hole at its end says anything; a newer label does.
    public void Judge_EverythingOwed_OldOrRegrownIsUsableAndCanBeStamped()
    {
        using var regrown = Labelled(Label(Stamp(2)));
        regrown.WriteZeroes(DiskLayout.TailLabelOffsetOf(DiskBytes), DiskLayout.LabelBytes, mayUnmap: true);
        Assert.Equal((DiskFinding.Resized, true), (Judge(regrown, Expect(5, 6)).Finding, Judge(regrown, Expect(5, 6)).MayBeRefilled));
        var owed = new StampExpectation(default, Stamp(6)) { IsEverythingOwed = true };
        Assert.Equal(DiskFinding.Usable, Judge(regrown, owed).Finding);
        Assert.Equal(DiskFinding.Newer, Judge(regrown, new StampExpectation(default, Stamp(1)) { IsEverythingOwed = true }).Finding);
        Assert.True(LabelStamper.Stamp(regrown, Expected, owed, Label(Stamp(6)), () => true).IsUsable);
        Assert.Equal(DiskFinding.Usable, Judge(regrown, Expect(6, 7)).Finding);
        using var old = Labelled(Label(Stamp(2)));
        Assert.Equal((DiskFinding.Older, true), (Judge(old, Expect(5, 6)).Finding, Judge(old, Expect(5, 6)).MayBeRefilled));
    }

    [Fact] // Only a write of the label that power interrupted leaves a damaged copy, and it is no hole.
    public void Judge_TailTornByALabelWrite_IsUsable()
    {
        using var disk = Labelled(Label(Stamp(5)));
        disk.Flip(DiskLayout.TailLabelOffsetOf(DiskBytes) + 3000, 1);
        Assert.Equal(DiskFinding.Usable, Judge(disk, Expect(5, 6)).Finding);
    }

    [Fact] // What it holds is all there: it is used up to its committed size.
    public void Judge_Grown_IsUsable()
    {
        using var whole = Labelled(Label(Stamp(5)));
        using var grown = new MemoryBlockDevice("d", 2 * DiskBytes);
        Copy(whole, grown);
        Assert.Equal(DiskFinding.Usable, Judge(grown, Expect(5, 6)).Finding);
    }

    [Theory]
    [InlineData(3)] // An older copy must not be made to look current,
    [InlineData(9)] // nor a newer label to look old.
    public void Stamp_LabelThatMayNotBeFollowed_WritesNothing(ulong found)
    {
        var record = new DeviceRecord();
        using var disk = new RecordingDevice(Labelled(Label(Stamp(found))), record);
        var verdict = LabelStamper.Stamp(disk, Expected, Expect(5, 6), Label(Stamp(6)), () => true);
        Assert.Equal(found < 5 ? DiskFinding.Older : DiskFinding.Newer, verdict.Finding);
        Assert.DoesNotContain(record.Calls, call => call.Operation == DeviceOperations.Write);
    }

    [Fact] // It would hide that data before the end is gone.
    public void Stamp_EndIsAHole_WritesNothing()
    {
        using var disk = Labelled(Label(Stamp(5)));
        disk.WriteZeroes(DiskLayout.TailLabelOffsetOf(DiskBytes), DiskLayout.LabelBytes, mayUnmap: true);
        Assert.Equal(DiskFinding.Resized, LabelStamper.Stamp(disk, Expected, Expect(5, 6), Label(Stamp(6)), () => true).Finding);
        Assert.Equal(DiskFinding.Resized, Judge(disk, Expect(5, 6)).Finding);
    }

    [Fact]
    public void Stamp_LeaseEndsBetweenTheCopies_WritesNoMore()
    {
        using var disk = Labelled(Label(Stamp(5)));
        var asked = 0;
        Assert.False(LabelStamper.Stamp(disk, Expected, Expect(5, 6), Label(Stamp(6)), () => ++asked < 2).IsUsable);
        Assert.Equal(DiskFinding.Usable, Judge(disk, Expect(5, 6)).Finding);
    }

    [Fact] // Each write and flush, whole, torn at every sector, or lost: the label is the old one or the new one, and both are current.
    public void Stamp_CrashAtEveryStep_LabelIsTheOldOrTheNewOne()
    {
        var record = new DeviceRecord();
        using (var disk = new RecordingDevice(Labelled(Label(Stamp(5))), record))
            Assert.True(LabelStamper.Stamp(disk, Expected, Expect(5, 6), Label(Stamp(6)), () => true).IsUsable);
        var writes = record.Calls.Where(call => call.Operation == DeviceOperations.Write).ToList();
        Assert.Equal(2, writes.Count);
        var block = new byte[DiskLayout.LabelBytes];
        Label(Stamp(6)).Write(block);
        var seen = new HashSet<ulong>();
        for (var done = 0; done <= writes.Count; done++)
        {
            for (var sectors = 0; sectors < DiskLayout.LabelBytes / 512; sectors++)
            {
                using var disk = Labelled(Label(Stamp(5)));
                foreach (var write in writes.Take(done)) Assert.Equal(DeviceStatus.Ok, disk.Write(write.Offset, block));
                if (done < writes.Count && sectors > 0)
                    Assert.Equal(DeviceStatus.Ok, disk.Write(writes[done].Offset, block.AsSpan(0, sectors * 512)));
                var verdict = Judge(disk, Expect(5, 6));
                Assert.True(verdict.IsUsable, $"after {done} writes and {sectors} sectors: {verdict}");
                seen.Add(verdict.Stamp.Number);
                if (done == writes.Count) Assert.Equal(6UL, verdict.Stamp.Number);
            }
        }

        Assert.Equal([5UL, 6UL], seen.Order());
    }

    [Fact]
    public void Label_LogPosition_ComesBack()
    {
        using var disk = Labelled(Label(Stamp(5)));
        Assert.Equal("log"u8.ToArray(), DiskIdentity.Read(disk, DiskBytes).Label!.LogPosition.ToArray());
    }

    private static void Copy(MemoryBlockDevice from, MemoryBlockDevice to)
    {
        using var buffer = AlignedBufferPool.Shared.Rent(1 << 20);
        for (long at = 0; at < Math.Min(from.SizeBytes, to.SizeBytes); at += 1 << 20)
        {
            from.Read(at, buffer.GetSpan()[..(1 << 20)]);
            to.Write(at, buffer.GetSpan()[..(1 << 20)]);
        }
    }
}
