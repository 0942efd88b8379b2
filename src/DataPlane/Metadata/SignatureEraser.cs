using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Takes away what others put on a disk that is to be overwritten: all of <see cref="SignaturePlaces"/> is zero afterwards, so that no
/// tool finds the old format again. Blocks; one thread.</summary>
public static class SignatureEraser
{
    /// <summary>Zeroes every place but the head and tail block, which carry the stamp of the check that runs, and looks whether it is so.</summary>
    /// <param name="device">A disk that carries a stamp.</param>
    /// <returns>Null if it is done, else why not: then some of the old content may be gone.</returns>
    public static string? Erase(IBlockDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        foreach (var place in SignaturePlaces.Of(device.SizeBytes, device.SectorBytes))
        {
            var tail = DiskLayout.TailLabelOffsetOf(device.SizeBytes);
            var start = Math.Max(place.Start, DiskLayout.LabelBytes);
            var status = Zero(device, start, Math.Min(place.End, tail));
            // A disk that is no multiple of a block has sectors behind its tail block.
            if (status == DeviceStatus.Ok) status = Zero(device, Math.Max(start, tail + DiskLayout.LabelBytes), place.End);
            if (status != DeviceStatus.Ok) return $"what was on {device.Name} could not be erased ({status}), some of it may be gone";
        }

        if (device.Flush() != DeviceStatus.Ok) return $"what was on {device.Name} could not be erased durably, some of it may be gone";
        return Check(device);
    }

    private static DeviceStatus Zero(IBlockDevice device, long start, long end) =>
        start < end ? device.WriteZeroes(start, end - start, mayUnmap: false) : DeviceStatus.Ok;

    private static string? Check(IBlockDevice device)
    {
        if (SignatureImage.Read(device, out var image) != DeviceStatus.Ok) return $"{device.Name} cannot be read after it was erased";
        image.Forget(0, DiskLayout.LabelBytes);
        image.Forget(DiskLayout.TailLabelOffsetOf(device.SizeBytes), DiskLayout.LabelBytes);
        return Signatures.Recognise(image) is { } left ? $"{device.Name} still holds {left} after it was erased" : null;
    }
}
