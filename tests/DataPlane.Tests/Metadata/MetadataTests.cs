using System.Text;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Metadata;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Metadata;

public sealed class MetadataTests
{
    private const long DiskBytes = 8 << 20;
    private static readonly Guid Set = Guid.Parse("00000000-0000-0000-0000-00000000000a");

    private static DiskLabel Label(ulong generation) =>
        new(Guid.Parse("00000000-0000-0000-0000-00000000000c"), Set, Guid.Parse("00000000-0000-0000-0000-00000000000d"),
            DiskBytes, DiskLayout.MinMetadataBytes, 4, 0, 4096, generation, 2);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Label_AnyByteOfOneCopyFlipped_OtherCopyWins(bool isHead)
    {
        using var disk = new MemoryBlockDevice("d", DiskBytes);
        Assert.Equal(DeviceStatus.Ok, LabelStore.Write(disk, Label(5)));
        var start = isHead ? 0 : DiskLayout.TailLabelOffsetOf(DiskBytes);
        for (var at = 0; at < DiskLayout.LabelBytes; at++)
        {
            disk.Flip(start + at, 1);
            LabelStore.Read(disk, out var label, out var needsRepair);
            Assert.Equal(Label(5), label);
            Assert.True(needsRepair);
            disk.Flip(start + at, 1);
        }
    }

    [Fact]
    public void Label_BothCopiesDamaged_IsRefused()
    {
        using var disk = new MemoryBlockDevice("d", DiskBytes);
        LabelStore.Write(disk, Label(5));
        disk.Flip(100);
        disk.Flip(DiskLayout.TailLabelOffsetOf(DiskBytes) + 100);
        Assert.Equal(DiskContent.OursDamaged, DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Content);
    }

    [Fact] // design §14.16.
    public void Label_WriteInterruptedAfterTheTail_NewGenerationWins()
    {
        using var disk = new FailingDevice(new MemoryBlockDevice("d", DiskBytes));
        LabelStore.Write(disk, Label(5));
        disk.Fail(DeviceOperations.Write, skip: 1);
        Assert.NotEqual(DeviceStatus.Ok, LabelStore.Write(disk, Label(6)));
        LabelStore.Read(disk, out var label, out var needsRepair);
        Assert.Equal((6UL, true), (label!.Generation, needsRepair));
    }

    [Fact]
    public void Label_Write_IsTailFlushHeadFlush()
    {
        var record = new DeviceRecord();
        using var disk = new RecordingDevice(new MemoryBlockDevice("d", DiskBytes), record);
        LabelStore.Write(disk, Label(1));
        Assert.Equal(
            [
                (DeviceOperations.Write, DiskLayout.TailLabelOffsetOf(DiskBytes)), (DeviceOperations.Flush, 0),
                (DeviceOperations.Write, 0), (DeviceOperations.Flush, 0),
            ],
            record.Calls.Select(c => (c.Operation, c.Offset)));
    }

    [Fact]
    public void SetRecord_NewestDamaged_OlderIsRead()
    {
        using var disk = new MemoryBlockDevice("d", DiskBytes);
        Assert.True(DiskLayout.TryCreate(DiskBytes, DiskLayout.MinMetadataBytes, 4, out var layout, out _));
        var store = new SetRecordStore(disk, layout, Set);
        Assert.Equal(DeviceStatus.Ok, store.ReadNewest(out var none));
        Assert.Null(none);
        store.Write("one"u8, 10);
        store.Write(Encoding.UTF8.GetBytes(new string('x', 9000)), 20);
        store.ReadNewest(out var newest);
        Assert.Equal((20UL, 9000), (newest!.Index, newest.Content.Length));
        disk.Flip(layout.SetRecordBOffset + 5000);
        store.ReadNewest(out var older);
        Assert.Equal((10UL, "one"), (older!.Index, Encoding.UTF8.GetString(older.Content)));
        store.Write("three"u8, 30);
        store.ReadNewest(out var repaired);
        Assert.Equal(30UL, repaired!.Index);
    }

