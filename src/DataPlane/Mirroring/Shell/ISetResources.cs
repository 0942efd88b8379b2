using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions;

namespace RaftMirror.DataPlane.Mirroring.Shell;

/// <summary>Opens what a set needs on this node. Calls may block; they come from one thread of the set's, one at a time.</summary>
public interface ISetResources
{
    /// <summary>Opens a disk after checking its label.</summary>
    /// <exception cref="IOException">It cannot be reached or is another disk; tried again later.</exception>
    IBlockDevice OpenDisk(SetConfiguration set, DiskConfiguration disk);

    /// <summary>Opens a new dirty log for this incarnation in its slot.</summary>
    /// <param name="set">The configuration that names the slot.</param>
    /// <param name="slot">The slot, committed before this first use.</param>
    /// <param name="disks">The slot's disks, open, in the slot's order.</param>
    /// <exception cref="IOException">It cannot be written; reported and not tried again for this generation. As
    /// <see cref="DirtyLogOpenException"/> if a disk is to blame.</exception>
    ValueTask<IDirtyRegionLog> OpenLogAsync(SetConfiguration set, SlotConfiguration slot, IReadOnlyList<IBlockDevice> disks);
}
