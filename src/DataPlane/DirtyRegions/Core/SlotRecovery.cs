using System.Buffers.Binary;

namespace RaftMirror.DataPlane.DirtyRegions.Core;

/// <summary>Bytes of a slot; how they are had is the shell's business.</summary>
public interface ISlotSource
{
    /// <summary>Fills <paramref name="buffer"/> from a block-aligned offset in the slot.</summary>
    /// <returns>False if they cannot be read.</returns>
    bool TryRead(long offset, Span<byte> buffer);
}

/// <summary>Whose log a slot must hold.</summary>
/// <param name="Set">Disk set id.</param>
/// <param name="Slot">Slot number.</param>
/// <param name="Incarnation">The incarnation that wrote it.</param>
/// <param name="Generation">Generation of the list of log disks.</param>
public readonly record struct ExpectedSlot(Guid Set, int Slot, ulong Incarnation, ulong Generation);

/// <summary>Reads one copy of a slot's log, or says why it cannot be trusted. It reads FasterLog's pages itself: FasterLog's
/// own recovery opens an empty or cut log where data is damaged, without an error (docs/formats.md, "Dirty log").
/// A core: the same input gives the same answer.</summary>
public static class SlotRecovery
{
    private const int FirstAddress = 64;
    private const int RecordHeaderBytes = 12;

    /// <summary>Replays the log.</summary>
    /// <param name="source">The slot.</param>
    /// <param name="slotBytes">Its size.</param>
    /// <param name="expected">Whose log it must be.</param>
    /// <param name="marks">The marks if nothing was doubtful; a superset of all that were acknowledged and not cleared.</param>
    /// <returns>What is doubtful, or null.</returns>
    public static string? Recover(ISlotSource source, long slotBytes, ExpectedSlot expected, out MarkSet marks)
    {
        ArgumentNullException.ThrowIfNull(source);
        marks = new MarkSet();
        var layout = SlotLayout.For(slotBytes);
        var block = new byte[SlotLayout.BlockBytes];
        if (!source.TryRead(0, block)) return "the slot header cannot be read";
        if (!SlotHeader.TryRead(block, out var header)) return "the slot header is missing or damaged";
        if (header.Set != expected.Set || header.Slot != expected.Slot) return $"the slot is slot {header.Slot} of set {header.Set}";
        if (header.Incarnation != expected.Incarnation || header.Generation != expected.Generation)
        {
            return $"the slot holds incarnation {header.Incarnation}, generation {header.Generation}, not "
                + $"{expected.Incarnation}, {expected.Generation}";
        }

        if (header.SegmentBits != layout.SegmentBits || header.SegmentCount != layout.SegmentCount)
            return "the slot was formatted for another size";
        if (header.Phase == SlotPhase.Formatting) return null; // The log never opened: nothing can have been marked.

        var doubt = ReadCommit(source, expected, layout, out var commit);
        if (doubt is not null) return doubt;
        var replay = new MarkReplay(expected.Incarnation, expected.Generation);
        doubt = ReadPages(source, layout, expected, commit, replay);
        if (doubt is not null) return doubt;
        if (!replay.Finish(commit.LastSequence)) return replay.Doubt;
        marks = replay.Marks;
        return null;
    }

    // The higher of two valid records counts. One that is damaged may have been torn by the crash, which is no doubt: the
    // commit was then not acknowledged, and the other record is the newest that was. But a record that is damaged for
    // another reason may have been the newest, and its log's entries lie beyond the other's end: look for one.
    private static string? ReadCommit(ISlotSource source, ExpectedSlot expected, SlotLayout layout, out CommitRecord commit)
    {
        commit = default;
        var block = new byte[SlotLayout.BlockBytes];
        var valid = 0;
        foreach (var offset in (ReadOnlySpan<int>)[SlotLayout.CommitAOffset, SlotLayout.CommitBOffset])
        {
            if (!source.TryRead(offset, block)) return "a commit record cannot be read";
            if (!CommitRecord.TryRead(block, out var record)) continue;
            if (record.Incarnation != expected.Incarnation || record.Generation != expected.Generation)
                return "a commit record is of another incarnation";
            valid++;
            if (record.Number >= commit.Number) commit = record;
        }

        if (valid == 0) return "the slot was opened, but its commit records are missing or damaged";

        // Both are written when the log opens, so a missing one was torn or damaged: see HasLaterEntry.
        if (commit.Begin < FirstAddress && commit.Begin != 0) return "a commit record has an impossible begin";
        var ring = (layout.SegmentCount - 1L) * layout.SegmentBytes;
        if (commit.Begin < 0 || commit.Until < FirstAddress || commit.Until < commit.Begin || commit.Until - commit.Begin > ring)
            return "a commit record has impossible addresses";
        if (valid < 2 && HasLaterEntry(source, layout, expected, commit))
            return "a commit record is damaged, and there are entries behind the other's end";
        return null;
    }

    // Entries behind the end of the surviving record: they may have been acknowledged by the damaged one.
    private static bool HasLaterEntry(ISlotSource source, SlotLayout layout, ExpectedSlot expected, CommitRecord commit)
    {
        var page = new byte[SlotLayout.BlockBytes];
        var start = commit.Until / page.Length * page.Length;
        for (var i = 0; i < 2; i++, start += page.Length)
        {
            if (!IsSegmentThere(source, layout, expected, start >> layout.SegmentBits)) continue;
            if (!source.TryRead(layout.OffsetOf(start), page)) return true;
            var from = i == 0 ? (int)(commit.Until - start) : 0;
            if (page.AsSpan(from).IndexOfAnyExcept((byte)0) >= 0) return true;
        }

        return false;
    }

    private static string? ReadPages(
        ISlotSource source, SlotLayout layout, ExpectedSlot expected, CommitRecord commit, MarkReplay replay)
    {
        var page = new byte[SlotLayout.BlockBytes];
        var checkedSegment = -1L;
        for (var start = commit.Begin / page.Length * page.Length; start < commit.Until; start += page.Length)
        {
            var segment = start >> layout.SegmentBits;
            if (segment != checkedSegment && !IsSegmentThere(source, layout, expected, segment))
                return $"segment {segment} of the log is missing";
            checkedSegment = segment;
            if (!source.TryRead(layout.OffsetOf(start), page)) return $"the log cannot be read at {start}";
            var end = (int)Math.Min(page.Length, commit.Until - start);
            var doubt = ReadPage(page.AsSpan(0, end), start == 0 ? FirstAddress : 0, replay);
            if (doubt is not null) return $"{doubt} (page at {start})";
        }

        return null;
    }

    // FasterLog: records of [8 checksum][4 length][payload, padded to 4]; the rest of a page is zero.
    private static string? ReadPage(ReadOnlySpan<byte> page, int at, MarkReplay replay)
    {
        while (at + RecordHeaderBytes <= page.Length)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(page[(at + 8)..]);
            if (length == 0) break;
            if (length < 0 || length > page.Length - at - RecordHeaderBytes) return "a record has an impossible length";
            if (!replay.Take(page.Slice(at + RecordHeaderBytes, length))) return replay.Doubt;
            at += RecordHeaderBytes + ((length + 3) & ~3);
        }

        return null;
    }

    private static bool IsSegmentThere(ISlotSource source, SlotLayout layout, ExpectedSlot expected, long segment)
    {
        var block = new byte[SlotLayout.BlockBytes];
        return source.TryRead(layout.SegmentHeaderOffset(segment), block)
            && SegmentHeader.TryRead(block, out var header)
            && header.Segment == segment
            && header.Incarnation == expected.Incarnation;
    }
}
