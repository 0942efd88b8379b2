using RaftMirror.DataPlane.Devices;
using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>What a path turned out to be.</summary>
public enum DiskContent
{
    /// <summary>Nothing but zeros where data would show: may be added.</summary>
    Blank,

    /// <summary>A disk of Raft.Mirror, with a valid label.</summary>
    Ours,

    /// <summary>Has been a disk of Raft.Mirror, but no copy of the label is valid.</summary>
    OursDamaged,

    /// <summary>Holds other data.</summary>
    Foreign,

    /// <summary>A validation stamp of an interrupted <c>disk add</c>.</summary>
    Stamped,

    /// <summary>Too small for the metadata area and some data.</summary>
    TooSmall,

    /// <summary>Missing, a directory, not readable, …</summary>
    NotADisk,
}

/// <summary>Result of a probe.</summary>
/// <param name="Content">What it is.</param>
/// <param name="Message">For people: what it is and what to do.</param>
/// <param name="SizeBytes">Size, 0 if unknown.</param>
/// <param name="SectorBytes">Logical sector, 0 if unknown.</param>
/// <param name="Label">The label of one of ours.</param>
/// <param name="NeedsRepair">A copy of the label is damaged or old.</param>
public sealed record DiskProbeResult(
    DiskContent Content, string Message, long SizeBytes = 0, int SectorBytes = 0, DiskLabel? Label = null, bool NeedsRepair = false);

/// <summary>Reads a path and says what it is, changing nothing. Blocks; any thread.</summary>
public static class DiskProbe
{
    /// <summary>Probes a path.</summary>
    /// <param name="path">On this node.</param>
    /// <param name="isDirect">O_DIRECT, else page cache.</param>
    /// <param name="metadataBytes">Metadata area that a new disk would get.</param>
    public static DiskProbeResult Probe(string path, bool isDirect, long metadataBytes = DiskLayout.DefaultMetadataBytes)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (Directory.Exists(path))
            return new DiskProbeResult(DiskContent.NotADisk, $"{path} is a directory, not a disk: name a block device or a file");
        if (!File.Exists(path))
            return new DiskProbeResult(DiskContent.NotADisk, $"{path} does not exist on this node: check the path, or give one per node (--path)");
        try
        {
            if (Linux.IsBlockDeviceBusy(path))
                return new DiskProbeResult(DiskContent.NotADisk, $"{path} is in use on this node: mounted, or part of an array, a volume group or swap; end that first");
            using var device = FileBlockDevice.Open(path, path, isDirect, writable: true);
            return Probe(device, metadataBytes);
        }
        catch (IOException e)
        {
            return new DiskProbeResult(DiskContent.NotADisk, $"{path} cannot be used as a disk: {e.Message}");
        }
    }

    /// <summary>Probes an open device.</summary>
    public static DiskProbeResult Probe(IBlockDevice device, long metadataBytes)
    {
        ArgumentNullException.ThrowIfNull(device);
        DiskProbeResult Result(DiskContent content, string message) => new(content, message, device.SizeBytes, device.SectorBytes);
        if (device.SizeBytes < 2 * DiskLayout.LabelBytes)
            return Result(DiskContent.TooSmall, $"{device.Name} has {device.SizeBytes} bytes only: use a larger disk");
        if (LabelStore.Read(device, out var label, out var needsRepair) != DeviceStatus.Ok)
            return Result(DiskContent.NotADisk, $"{device.Name} cannot be read: check the disk and its cabling");
        if (label is not null)
        {
            return label.SizeBytes == device.SizeBytes
                ? Result(DiskContent.Ours, $"{device.Name} is disk {label.Disk} of set {label.Set} in cluster {label.Cluster}") with
                {
                    Label = label,
                    NeedsRepair = needsRepair,
                }
                : Result(
                    DiskContent.OursDamaged,
                    $"{device.Name} is labelled as disk {label.Disk} of set {label.Set} with {label.SizeBytes} bytes, but has "
                    + $"{device.SizeBytes}: it is a copy, or was resized; add it with --overwrite if it is not needed") with
                {
                    Label = label,
                };
        }

        using var buffer = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var head = buffer.GetSpan()[..DiskLayout.LabelBytes];
        using var tailBuffer = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var tail = tailBuffer.GetSpan()[..DiskLayout.LabelBytes];
        if (device.Read(0, head) != DeviceStatus.Ok
            || device.Read(DiskLayout.TailLabelOffsetOf(device.SizeBytes), tail) != DeviceStatus.Ok)
        {
            return Result(DiskContent.NotADisk, $"{device.Name} cannot be read: check the disk and its cabling");
        }

        if (DiskLabel.HasMagic(head) || DiskLabel.HasMagic(tail))
        {
            return Result(
                DiskContent.OursDamaged,
                $"{device.Name} was a disk of Raft.Mirror, but both copies of its label are damaged: restore it, or add it with --overwrite if its data is not needed");
        }

        if (ProbeStamp.IsStamp(head) || ProbeStamp.IsStamp(tail))
            return Result(DiskContent.Stamped, $"{device.Name} carries the stamp of an unfinished check: it is being added, or adding it was interrupted; if so, add it with --overwrite");
        if (SignatureImage.Read(device, out var image) != DeviceStatus.Ok)
            return Result(DiskContent.NotADisk, $"{device.Name} cannot be read everywhere that a signature can stand: check the disk and its cabling");
        if (Signatures.Recognise(image) is { } foreign)
            return Result(DiskContent.Foreign, $"{device.Name} holds {foreign}: choose another disk, or add it with --overwrite if its data is not needed");
        return DiskLayout.TryCreate(device.SizeBytes, metadataBytes, 1, out _, out var refusal)
            ? Result(DiskContent.Blank, $"{device.Name} is blank: nothing but zeros in {SignaturePlaces.Describe(device.SizeBytes)}")
            : Result(DiskContent.TooSmall, $"{device.Name}: {refusal}");
    }
}
