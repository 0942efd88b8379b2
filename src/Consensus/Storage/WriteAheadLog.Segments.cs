using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>
/// Segments come and go. The next one is prepared before it is needed, from a dropped one where there is one, by
/// <see cref="Maintain"/>, on any one thread; a roll that finds none prepared does it itself. Names change under <see cref="_files"/>
/// only, which the log's thread takes for a roll alone; what it hands over is guarded by <see cref="_dropped"/>.
/// </summary>
internal sealed partial class WriteAheadLog
{
    /// <summary>Dropped segments kept to be used again.</summary>
    private const int MaxSpares = 2;

    private readonly Lock _files = new();
    private readonly List<string> _spares = [];
    private readonly List<ulong> _dropped = [];
    private readonly List<WalSegment> _segments = [];
    private ulong _preparedId;
    private volatile bool _isDoubtful; // Something failed for want of space or descriptors, and may have been done all the same.
    private volatile string? _segmentShortage;
    private volatile string? _writeShortage;

    /// <summary>Why the log cannot be written at the moment, or cannot grow beyond the segment in use, which is at least half full; null if it can.
    /// Any thread.</summary>
    public string? Shortage => _writeShortage ?? _segmentShortage;

    /// <summary>True if <see cref="Maintain"/> has work that should be done soon. The log's thread.</summary>
    public bool IsMaintenanceDue
    {
        get
        {
            if (Volatile.Read(ref _preparedId) != _segmentId + 1 && (_segment is null || _position > _segment.LengthBytes / 2)) return true;
            lock (_dropped) return _dropped.Count > 0;
        }
    }

    /// <summary>
    /// Makes spares of dropped segments, or removes them, and prepares the next segment. Takes as long as writing a segment full of zeros if
    /// there is no spare. Any one thread at a time besides the log's; ended before <see cref="Dispose"/>. Need never be called.
    /// </summary>
    /// <exception cref="WalException">A file could not be made, renamed or removed, for another reason than a lack of space or descriptors. The log
    /// fails with it.</exception>
    public void Maintain()
    {
        RequireHealthy();
        try
        {
            lock (_files) TryPrepare();
        }
        catch (IOException error)
        {
            throw Fail("could not prepare a segment", error);
        }
    }

    /// <summary>Under <see cref="_files"/>.</summary>
    /// <returns>False if space or descriptors are lacking: asked again, it tries again.</returns>
    private bool TryPrepare()
    {
        try
        {
            Recycle();
            PrepareNext();
            _segmentShortage = null;
            return true;
        }
        catch (IOException error) when (IsShortage(error))
        {
            _isDoubtful = true;
            _segmentShortage = ErrnoText.Of(error.HResult);
            return false;
        }
    }

    /// <summary>What an earlier try left under a name that is to be made.</summary>
    private void Clear(string name)
    {
        if (IsLeft(name)) _storage.Delete(name);
    }

    private bool IsLeft(string name) => _isDoubtful && _storage.List().Contains(name);

    /// <summary>
    /// Drops what a snapshot makes superfluous: whole segments at the start, where no later frame goes back before the new start. May
    /// keep more than asked. The new start is durable before the first file goes.
    /// </summary>
    /// <param name="upTo">A durable snapshot covers all entries up to this one, which are committed.</param>
    /// <returns>False if there is no space even for the start record: nothing was dropped, and it should be asked for again.</returns>
    /// <exception cref="WalException">The start record could not be written for another reason. The log has failed.</exception>
    public bool Compact(ulong upTo)
    {
        RequireHealthy();
        var first = FirstNeeded(upTo);
        if (first == 0) return true;
        try
        {
            WriteStart(_segments[first]);
        }
        catch (IOException error) when (IsShortage(error))
        {
            _isDoubtful = true;
            return false;
        }
        catch (IOException error)
        {
            throw Fail("could not be compacted", error);
        }

        _baseIndex = Math.Max(_baseIndex, _segments[first].FirstPrevious.Index);
        lock (_dropped)
        {
            for (var i = 0; i < first; i++) _dropped.Add(_segments[i].Id);
        }

        _segments.RemoveRange(0, first);
        return true;
    }

    /// <summary>The last segment that recovery may start with.</summary>
    private int FirstNeeded(ulong upTo)
    {
        var lowest = ulong.MaxValue;
        for (var i = _segments.Count - 1; i > 0; i--)
        {
            var segment = _segments[i];
            lowest = Math.Min(lowest, segment.MinPreviousIndex);
            var start = segment.FirstPrevious.Index;

            // A first frame that is not durable yet could be lost, and with it the hard state.
            if (start <= upTo && lowest >= start && segment.FirstSequence <= _durableSequence) return i;
        }

        return 0;
    }

    private void WriteStart(WalSegment segment)
    {
        Span<byte> bytes = stackalloc byte[WalStart.Bytes];
        new WalStart(segment.Id, segment.FirstSequence, segment.ChainCrc, _durableSequence, segment.FirstPrevious).Encode(bytes);
        Clear(WalFiles.NextStart);
        using (var file = _storage.Create(WalFiles.NextStart, WalFrame.BlockBytes))
        {
            file.Write(0, bytes);
            file.Flush();
        }

        _storage.Rename(WalFiles.NextStart, WalFiles.Start);
    }

    /// <returns>False if there is no next segment to be had; the present one is as it was.</returns>
    private bool TryRollSegment()
    {
        IWalFile next;
        lock (_files)
        {
            if (_preparedId != _segmentId + 1 && !TryPrepare()) return false;
            try
            {
                next = _storage.Open(WalFiles.Segment(_segmentId + 1));
            }
            catch (IOException error) when (IsShortage(error))
            {
                _segmentShortage = ErrnoText.Of(error.HResult);
                return false;
            }
        }

        // A flush covers one file, so the old segment is finished before the new one is begun.
        if (_segment is not null)
        {
            if (!Submit())
            {
                next.Dispose();
                return false;
            }

            if (_isDirty) FlushSegment();
            _segment.Dispose();
        }

        _segment = next;
        _position = 0;
        lock (_files) _segmentId++;
        _segmentShortage = null;
        return true;
    }

    private void PrepareNext()
    {
        var next = _segmentId + 1;
        if (_preparedId == next) return;
        var name = WalFiles.Segment(next);
        if (_spares.Count > 0)
        {
            var spare = _spares[^1];
            _spares.RemoveAt(_spares.Count - 1);
            _storage.Rename(spare, name);
        }
        else
        {
            Clear(name);
            _storage.Create(name, _segmentBytes).Dispose();
        }

        Volatile.Write(ref _preparedId, next);
    }

    private void Recycle()
    {
        while (true)
        {
            ulong id;
            lock (_dropped)
            {
                if (_dropped.Count == 0) return;
                id = _dropped[0];
            }

            var name = WalFiles.Segment(id);
            if (!_isDoubtful || IsLeft(name)) Recycle(name, id);

            lock (_dropped) _dropped.RemoveAt(0); // Only now: what failed is tried again.
        }
    }

    private void Recycle(string name, ulong id)
    {
        if (_spares.Count >= MaxSpares || LengthOf(name) != _segmentBytes)
        {
            _storage.Delete(name);
            return;
        }

        _storage.Rename(name, WalFiles.Spare(id));
        _spares.Add(WalFiles.Spare(id));
    }

    private long LengthOf(string name)
    {
        using var file = _storage.Open(name);
        return file.LengthBytes;
    }
}
