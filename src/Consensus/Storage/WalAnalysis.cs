using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Storage;

/// <summary>Why a log may not be used as it is.</summary>
/// <param name="File">Where: the file.</param>
/// <param name="Offset">Where: the byte.</param>
/// <param name="Sequence">The first frame that is not what it was; 0 if the damage is not in a frame.</param>
/// <param name="KnownDurable">The highest frame that is known to have been durable.</param>
/// <param name="What">One sentence.</param>
internal sealed record WalDamage(string File, long Offset, ulong Sequence, ulong KnownDurable, string What);

/// <summary>What a frame is in its log.</summary>
internal enum FrameVerdict
{
    /// <summary>Whole, and the continuation of the one before.</summary>
    Intact,

    /// <summary>Its header is whole and of this log, but it is behind the first frame that is not intact.</summary>
    BehindTail,
}

/// <summary>One frame, as an operator or a test wants to see it.</summary>
internal sealed record WalFrameReport(
    string Segment, long Offset, ulong Sequence, ulong FirstIndex, ulong LastIndex, bool IsReset, HardState HardState,
    ulong DurableSequence, ulong Incarnation, long Bytes, FrameVerdict Verdict);

/// <summary>What compaction must know of a segment. The first frame's values, and the lowest previous index of all its frames.</summary>
internal sealed record WalSegment(ulong Id, ulong FirstSequence, uint ChainCrc, EntryId FirstPrevious)
{
    public ulong MinPreviousIndex { get; set; } = FirstPrevious.Index;
}

/// <summary>
/// Reads a log and judges it; writes nothing. Recovery, inspection and verification all use it.
/// Frames are read in order up to the first that is not intact, frame k. It was known to be durable if the mark or the start record
/// says so, or if any intact frame anywhere behind it says (offset 104) that k or a later one was durable when it was written.
/// Known durable: damage, and the node must not start, for it would vote with a shortened log. Not known: a torn tail, to be cut off.
/// An intact frame behind k alone proves nothing: two frames of one flush may reach the disk in either order.
/// What is left undetected is loss of power together with damage to the very last flush.
/// Memory: one segment at a time, besides the entries.
/// </summary>
internal sealed class WalAnalysis
{
    private readonly IWalStorage _storage;
    private readonly List<WalFrameReport>? _frames;
    private readonly List<LogEntry> _entries = [];
    private readonly List<WalFrameReport> _behind = [];
    private readonly List<WalSegment> _segments = [];
    private byte[] _image = [];
    private int _imageBytes;

    private WalAnalysis(IWalStorage storage, bool withFrames)
    {
        _storage = storage;
        _frames = withFrames ? [] : null;
    }

    /// <summary>The first damage found; null for a log that may be used.</summary>
    public WalDamage? Damage { get; private set; }

    public bool HasMark { get; private set; }

    /// <summary>True if the mark was made but never written.</summary>
    public bool IsMarkBlank { get; private set; }

    /// <summary>What the mark says; 0 if it says nothing.</summary>
    public ulong MarkSequence { get; private set; }

    /// <summary>Where the log starts. Assumed from the first segment if the record is damaged; then <see cref="Damage"/> is set.</summary>
    public WalStart Start { get; private set; } = WalStart.Origin;

    /// <summary>Ids of segment files that the log does not need any more.</summary>
    public List<ulong> Obsolete { get; } = [];

    /// <summary>Ids of the segments of the log, contiguous, the unused ones at the end included.</summary>
    public List<ulong> Ids { get; } = [];

    public IReadOnlyList<string> Spares { get; private set; } = [];

    public bool HasNextStart { get; private set; }

    /// <summary>Segments with intact frames, in order.</summary>
    public List<WalSegment> Segments => _segments;

    /// <summary>All frames, intact ones first; empty unless asked for.</summary>
    public IReadOnlyList<WalFrameReport> Frames => _frames is null ? [] : [.. _frames, .. _behind];

