using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.DirtyRegions.Faster;
using RaftMirror.DataPlane.DiskIo;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.DataPlane.Mirroring.Shell;
using RaftMirror.Node.Disks;

namespace RaftMirror.Node.Sets;

/// <summary>Opens the disks and dirty logs of this node's sets, and reads and writes what stands in their metadata areas. Calls
/// block; any thread.</summary>
internal sealed partial class SetResources(NodeDisks disks, ILogger logger) : ISetResources
{
    private const int MaxRunsOfCommand = 16384;

    /// <inheritdoc/>
    public IBlockDevice OpenDisk(SetConfiguration set, DiskConfiguration disk) => disks.Take(set, disk);

    /// <inheritdoc/>
    public async ValueTask<IDirtyRegionLog> OpenLogAsync(
        SetConfiguration set, SlotConfiguration slot, IReadOnlyList<IBlockDevice> logDisks)
    {
        var number = set.Members.First(member => member.Node == set.Self).Slot;
        var layout = LayoutOf(logDisks.Min(disk => disk.SizeBytes), set.Disks[0].MetadataBytes, set.MaxNodes);
        var (log, failure) = await FasterDirtyRegionLog.OpenAsync(set.Id, number, slot, layout, logDisks);
        return log ?? throw new DirtyLogOpenException(failure ?? new DirtyLogFailure("The dirty log could not be opened.", null));
    }

    /// <summary>Reads the marks in a sealed slot. Any doubt gives "everything"; a disk that is not what the state knows is such a doubt.</summary>
    /// <param name="before">A state with all that was committed before the call.</param>
    /// <param name="set">The set in it.</param>
    /// <param name="number">Of the slot.</param>
    /// <param name="slot">The slot.</param>
    /// <param name="after">Gives a state with all that was committed when it is called.</param>
    public async Task<RecoveredMarks> ReadSlotAsync(
        ClusterState before, SetState set, int number, SlotState slot, Func<Task<ClusterState>> after)
    {
        var devices = new List<IBlockDevice>();
        try
        {
            foreach (var name in slot.Disks)
            {
                try
                {
                    var device = await disks.OpenForReadingAsync(before, set, set.Disks[name], after);
                    // A disk that hangs in the middle of it is one more doubt; the merge goes on with the other one.
                    devices.Add(BoundedDisk.Open(name, () => device, TimeSpan.FromMilliseconds(set.DeviceTimeoutMs)));
                }
                catch (IOException missing)
                {
                    LogMissing(logger, set.Name, name, missing.Message); // The reader counts it as a doubt.
                }
            }

            var layout = StateWords.Layout(set, set.Disks[slot.Disks[0]]);
            return await Task.Run(() => DirtyRegionLogReader.Recover(set.Id, number, SetConfigurationMapper.Map(slot), layout, devices));
        }
        finally
        {
            devices.ForEach(device => device.Dispose());
        }
    }

    /// <summary>Recovered marks as a command carries them: one entry of the log holds at most 1 MiB, so the runs of all volumes
    /// together are bounded, each volume's to a superset of its marks.</summary>
    internal static ImmutableArray<VolumeMarks> ToMarks(IReadOnlyDictionary<uint, IReadOnlyList<long>> marks)
    {
        var most = Math.Clamp(MaxRunsOfCommand / Math.Max(1, marks.Count), 1, RegionRuns.MaxRuns);
        return [.. marks.Select(volume => new VolumeMarks(volume.Key, RegionRuns.Bound(ToRuns(volume.Value), most)))];
    }

    /// <summary>Region numbers as runs.</summary>
    public static ImmutableArray<RegionRun> ToRuns(IReadOnlyList<long> regions)
    {
        var runs = ImmutableArray.CreateBuilder<RegionRun>();
        foreach (var region in regions)
        {
            if (runs.Count > 0 && runs[^1].End == region) runs[^1] = runs[^1] with { Count = runs[^1].Count + 1 };
            else runs.Add(new RegionRun(region, 1));
        }

        return runs.ToImmutable();
    }

    private static DiskLayout LayoutOf(long sizeBytes, long metadataBytes, int maxNodes) =>
        DiskLayout.TryCreate(sizeBytes, metadataBytes, maxNodes, out var layout, out var refusal)
            ? layout
            : throw new IOException($"The disk does not fit its set: {refusal}.");

    [LoggerMessage(3501, LogLevel.Error, "Set {Set}: disk {Disk} of a dead node's dirty log cannot be opened: {Reason}")]
    private static partial void LogMissing(ILogger logger, string set, string disk, string reason);
}
