using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Reads and writes the two copies of a label. Blocks; one thread per disk.</summary>
public static class LabelStore
{
    /// <summary>Writes both copies: tail, flush, head, flush, so that one whole copy exists at any moment.</summary>
    public static DeviceStatus Write(IBlockDevice device, DiskLabel label)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(label);
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        label.Write(bytes);
        var status = WriteThrough(device, DiskLayout.TailLabelOffsetOf(device.SizeBytes), bytes);
        return status == DeviceStatus.Ok ? WriteThrough(device, 0, bytes) : status;
    }

    /// <summary>Reads both copies; of two valid ones the newer wins: the higher stamp, then the higher generation.</summary>
    /// <param name="device">The disk.</param>
    /// <param name="label">The label, or null if no copy is valid.</param>
    /// <param name="needsRepair">True if a copy is damaged or older than the other: write the label again.</param>
    /// <returns>Not Ok if neither copy could be read.</returns>
    public static DeviceStatus Read(IBlockDevice device, out DiskLabel? label, out bool needsRepair)
    {
        ArgumentNullException.ThrowIfNull(device);
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        label = null;
        var tailStatus = device.Read(DiskLayout.TailLabelOffsetOf(device.SizeBytes), bytes);
        if (tailStatus == DeviceStatus.Ok) DiskLabel.TryRead(bytes, out label);
        DiskLabel? head = null;
        var headStatus = device.Read(0, bytes);
        if (headStatus == DeviceStatus.Ok) DiskLabel.TryRead(bytes, out head);
        needsRepair = head != label;
        if (head is not null && (label is null || head.IsNewerThan(label))) label = head;
        return headStatus == DeviceStatus.Ok || tailStatus == DeviceStatus.Ok ? DeviceStatus.Ok : headStatus;
    }

    private static DeviceStatus WriteThrough(IBlockDevice device, long offset, ReadOnlySpan<byte> bytes)
    {
        var status = device.Write(offset, bytes);
        return status == DeviceStatus.Ok ? device.Flush() : status;
    }
}