    /// <summary>Intact headers behind the tail: what would be cut.</summary>
    public IReadOnlyList<WalFrameReport> Behind => _behind;

    public EntryId Base { get; private set; }

    public IReadOnlyList<LogEntry> Entries => _entries;

    public HardState HardState { get; private set; }

    /// <summary>Of the last intact frame.</summary>
    public ulong Sequence { get; private set; }

    public uint ChainCrc { get; private set; }

    public ulong KnownDurable { get; private set; }

    /// <summary>The segment of the last intact frame; 0 if there is none.</summary>
    public ulong TailSegment { get; private set; }

    /// <summary>Where the next frame goes.</summary>
    public long TailPosition { get; private set; }

    /// <summary>In the tail segment: where the frames begin that are not known to be durable.</summary>
    public long UnprovenPosition { get; private set; }

    public ulong LastIndex => Base.Index + (ulong)_entries.Count;

    public EntryId LastId => _entries.Count > 0 ? _entries[^1].Id : Base;

    /// <summary>Reads the whole log.</summary>
    /// <param name="storage">Its files; only listed and read.</param>
    /// <param name="withFrames">Keep a report of each frame.</param>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static WalAnalysis Read(IWalStorage storage, bool withFrames = false)
    {
        var analysis = new WalAnalysis(storage, withFrames);
        analysis.ReadFiles();
        analysis.ReadFrames();
        return analysis;
    }

    private void ReadFiles()
    {
        var names = _storage.List();
        Spares = [.. names.Where(WalFiles.IsSpare)];
        HasNextStart = names.Contains(WalFiles.NextStart);
        HasMark = names.Contains(WalFiles.Mark);
        var hasStart = names.Contains(WalFiles.Start);
        var segments = names.Where(WalFiles.LooksLikeSegment).ToArray();
        ReadMark(isNew: segments.Length == 0 && !hasStart);
        var isStartKnown = !hasStart || ReadStart();
        var ids = new List<ulong>();
        foreach (var name in segments)
        {
            if (WalFiles.TryParseSegment(name, out var id)) ids.Add(id);
            else Report(name, 0, 0, $"{name} is no name of a segment.");
        }

        ids.Sort();
        if (!isStartKnown) AssumeStart(ids);
        foreach (var id in ids.Where(id => id < Start.SegmentId)) Obsolete.Add(id);
        var next = Start.SegmentId;
        foreach (var id in ids.Where(id => id >= Start.SegmentId))
        {
            if (id == next)
            {
                Ids.Add(next++);
                continue;
            }

            Report(WalFiles.Segment(next), 0, 0, $"Segment {WalFiles.Segment(next)} is missing.");
            if (Ids.Count == 0 && !hasStart)
            {
                AssumeStart(ids); // Only for those who save what can be saved.
                next = Start.SegmentId;
                if (id == next) Ids.Add(next++);
                continue;
            }

            break;
        }
    }

    private void ReadMark(bool isNew)
    {
        if (!HasMark)
        {
            if (!isNew) Report(WalFiles.Mark, 0, 0, "The durable mark is missing, but there are other files of a log.");
            return;
        }

        Span<byte> mark = stackalloc byte[WalMark.Bytes];
        if (!ReadSmall(WalFiles.Mark, mark))
        {
            Report(WalFiles.Mark, 0, 0, "The durable mark is too short.");
            return;
        }

        IsMarkBlank = !mark.ContainsAnyExcept((byte)0);
        if (IsMarkBlank && isNew) return;
        if (WalMark.Decode(mark) is { } sequence) MarkSequence = sequence;
        else Report(WalFiles.Mark, 0, 0, "The durable mark is damaged.");
    }

