using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Storage;

/// <summary>What recovery found.</summary>
/// <param name="HardState">Of the last intact frame; empty for a new log.</param>
/// <param name="Base">The entry before the first one: (0, 0) unless the log was compacted or reset by a snapshot.</param>
/// <param name="Entries">From Base.Index + 1, without holes.</param>
/// <param name="TornFrames">True if a tail that had never been durable was cut off: a normal crash.</param>
internal sealed record RecoveredLog(HardState HardState, EntryId Base, IReadOnlyList<LogEntry> Entries, bool TornFrames);

/// <summary>Recovery: <see cref="WalAnalysis"/> judges, this makes the log ready for the next frame. Each step may be the last one
/// before a crash; what is left is judged the same again.</summary>
internal sealed partial class WriteAheadLog
{
    private const int RepairBytes = 1 << 20;

    private RecoveredLog Recover()
    {
        var analysis = WalAnalysis.Read(_storage);
        if (analysis.Damage is { } damage)
        {
            throw new WalException(
                $"The write-ahead log is damaged at {damage.File}:{damage.Offset}. {damage.What} "
                + "This node must not vote with a shortened log: remove it from the cluster and let it join anew.");
        }

        OpenMark(analysis);
        if (analysis.HasNextStart) _storage.Delete(WalFiles.NextStart);
        foreach (var spare in analysis.Spares)
        {
            if (_spares.Count < MaxSpares && LengthOf(spare) == _segmentBytes) _spares.Add(spare);
            else _storage.Delete(spare);
        }

        foreach (var id in analysis.Obsolete) _dropped.Add(id);
        _segments.AddRange(analysis.Segments);
        _segmentId = analysis.TailSegment != 0 ? analysis.TailSegment : analysis.Start.SegmentId - 1;
        _sequence = _durableSequence = analysis.Sequence;
        _chainCrc = analysis.ChainCrc;
        _baseIndex = analysis.Base.Index;
        _lastIndex = analysis.LastIndex;
        _term = analysis.HardState.Term;
        _commit = analysis.HardState.Commit;
        DropBehind(analysis);
        if (analysis.TailSegment != 0) OpenTail(analysis);
        return new RecoveredLog(analysis.HardState, analysis.Base, analysis.Entries, analysis.Behind.Count > 0);
    }

    private void OpenMark(WalAnalysis analysis)
    {
        if (analysis.HasMark)
        {
            _mark = _storage.Open(WalFiles.Mark);
            if (!analysis.IsMarkBlank) return;
        }
        else
        {
            _mark = _storage.Create(WalFiles.Mark, WalFrame.BlockBytes);
        }

        // From the first segment on a mark of zeros is a mark that was lost.
        WriteMark();
        _mark.Flush();
    }

    /// <summary>Segments behind the tail's go, from the last one down, so that no hole is left by a crash. The next one may stay as
    /// prepared, unless it has frames of its own id: they must never be read, and an id is used once.</summary>
    private void DropBehind(WalAnalysis analysis)
    {
        for (var i = analysis.Ids.Count - 1; i >= 0 && analysis.Ids[i] > _segmentId; i--)
        {
            var name = WalFiles.Segment(analysis.Ids[i]);
            var isUnused = analysis.Ids[i] == _segmentId + 1 && analysis.Behind.All(frame => frame.Segment != name);
            if (isUnused && LengthOf(name) == _segmentBytes) _preparedId = _segmentId + 1;
            else _storage.Delete(name);
        }
    }

    private void OpenTail(WalAnalysis analysis)
    {
        var segment = _storage.Open(WalFiles.Segment(_segmentId));
        _segment = segment;
        _position = analysis.TailPosition;
        var chunk = new byte[RepairBytes];
        if (analysis.Behind.Count > 0)
        {
            for (var offset = _position; offset < segment.LengthBytes; offset += chunk.Length)
            {
                var rest = chunk.AsSpan(0, (int)Math.Min(chunk.Length, segment.LengthBytes - offset));
                segment.Read(offset, rest);
                var dirty = rest.LastIndexOfAnyExcept((byte)0) + 1;
                if (dirty == 0) continue;
                rest[..dirty].Clear();
                segment.Write(offset, rest[..dirty]);
            }
        }

        // What is not known to be durable may be in the cache only, and after a failed flush even clean there, so that another
        // flush would write nothing. From here on it is relied upon: it is written again, the same bytes, and flushed.
        for (var offset = analysis.UnprovenPosition; offset < _position; offset += chunk.Length)
        {
            var same = chunk.AsSpan(0, (int)Math.Min(chunk.Length, _position - offset));
            segment.Read(offset, same);
            segment.Write(offset, same);
        }

        segment.Flush();
        WriteMark();
    }

    private void WriteMark()
    {
        Span<byte> mark = stackalloc byte[WalMark.Bytes];
        WalMark.Encode(_durableSequence, mark);
        _mark!.Write(0, mark);
    }
}
