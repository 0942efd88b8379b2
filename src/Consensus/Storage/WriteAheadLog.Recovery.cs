using System.Buffers.Binary;
using RaftMirror.Consensus.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>What recovery found.</summary>
/// <param name="HardState">Of the last intact frame; empty for a new log.</param>
/// <param name="Base">The entry before the first one: (0, 0) unless the log was compacted or reset by a snapshot.</param>
/// <param name="Entries">From Base.Index + 1, without holes.</param>
/// <param name="TornFrames">True if a tail that had never been durable was cut off: a normal crash.</param>
internal sealed record RecoveredLog(HardState HardState, EntryId Base, IReadOnlyList<LogEntry> Entries, bool TornFrames);

/// <summary>
/// Recovery. Frames are read in order up to the first that is not intact, frame k. It was known to be durable if the mark
/// says so, or if any intact frame anywhere behind it says (offset 104) that k or a later one was durable when it was written.
/// Known durable: damage, and the node must not start, for it would vote with a shortened log. Not known: a torn tail, cut off.
/// An intact frame behind k alone proves nothing: two frames of one flush may reach the disk in either order.
/// The mark is written without a flush, so after loss of power it may lag, never lead: what is left undetected is loss
/// of power together with damage to the very last flush.
/// </summary>
internal sealed partial class WriteAheadLog
{
    private const uint MarkMagic = 0x4D444D52; // "RMDM"; then 4 zero, 8 sequence, 4 CRC of bytes 0..15.

    private RecoveredLog Recover()
    {
        var marked = ReadMark();
        var names = _storage.List().Where(name => name.StartsWith("seg-", StringComparison.Ordinal)).ToArray();
        var entries = new List<LogEntry>();
        var hardState = default(HardState);
        ulong knownDurable = marked;
        var tailSegment = -1;
        long tailPosition = 0;
        var images = new List<byte[]>();
        for (var s = 0; s < names.Length; s++)
        {
            if (names[s] != SegmentName((ulong)s + 1)) throw new WalException($"Segment {SegmentName((ulong)s + 1)} is missing.");
            images.Add(ReadAll(names[s]));
        }

        for (var s = 0; s < images.Count; s++)
        {
            // Frames go on in the next segment where this one was too short; else its first frame is not the expected one.
            long position = 0;
            while (ReadFrame(images[s], position, (ulong)s + 1) is var (frame, frameEntries))
            {
                if (!Continues(frame, entries)) break;
                entries.RemoveRange((int)frame.Previous.Index, entries.Count - (int)frame.Previous.Index);
                entries.AddRange(frameEntries);
                if (frame.HardState.Term < hardState.Term || frame.HardState.Commit > (ulong)entries.Count)
                    throw new WalException($"Frame {frame.Sequence} contradicts those before it.");
                hardState = frame.HardState with { Commit = Math.Max(hardState.Commit, frame.HardState.Commit) };
                _sequence = frame.Sequence;
                _chainCrc = frame.HeaderCrc;
                knownDurable = Math.Max(knownDurable, frame.DurableSequence);
                position += frame.PaddedBytes;
                tailSegment = s;
                tailPosition = position;
            }

            // Nothing of this segment is the continuation: no later one can be.
            if (tailSegment != s) break;
        }

        var hasRest = ScanRest(images, tailSegment, tailPosition, ref knownDurable);
        if (knownDurable > _sequence)
        {
            throw new WalException(
                $"Frame {_sequence + 1} of the write-ahead log was durable (frame {knownDurable} was) and is damaged or gone. "
                + "This node must not vote with a shortened log: remove it from the cluster and let it join anew.");
        }

        OpenTail(names, images, tailSegment, tailPosition, hasRest);
        return new RecoveredLog(hardState, default, entries, hasRest);
    }

    /// <summary>A frame with both checksums right, or null.</summary>
    private static (WalFrame Frame, LogEntry[] Entries)? ReadFrame(ReadOnlySpan<byte> segment, long position, ulong segmentId)
    {
        if (position + WalFrame.HeaderBytes > segment.Length) return null;
        var bytes = segment[(int)position..];
        if (WalFrame.DecodeHeader(bytes) is not { } frame || frame.SegmentId != segmentId || frame.PaddedBytes > bytes.Length) return null;
        return frame.DecodeEntries(bytes) is { } entries ? (frame, entries) : null;
    }