    private bool ReadStart()
    {
        Span<byte> bytes = stackalloc byte[WalStart.Bytes];
        if (ReadSmall(WalFiles.Start, bytes) && WalStart.Decode(bytes) is { } start)
        {
            Start = start;
            return true;
        }

        Report(WalFiles.Start, 0, 0, "The record of where the log starts is damaged.");
        return false;
    }

    /// <summary>Takes the lowest segment's first frame for the first one. Damage was found before.</summary>
    private void AssumeStart(List<ulong> ids)
    {
        if (ids.Count == 0) return;
        LoadImage(ids[0]);
        if (ReadFrame(0, ids[0]) is var (frame, _))
            Start = new WalStart(ids[0], frame.Sequence, frame.ChainCrc, 0, frame.Previous);
    }

    private void ReadFrames()
    {
        Base = Start.Base;
        Sequence = Start.FirstSequence - 1;
        ChainCrc = Start.ChainCrc;
        KnownDurable = Math.Max(MarkSequence, Start.DurableSequence);
        var proven = KnownDurable;
        var isAtEnd = false;
        foreach (var id in Ids)
        {
            LoadImage(id);
            // Frames go on in the next segment where the last one was too short; else its first frame is not the expected one.
            if (!isAtEnd && WalkSegment(id, proven)) _behind.Clear();
            else isAtEnd = true;
            ScanRest(id, TailSegment == id ? TailPosition : 0);
        }

        _image = [];
        foreach (var frame in _behind) KnownDurable = Math.Max(KnownDurable, frame.DurableSequence);
        HardState = HardState with { Commit = Math.Max(HardState.Commit, Base.Index) };
        if (KnownDurable > Sequence && !Mutants.DamageTakenForTorn) ReportLoss();
        if (Damage is not null) Damage = Damage with { KnownDurable = KnownDurable };
    }

    private void ReportLoss()
    {
        var place = TailSegment == 0 ? WalFiles.Segment(Start.SegmentId) : WalFiles.Segment(TailSegment);
        Report(place, TailPosition, Sequence + 1,
            $"Frame {Sequence + 1} was durable (frame {KnownDurable} was) and is damaged or gone.");
    }

    /// <returns>True if at least one frame was read.</returns>
    private bool WalkSegment(ulong id, ulong proven)
    {
        long position = 0;
        WalSegment? segment = null;
        while (ReadFrame(position, id) is var (frame, entries) && Continues(frame))
        {
            if (!IsConsistent(frame))
            {
                Report(WalFiles.Segment(id), position, frame.Sequence, $"Frame {frame.Sequence} contradicts those before it.");
                break;
            }

            if (segment is null)
            {
                segment = new WalSegment(id, frame.Sequence, frame.ChainCrc, frame.Previous);
                _segments.Add(segment);
                UnprovenPosition = 0;
            }

            segment.MinPreviousIndex = Math.Min(segment.MinPreviousIndex, frame.Previous.Index);
            Take(frame, entries);
            _frames?.Add(Describe(frame, position, FrameVerdict.Intact));
            position += frame.PaddedBytes;
            TailSegment = id;
            TailPosition = position;
            if (frame.Sequence <= proven) UnprovenPosition = position;
        }

        return segment is not null;
    }

    private void Take(in WalFrame frame, LogEntry[] entries)
    {
        if (frame.IsReset)
        {
            _entries.Clear();
            Base = frame.Previous;
        }

        var kept = (int)(frame.Previous.Index - Base.Index);
        _entries.RemoveRange(kept, _entries.Count - kept);
        _entries.AddRange(entries);
        HardState = frame.HardState with { Commit = Math.Max(HardState.Commit, frame.HardState.Commit) };
        Sequence = frame.Sequence;
        ChainCrc = frame.HeaderCrc;
        KnownDurable = Math.Max(KnownDurable, frame.DurableSequence);
    }

