using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.DiskIo;

/// <summary>The trial of a disk (design §14.20, §14.21).</summary>
public sealed class DiskTrialTests
{
    private const long Mib = 1 << 20;

    [Fact] // On a slow disk trials fell between the two sides of a comparison, and nodes were told that there are copies of the disk.
    public void Run_ProofOfSamenessStandsInItsBlock_StaysThere()
    {
        var disk = new MemoryBlockDevice("d", 100 * Mib);
        Assert.True(DiskLayout.TryCreate(disk.SizeBytes, DiskLayout.MinMetadataBytes, 4, out var layout, out _));
        var (id, nonce) = (Guid.NewGuid(), Guid.NewGuid());
        Assert.Equal(DeviceStatus.Ok, SamenessProof.Write(disk, layout, 1, id, [nonce]));
        Assert.Equal(DeviceStatus.Ok, DiskTrial.Run(disk, AlignedBufferPool.Shared, layout.SlotOffset(1), default));
        Assert.Equal(DeviceStatus.Ok, SamenessProof.Read(disk, layout, 1, id, nonce, out var isThere));
        Assert.True(isThere);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(4096, 4096, 1)]
    [InlineData(4096, 3 * Mib, 3)]
    [InlineData(4096, (3 * Mib) + 1, 4)]
    [InlineData(0, (64 * Mib) + 1, 1)] // Longer than any request: it is refused, not read.
    public void Pieces_CoverThePlaceInOrder(long start, long length, int count)
    {
        var pieces = DiskTrial.Pieces(new ByteRange(start, length)).ToList();
        Assert.Equal(count, pieces.Count);
        Assert.Equal(length, pieces.Sum(static piece => piece.Length));
        for (var i = 0; i < pieces.Count; i++) Assert.Equal(i == 0 ? start : pieces[i - 1].End, pieces[i].Start);
    }

    [Theory]
    [InlineData(0, 4096, DeviceStatus.Ok)]
    [InlineData((99 * Mib) + 5, 100, DeviceStatus.Ok)] // Whole blocks around it.
    [InlineData((100 * Mib) - 4096, 8192, DeviceStatus.IoError)]
    [InlineData(0, (64 * Mib) + 1, DeviceStatus.IoError)]
    public void ReadPlace_ReadsWhatLiesOnTheDisk(long start, long length, DeviceStatus expected)
    {
        var disk = new MemoryBlockDevice("d", 100 * Mib);
        Assert.Equal(expected, DiskTrial.ReadPlace(disk, AlignedBufferPool.Shared, new ByteRange(start, length)));
    }
}