    [Fact]
    public void Stamp_ReadByAnotherAndRestored_DiskIsAsBefore()
    {
        using var disk = new MemoryBlockDevice("d", DiskBytes);
        var before = new byte[512];
        before.AsSpan().Fill(7);
        disk.Write(1024, before);
        var nonce = Guid.Parse("12345678-0000-0000-0000-000000000001");
        Assert.Equal(DeviceStatus.Ok, ProbeStamp.Write(disk, nonce, out var stamp));
        ProbeStamp.Read(disk, out var read);
        Assert.Equal(nonce, read);
        Assert.Equal(DiskContent.Stamped, DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Content);
        Assert.Equal(DeviceStatus.Ok, stamp!.Restore());
        var after = new byte[512];
        disk.Read(1024, after);
        Assert.Equal(before, after);
        ProbeStamp.Read(disk, out read);
        Assert.Null(read);
    }

    [Theory]
    [InlineData(0, "XFSB", DiskContent.Foreign)]
    [InlineData(512, "EFI PART", DiskContent.Foreign)]
    [InlineData(70_000, "?", DiskContent.Foreign)]
    [InlineData(3 << 20, "?", DiskContent.Foreign)]
    [InlineData(10 << 20, "?", DiskContent.Blank)]
    [InlineData(29 << 20, "?", DiskContent.Foreign)]
    public void Probe_Content_IsRecognised(int offset, string magic, DiskContent expected)
    {
        using var disk = new MemoryBlockDevice("d", 32 << 20);
        var sector = new byte[512];
        Encoding.ASCII.GetBytes(magic).CopyTo(sector, offset % 512);
        disk.Write(offset / 512 * 512, sector);
        Assert.Equal(expected, DiskProbe.Probe(disk, DiskLayout.MinMetadataBytes).Content);
    }

    [Fact]
    public void Probe_BadPaths_SayWhatTheyAre()
    {
        Assert.Contains("directory", DiskProbe.Probe(Path.GetTempPath(), false).Message, StringComparison.Ordinal);
        Assert.Contains("does not exist", DiskProbe.Probe("/nonexistent/disk", false).Message, StringComparison.Ordinal);
        using var small = new MemoryBlockDevice("d", 1 << 20);
        Assert.Equal(DiskContent.TooSmall, DiskProbe.Probe(small, DiskLayout.MinMetadataBytes).Content);
    }

    [Theory]
    [InlineData(4, 16)]
    [InlineData(64, 16)]
    [InlineData(64, 128)]
    [InlineData(256, 3)]
    public void Layout_Parts_DoNotOverlap(int metadataMiB, int maxNodes)
    {
        Assert.True(DiskLayout.TryCreate(1L << 30, (long)metadataMiB << 20, maxNodes, out var layout, out _));
        Assert.True(layout.SetRecordBOffset + layout.SetRecordBytes <= layout.SlotOffset(0));
        Assert.True(layout.SlotOffset(maxNodes - 1) + layout.SlotBytes <= layout.DataOffset);
        Assert.True(layout.DataOffset + layout.DataBytes <= layout.TailLabelOffset);
        Assert.True(SlotLayout.For(layout.SlotBytes).UsedBytes <= layout.SlotBytes);
        Assert.True(LayoutLimits.MaxRegions(layout) > 100_000);
    }

    [Fact]
    public void Layout_TooSmall_IsRefusedWithWhatWouldFit()
    {
        Assert.False(DiskLayout.TryCreate(32 << 20, DiskLayout.DefaultMetadataBytes, 16, out _, out var refusal));
        Assert.Contains("too small", refusal, StringComparison.Ordinal);
        Assert.False(DiskLayout.TryCreate(1 << 30, DiskLayout.MinMetadataBytes, 128, out _, out refusal));
        Assert.Contains("fewer slots", refusal, StringComparison.Ordinal);
    }
}