    private bool Continues(in WalFrame frame)
    {
        var isNext = frame.Sequence == Sequence + 1 && frame.ChainCrc == ChainCrc;
        if (!isNext && !Mutants.StaleFramesReplayed) return false;
        if (frame.IsReset) return true;
        var previous = frame.Previous;
        if (previous.Index < Base.Index || previous.Index > LastIndex) return false;
        return previous == (previous.Index == Base.Index ? Base : _entries[(int)(previous.Index - Base.Index) - 1].Id);
    }

    /// <summary>A writer that obeys its own rules cannot break these; checked before the frame is believed.</summary>
    private bool IsConsistent(in WalFrame frame) =>
        frame.HardState.Term >= HardState.Term
        && frame.HardState.Commit <= frame.Previous.Index + (ulong)frame.EntryCount
        && (!frame.IsReset || frame.Previous.Index >= HardState.Commit);

    /// <summary>A frame of the loaded segment with all checksums right, or null.</summary>
    private (WalFrame Frame, LogEntry[] Entries)? ReadFrame(long position, ulong segmentId)
    {
        if (position + WalFrame.HeaderBytes > _imageBytes) return null;
        var bytes = _image.AsSpan((int)position, _imageBytes - (int)position);
        if (WalFrame.DecodeHeader(bytes) is not { } frame || frame.PaddedBytes > bytes.Length) return null;
        if (frame.SegmentId != segmentId && !Mutants.StaleFramesReplayed) return null;
        return frame.DecodeEntries(bytes) is { } entries ? (frame, entries) : null;
    }

    /// <summary>Looks behind the last good frame for intact headers of later frames: they know what was durable. Old bytes of a recycled
    /// segment carry another segment id and say nothing.</summary>
    private void ScanRest(ulong id, long start)
    {
        for (var offset = start; offset + WalFrame.HeaderBytes <= _imageBytes; offset += WalFrame.BlockBytes)
        {
            var bytes = _image.AsSpan((int)offset, WalFrame.HeaderBytes);
            if (WalFrame.DecodeHeader(bytes) is not { } frame || frame.SegmentId != id || frame.Sequence <= Sequence) continue;
            _behind.Add(Describe(frame, offset, FrameVerdict.BehindTail));
        }
    }

    private void LoadImage(ulong id)
    {
        var name = WalFiles.Segment(id);
        using var file = _storage.Open(name);
        _imageBytes = checked((int)file.LengthBytes);
        if (_image.Length < _imageBytes) _image = new byte[_imageBytes];
        var image = _image.AsSpan(0, _imageBytes);
        if (TryRead(file, 0, image, out _)) return;
        for (var offset = 0; offset < _imageBytes; offset += WalFrame.BlockBytes)
        {
            var block = image.Slice(offset, Math.Min(WalFrame.BlockBytes, _imageBytes - offset));
            if (TryRead(file, offset, block, out var why)) continue;
            block.Clear();
            Report(name, offset, 0, $"A block cannot be read: {why}");
        }
    }

    private bool ReadSmall(string name, Span<byte> bytes)
    {
        using var file = _storage.Open(name);
        return file.LengthBytes >= bytes.Length && TryRead(file, 0, bytes, out _);
    }

    private static bool TryRead(IWalFile file, long offset, Span<byte> buffer, out string why)
    {
        why = "";
        try
        {
            file.Read(offset, buffer);
            return true;
        }
        catch (IOException error)
        {
            why = error.Message;
            return false;
        }
    }

    private void Report(string file, long offset, ulong sequence, string what) =>
        Damage ??= new WalDamage(file, offset, sequence, KnownDurable, what);

    private static WalFrameReport Describe(in WalFrame frame, long offset, FrameVerdict verdict) => new(
        WalFiles.Segment(frame.SegmentId), offset, frame.Sequence, frame.Previous.Index + 1,
        frame.Previous.Index + (ulong)frame.EntryCount, frame.IsReset, frame.HardState, frame.DurableSequence, frame.Incarnation,
        frame.PaddedBytes, verdict);
}
