using RaftMirror.DataPlane.Devices;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>Puts a stamp on one disk. Blocks; one call per disk at a time.</summary>
public static class LabelStamper
{
    /// <summary>Looks at what is there, then writes tail, flush, head, flush.</summary>
    /// <remarks>The look comes first: a stamp on an older copy would make it look current, one over a newer label would make the
    /// disk look old, and one at the end of a file that was cut would hide that.</remarks>
    /// <param name="device">The disk, by the handle that was judged when it was opened.</param>
    /// <param name="expected">The disk that it is.</param>
    /// <param name="stamps">From the state that asks for the stamp.</param>
    /// <param name="wanted">The label to write.</param>
    /// <param name="mayWrite">Asked before each write; false once this node has no lease, or it is another one's to stamp.</param>
    /// <returns>Usable if the label is durable.</returns>
    public static DiskVerdict Stamp(
        IBlockDevice device, ExpectedDisk expected, StampExpectation stamps, DiskLabel wanted, Func<bool> mayWrite)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(wanted);
        ArgumentNullException.ThrowIfNull(mayWrite);
        var verdict = DiskIdentity.Judge(expected, device.SizeBytes, DiskIdentity.Read(device, expected.SizeBytes), stamps);
        if (!verdict.IsUsable) return verdict;
        using var block = AlignedBufferPool.Shared.Rent(DiskLayout.LabelBytes);
        var bytes = block.GetSpan()[..DiskLayout.LabelBytes];
        wanted.Write(bytes);
        foreach (var offset in (ReadOnlySpan<long>)[DiskLayout.TailLabelOffsetOf(expected.SizeBytes), 0])
        {
            if (!mayWrite()) return new DiskVerdict(DiskFinding.Silent, $"disk '{expected.Name}' was not stamped: this node may write labels of the set no more");
            var status = device.Write(offset, bytes);
            if (status == DeviceStatus.Ok) status = device.Flush();
            if (status != DeviceStatus.Ok)
                return new DiskVerdict(DiskFinding.Unreadable, $"disk '{expected.Name}' ({expected.Path}): its label could not be written ({status})");
        }

        return verdict;
    }
}
