using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.Node.Disks;

/// <summary>What somebody should know of a disk that is in use and right.</summary>
/// <param name="GrownToBytes">Its size, if it is larger than it was when it was added; 0 else. It is used up to its known size.</param>
/// <param name="IsPathGone">Its path leads to it no more.</param>
internal sealed record DiskFacts(long GrownToBytes, bool IsPathGone)
{
    /// <summary>Looks at an open disk. May block.</summary>
    public static DiskFacts Of(FileBlockDevice device, ExpectedDisk expected)
    {
        var size = device.CurrentSizeBytes;
        return new DiskFacts(size / device.SectorBytes * device.SectorBytes > expected.SizeBytes ? size : 0, device.IsGoneFrom(expected.Path));
    }
}
