using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions;
using RaftMirror.DataPlane.DirtyRegions.Faster;
using RaftMirror.DataPlane.Metadata;
using RaftMirror.DataPlane.Mirroring;

namespace RaftMirror.Cli.Daemon;

/// <summary>Opens the disks and dirty logs of this node's sets, and reads and writes what stands in their metadata areas. Calls
/// block; any thread.</summary>
internal sealed partial class SetResources(ILogger logger) : ISetResources
{
    private const int MaxRunsOfCommand = 16384;

    /// <inheritdoc/>
    public IBlockDevice OpenDisk(SetConfiguration set, DiskConfiguration disk) => Open(disk, set.ClusterId, set.Id);

    /// <inheritdoc/>
    public async ValueTask<IDirtyRegionLog> OpenLogAsync(
        SetConfiguration set, SlotConfiguration slot, IReadOnlyList<IBlockDevice> disks)
    {
        var number = set.Members.First(member => member.Node == set.Self).Slot;
        var layout = LayoutOf(disks.Min(disk => disk.SizeBytes), set.Disks[0].MetadataBytes, set.MaxNodes);
        var (log, failure) = await FasterDirtyRegionLog.OpenAsync(set.Id, number, slot, layout, disks);
        return log ?? throw new DirtyLogOpenException(failure ?? new DirtyLogFailure("The dirty log could not be opened.", null));
    }

    /// <summary>Checks that this node reaches every usable disk of a set, by label.</summary>
    /// <exception cref="IOException">It does not; the message names the disk.</exception>
    public static void RequireDisks(ClusterState cluster, SetState set, string self)
    {
        foreach (var disk in set.Disks.Values)
        {
            if (disk.Status != DiskStatus.Okay) continue;
            Open(SetConfigurationMapper.Map(set, disk, self), cluster.Id, set.Id).Dispose();
        }
    }

    /// <summary>Reads the marks in a sealed slot. Any doubt gives "everything".</summary>
    public RecoveredMarks ReadSlot(ClusterState cluster, SetState set, string self, int number, SlotState slot)
    {
        var devices = new List<IBlockDevice>();
        try
        {
            foreach (var name in slot.Disks)
            {
                try
                {
                    devices.Add(Open(SetConfigurationMapper.Map(set, set.Disks[name], self), cluster.Id, set.Id));
                }
                catch (IOException missing)
                {
                    LogMissing(logger, set.Name, name, missing.Message); // The reader counts it as a doubt.
                }
            }

            var layout = LayoutOf(set.Disks[slot.Disks[0]].SizeBytes, set.MetadataBytes, set.MaxNodes);
            return DirtyRegionLogReader.Recover(set.Id, number, SetConfigurationMapper.Map(slot), layout, devices);
        }
        finally
        {
            devices.ForEach(device => device.Dispose());
        }
    }

    /// <summary>Writes the set's present generation to the labels of the surviving disks. A disk whose label cannot be written survives
    /// nothing: the barrier of a lost leg must not wait for it (design §14.1).</summary>
    /// <returns>Disks in use whose label could not be written, each with the reason.</returns>
    public static IReadOnlyList<(string Disk, string Reason)> StampLabels(ClusterState cluster, SetState set, string self)
    {
        var failures = new List<(string, string)>();
        foreach (var disk in set.Disks.Values)
        {
            if (disk.Status == DiskStatus.Okay && StampLabel(cluster, set, disk, self) is { } reason && IsNeeded(set, disk.Name))
                failures.Add((disk.Name, reason));
        }

        return failures;
    }

    private static string? StampLabel(ClusterState cluster, SetState set, DiskState disk, string self)
    {
        try
        {
            using var device = Open(SetConfigurationMapper.Map(set, disk, self), cluster.Id, set.Id);
            var status = LabelStore.Write(device, LabelOf(device, cluster.Id, set, disk.Id, cluster.MembershipEpoch));
            return status == DeviceStatus.Ok ? null : $"its label could not be written ({status})";
        }
        catch (IOException failure)
        {
            return failure.Message;
        }
    }

    /// <summary>True if a submirror on the disk would have to be lost before the disk may be left behind: one that is in use and not the
    /// last source, which stays in use whatever its disk does.</summary>
    private static bool IsNeeded(SetState set, string disk) => set.Volumes.Values.SelectMany(volume => volume.Submirrors).Any(
        submirror => submirror.IsWritable && submirror.Status != SubmirrorStatus.LastErred && submirror.IsOn(disk));

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

    /// <summary>The label that a disk of a set carries.</summary>
    internal static DiskLabel LabelOf(IBlockDevice device, Guid cluster, SetState set, Guid disk, ulong epoch)
    {
        var layout = LayoutOf(device.SizeBytes, set.MetadataBytes, set.MaxNodes);
        return new DiskLabel(
            cluster, set.Id, disk, device.SizeBytes, set.MetadataBytes, set.MaxNodes, 0, layout.SlotBytes, set.Generation, epoch);
    }

    private static DiskLayout LayoutOf(long sizeBytes, long metadataBytes, int maxNodes) =>
        DiskLayout.TryCreate(sizeBytes, metadataBytes, maxNodes, out var layout, out var refusal)
            ? layout
            : throw new IOException($"The disk does not fit its set: {refusal}.");

    private static FileBlockDevice Open(DiskConfiguration disk, Guid cluster, Guid set)
    {
        var device = FileBlockDevice.Open(disk.Name, disk.Path, disk.IsDirectIo);
        try
        {
            if (LabelStore.Read(device, out var label, out _) != DeviceStatus.Ok)
                throw new IOException($"Disk '{disk.Name}' ({disk.Path}) cannot be read.");
            if (label is null) throw new IOException($"Disk '{disk.Name}' ({disk.Path}) has no valid label: it is not the disk that was added.");
            if (label.Cluster != cluster || label.Set != set || label.Disk != disk.Id)
            {
                throw new IOException(
                    $"Disk '{disk.Name}' ({disk.Path}) is disk {label.Disk} of set {label.Set}, cluster {label.Cluster}: not the disk that was added.");
            }

            if (label.SizeBytes != device.SizeBytes)
                throw new IOException($"Disk '{disk.Name}' ({disk.Path}) has {device.SizeBytes} bytes, its label says {label.SizeBytes}.");
            return device;
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    [LoggerMessage(3501, LogLevel.Error, "Set {Set}: disk {Disk} of a dead node's dirty log cannot be opened: {Reason}")]
    private static partial void LogMissing(ILogger logger, string set, string disk, string reason);
}
