using RaftMirror.DataPlane.Configuration;
using RaftMirror.DataPlane.Devices;
using RaftMirror.DataPlane.DirtyRegions.Core;
using RaftMirror.DataPlane.Metadata;

namespace RaftMirror.DataPlane.DirtyRegions.Faster;

/// <summary>Reads a node's dirty log from its disks, after that node was fenced. Changes nothing on disk. Blocks; any thread.</summary>
public static class DirtyRegionLogReader
{
    /// <summary>Recovers the marks. An acknowledged mark is on every disk of the log, so one whole copy has them all; of two
    /// that differ the union is taken. Without a whole copy everything is dirty.</summary>
    /// <param name="set">Disk set id.</param>
    /// <param name="slot">Slot number.</param>
    /// <param name="expected">The slot as committed: its writer, its disks.</param>
    /// <param name="layout">Of the disks.</param>
    /// <param name="disks">Those of the slot's disks that this node can open; fewer than the slot names, or none, is allowed.</param>
    public static RecoveredMarks Recover(
        Guid set, int slot, SlotConfiguration expected, DiskLayout layout, IReadOnlyList<IBlockDevice> disks)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(disks);
        var doubts = new List<string>();
        MarkSet? marks = null;
        foreach (var disk in disks)
        {
            var expectedSlot = new ExpectedSlot(set, slot, expected.Incarnation, expected.Generation);
            using var source = new DeviceSource(disk, layout.SlotOffset(slot));
            var doubt = RecoverFrom(source, layout.SlotBytes, expectedSlot, out var found);
            if (doubt is not null)
            {
                doubts.Add($"disk {disk.Name}: {doubt}");
                continue;
            }

            if (marks is null)
            {
                marks = found;
                continue;
            }

            if (!marks.IsSame(found)) doubts.Add($"disk {disk.Name}: its marks differ from those of another log disk; both count");
            marks.Union(found);
        }

        if (disks.Count < expected.Disks.Count) doubts.Add($"{expected.Disks.Count - disks.Count} of the log's disks cannot be opened");
        var text = doubts.Count == 0 ? null : string.Join("; ", doubts);
        return marks is null
            ? new RecoveredMarks(true, text ?? "the log has no disk", new Dictionary<uint, IReadOnlyList<long>>())
            : new RecoveredMarks(false, text, marks.ToLists());
    }

#pragma warning disable CA1031 // Any surprise while reading untrusted bytes is a doubt, and a doubt is never fewer marks.
    private static string? RecoverFrom(DeviceSource source, long slotBytes, ExpectedSlot expected, out MarkSet marks)
    {
        try
        {
            return SlotRecovery.Recover(source, slotBytes, expected, out marks) ?? source.Doubt;
        }
        catch (Exception e)
        {
            marks = new MarkSet();
            return $"reading its log failed: {e.Message}";
        }
    }
#pragma warning restore CA1031

    // Latches read errors: whatever was concluded after one is doubtful.
    private sealed class DeviceSource(IBlockDevice device, long slotOffset) : ISlotSource, IDisposable
    {
        private readonly AlignedBuffer _buffer = AlignedBufferPool.Shared.Rent(SlotLayout.BlockBytes);

        public string? Doubt { get; private set; }

        public bool TryRead(long offset, Span<byte> buffer)
        {
            var aligned = _buffer.GetSpan()[..buffer.Length];
            var status = device.Read(slotOffset + offset, aligned);
            if (status != DeviceStatus.Ok)
            {
                Doubt ??= $"a read at {slotOffset + offset} failed: {status}";
                return false;
            }

            aligned.CopyTo(buffer);
            return true;
        }

        public void Dispose() => _buffer.Dispose();
    }
}