    private bool Continues(in WalFrame frame, List<LogEntry> entries)
    {
        var previous = frame.Previous;
        return frame.Sequence == _sequence + 1 && frame.ChainCrc == _chainCrc
            && previous.Index <= (ulong)entries.Count
            && (previous.Index == 0 ? 0 : entries[(int)previous.Index - 1].Term) == previous.Term;
    }

    /// <summary>Looks at everything behind the last good frame for bytes, and for intact headers that know what was durable.</summary>
    private bool ScanRest(List<byte[]> images, int tailSegment, long tailPosition, ref ulong knownDurable)
    {
        var hasRest = false;
        for (var s = Math.Max(tailSegment, 0); s < images.Count; s++)
        {
            var start = s == tailSegment ? tailPosition : 0;
            var rest = images[s].AsSpan((int)start);
            if (!rest.ContainsAnyExcept((byte)0)) continue;
            hasRest = true;
            for (var offset = 0; offset + WalFrame.HeaderBytes <= rest.Length; offset += WalFrame.BlockBytes)
            {
                if (WalFrame.DecodeHeader(rest[offset..]) is { } frame && frame.SegmentId == (ulong)s + 1 && frame.Sequence > _sequence)
                    knownDurable = Math.Max(knownDurable, frame.DurableSequence);
            }
        }

        return hasRest;
    }

    /// <summary>Makes the tail ready for the next frame: zeros behind it, no segments behind its own.</summary>
    private void OpenTail(string[] names, List<byte[]> images, int tailSegment, long tailPosition, bool hasRest)
    {
        for (var s = names.Length - 1; s > tailSegment; s--) _storage.Delete(names[s]);
        _durableSequence = _sequence;
        if (tailSegment < 0)
        {
            if (hasRest) WriteMark();
            return;
        }

        _segmentId = (ulong)tailSegment + 1;
        _position = tailPosition;
        _segment = _storage.Open(names[tailSegment]);
        var rest = images[tailSegment].AsSpan((int)tailPosition);
        var dirty = rest.LastIndexOfAnyExcept((byte)0) + 1;
        if (dirty > 0)
        {
            rest[..dirty].Clear();
            _segment.Write(tailPosition, rest[..dirty]);
        }

        // What was read may be in the cache only, and after a failed flush even clean there, so that another flush would
        // write nothing. From here on it is relied upon: it is written again, the same bytes, and flushed.
        _segment.Write(0, images[tailSegment].AsSpan(0, (int)tailPosition));
        _segment.Flush();
        WriteMark();
    }

    private byte[] ReadAll(string name)
    {
        using var file = _storage.Open(name);
        var image = new byte[file.LengthBytes];
        file.Read(0, image);
        return image;
    }

    private IWalFile OpenMark()
    {
        var names = _storage.List();
        if (names.Contains(MarkName)) return _storage.Open(MarkName);
        if (names.Any(name => name.StartsWith("seg-", StringComparison.Ordinal)))
            throw new WalException("The write-ahead log has segments but no durable mark: files are missing.");
        return _storage.Create(MarkName, WalFrame.BlockBytes);
    }

    private ulong ReadMark()
    {
        Span<byte> mark = stackalloc byte[20];
        _mark.Read(0, mark);
        if (!mark.ContainsAnyExcept((byte)0)) return 0;
        var isIntact = BinaryPrimitives.ReadUInt32LittleEndian(mark) == MarkMagic
            && BinaryPrimitives.ReadUInt32LittleEndian(mark[16..]) == Crc32C.Compute(mark[..16]);
        if (!isIntact) throw new WalException("The durable mark of the write-ahead log is damaged.");
        return BinaryPrimitives.ReadUInt64LittleEndian(mark[8..]);
    }

    private void WriteMark()
    {
        Span<byte> mark = stackalloc byte[20];
        mark.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(mark, MarkMagic);
        BinaryPrimitives.WriteUInt64LittleEndian(mark[8..], _durableSequence);
        BinaryPrimitives.WriteUInt32LittleEndian(mark[16..], Crc32C.Compute(mark[..16]));
        _mark.Write(0, mark);
    }
}
