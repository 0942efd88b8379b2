using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Metadata;
using Xunit;

namespace RaftMirror.Node.Tests;

// The control plane admits by its own arithmetic, the data plane lays out by its own: they must agree (design §14.17).
public sealed class PlacementTests
{
    [Fact]
    public void Geometry_EveryMetadataSizeAndSlotCount_AdmitsWhatTheLayoutHolds()
    {
        for (var mebibytes = 4L; mebibytes <= 256; mebibytes++)
        {
            for (var nodes = 1; nodes <= DiskLayout.LimitMaxNodes; nodes++)
            {
                var metadata = mebibytes << 20;
                var isPossible = DiskLayout.TryCreate(1L << 40, metadata, nodes, out var layout, out _);
                Assert.Equal(isPossible, PlacementRules.SlotBytes(metadata, nodes) >= PlacementRules.MinSlotBytes);
                if (layout is null) continue;
                Assert.Equal(layout.SlotBytes, PlacementRules.SlotBytes(metadata, nodes));
                Assert.Equal(LayoutLimits.PagesOf(layout), PlacementRules.SnapshotPages(metadata, nodes));
                Assert.True(PlacementRules.SnapshotPages(metadata, nodes) > 0, "At least one volume fits.");
            }
        }

        Assert.Equal(SlotLayout.MinSlotBytes, PlacementRules.MinSlotBytes);
        Assert.Equal(LayoutLimits.RegionsPerEntry, PlacementRules.RegionsPerPage);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(28_672)]
    [InlineData(28_673)]
    [InlineData(1_000_000)]
    public void SnapshotPagesOf_Regions_AsTheLayoutCounts(long regions) =>
        Assert.Equal(LayoutLimits.PagesFor(regions), PlacementRules.SnapshotPagesOf(regions));

    [Fact]
    public void DataArea_EverySize_AsTheLayoutHasIt()
    {
        for (var size = 5L << 20; size < 9L << 20; size += 4096)
        {
            var isPossible = DiskLayout.TryCreate(size, 4 << 20, 16, out var layout, out _);
            Assert.Equal(isPossible, PlacementRules.DataEnd(size) >= PlacementRules.DataStart(4 << 20) + PlacementRules.AlignmentBytes);
            if (layout is not null) Assert.Equal(layout.DataOffset + layout.DataBytes, PlacementRules.DataEnd(size));
        }
    }
}
