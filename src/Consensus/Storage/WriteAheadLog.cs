using System.Runtime.InteropServices;
using RaftMirror.Consensus.Core;
using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>The log on disk cannot be trusted, or could not be written. The node must not go on: it would vote or acknowledge
/// with a log that is not what it promised.</summary>
internal sealed class WalException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Entries and hard state in one sequence of frames over preallocated segments. Append encodes, Submit writes, Flush makes durable and then
/// moves the durable mark; only then may anything be released that depends on it. All that is appended between two flushes shares
/// one write and one flush. The first failed write or flush is the last call that is accepted: after it the page cache may show what the
/// disk does not have. Only where nothing was promised yet, in making a segment or a start record, does it take a lack of space or descriptors for
/// what passes: then <see cref="Append"/> says that there is no room. One thread at a time, but for <see cref="Maintain"/>. Appending allocates nothing once warm.
/// </summary>
internal sealed partial class WriteAheadLog : IDisposable
{
    /// <summary>Largest body of a frame unless one entry is larger; larger batches become several frames.</summary>
    private const int MaxFrameBodyBytes = 4 * 1024 * 1024;

    /// <summary>A group commit longer than this takes more than one write.</summary>
    private const int MaxBufferBytes = 1024 * 1024;

    private const int FirstBufferBytes = 64 * 1024;
    private readonly IWalStorage _storage;
    private readonly KnownLives _lives;
    private readonly long _segmentBytes;
    private readonly ulong _incarnation;
    private IWalFile? _mark;
    private IWalFile? _segment;
    private ulong _segmentId;
    private long _position;
    private byte[] _buffer = [];
    private int _bufferStart;
    private int _buffered;
    private ulong _sequence;
    private ulong _durableSequence;
    private uint _chainCrc;
    private ulong _baseIndex;
    private ulong _lastIndex;
    private ulong _term;
    private ulong _commit;
    private bool _isDirty;
    private bool _isMarkDue;
    private BatchProgress? _unfinished;
    private volatile Exception? _failure;

    /// <summary>Opens the log, creating it if there is none, and recovers it.</summary>
    /// <param name="storage">Its files.</param>
    /// <param name="segmentBytes">Length of new segments; a multiple of 4096 that holds the largest entry.</param>
    /// <param name="incarnation">The writer's process life, put into each frame.</param>
    /// <exception cref="WalException">What was durable is damaged.</exception>
    /// <exception cref="IOException">The files cannot be read, or the tail not be made ready.</exception>
    public WriteAheadLog(IWalStorage storage, long segmentBytes, ulong incarnation)
    {
        Invariant.Require(segmentBytes > 0 && segmentBytes % WalFrame.BlockBytes == 0, "Segments are whole blocks.");
        _storage = storage;
        _segmentBytes = segmentBytes;
        _incarnation = incarnation;
        _lives = new KnownLives(storage);
        try
        {
            Recovered = Recover();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What the log held when it was opened.</summary>
    public RecoveredLog Recovered { get; private set; }

    /// <summary>What was known of peers' lives when the log was opened.</summary>
    public IReadOnlyList<KnownLife> KnownLives => _lives.Recovered;

    /// <summary>Sequence of the last frame appended.</summary>
    public ulong LastSequence => _sequence;

    private long FrameBudget => Math.Min(MaxFrameBodyBytes, _segmentBytes - WalFrame.HeaderBytes);

    /// <summary>Lets go of the recovered entries, once the core has them; else they stay in memory after compaction.</summary>
    public void ForgetRecovered() => Recovered = Recovered with { Entries = [] };

    /// <summary>Takes a batch; not durable yet, and perhaps not even written: a crash before <see cref="Flush"/> may lose it.</summary>
    /// <returns>False if no segment could be had for all of it (<see cref="Shortage"/> says why): nothing is broken and nothing was promised. The same
    /// batch must be given again, until it fits, before any other; what already went in is not repeated.</returns>
    /// <exception cref="WalException">The log has failed.</exception>
    public bool Append(WriteBatch batch)
    {
        RequireHealthy();
        var rest = _unfinished ?? Begin(batch);
        Invariant.Require(rest.Sequence == batch.Sequence, "A batch that did not fit is finished before the next one.");
        if (_unfinished is null && batch.Lives is { } lives && !TryWriteLives(lives)) return false;
        _unfinished = null;
        try
        {
            while (AppendNextFrame(batch, rest) is { } next)
            {
                if (next.Entries == batch.Entries.Length && !next.IsFirst) return true;
                rest = next;
            }

            _unfinished = rest;
            return false;
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }
    }

    private bool TryWriteLives(KnownLife[] lives)
    {
        try
        {
            _lives.Write(lives);
            return true;
        }
        catch (IOException error) when (IsShortage(error))
        {
            _writeShortage = ErrnoText.Of(error.HResult);
            return false;
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }
    }

    /// <summary>As <see cref="Append"/>, for those who cannot wait.</summary>
    /// <exception cref="IOException">There was no room.</exception>
    public void AppendAll(WriteBatch batch)
    {
        if (!Append(batch)) throw new IOException($"The write-ahead log cannot grow: {Shortage}");
    }

    /// <summary>As <see cref="Flush"/>, for those who cannot wait.</summary>
    /// <exception cref="IOException">There was no space.</exception>
    public void FlushAll()
    {
        if (!Flush()) throw new IOException($"The write-ahead log cannot be written: {Shortage}");
    }

    private BatchProgress Begin(WriteBatch batch)
    {
        RequireFits(batch);
        return new BatchProgress(batch.Sequence, 0, batch.Previous, IsFirst: true);
    }

    /// <returns>How far the batch then is; null if there was no room.</returns>
    private BatchProgress? AppendNextFrame(WriteBatch batch, BatchProgress done)
    {
        ReadOnlySpan<LogEntry> entries = batch.Entries.AsSpan(done.Entries);
        var count = 0;
        long bytes = 0;
        while (count < entries.Length && (count == 0 || bytes + entries[count].SizeBytes <= FrameBudget))
            bytes += entries[count++].SizeBytes;

        // A hint never speaks of entries that a later frame of the same batch brings.
        var hint = Math.Min(batch.HardState.Commit, done.Previous.Index + (ulong)count);
        if (!AppendFrame(batch.HardState with { Commit = hint }, done.Previous, entries[..count], batch.IsReset && done.IsFirst)) return null;
        var previous = count > 0 ? entries[count - 1].Id : done.Previous;
        return new BatchProgress(done.Sequence, done.Entries + count, previous, IsFirst: false);
    }

    /// <summary>Hands what was appended to the system, without waiting until it is durable. <see cref="Flush"/> does it too.</summary>
    /// <returns>False if there is no space for it, as on file systems that never write in place: nothing was promised yet, and it may be asked for
    /// again.</returns>
    /// <exception cref="WalException">The log has failed.</exception>
    public bool Submit()
    {
        RequireHealthy();
        if (_buffered == 0) return true;
        try
        {
            _segment!.Write(_position - _buffered, _buffer.AsSpan(_bufferStart, _buffered));
        }
        catch (IOException error) when (IsShortage(error))
        {
            _writeShortage = ErrnoText.Of(error.HResult);
            return false;
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }

        _buffered = 0;
        _isDirty = true;
        if (_buffer.Length <= 2 * MaxBufferBytes) return true;
        _buffer = []; // It was one large entry.
        _bufferStart = 0;
        return true;
    }

    /// <summary>Makes everything appended durable.</summary>
    /// <returns>False if there is no space to write it: nothing of it may be relied upon, and it must be asked for again.</returns>
    /// <exception cref="WalException">The log has failed: a flush that fails is never repeated, whatever it fails for.</exception>
    public bool Flush()
    {
        if (!Submit()) return false;
        if (!_isDirty && !_isMarkDue) return true;
        try
        {
            if (_isDirty)
            {
                _lives.Flush();
                FlushSegment();
            }
        }
        catch (IOException error)
        {
            throw Fail("could not be flushed", error);
        }

        return TryWriteMark();
    }

    /// <summary>Before anyone is told: recovery then knows that these frames must be there.</summary>
    private bool TryWriteMark()
    {
        _isMarkDue = true;
        try
        {
            WriteMark();
        }
        catch (IOException error) when (IsShortage(error))
        {
            _writeShortage = ErrnoText.Of(error.HResult);
            return false;
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }

        _writeShortage = null;
        _isMarkDue = false;
        return true;
    }

    /// <summary>Space or descriptors are lacking where nothing was promised: that passes.</summary>
    private static bool IsShortage(IOException error) => ErrnoText.IsExhaustion(error.HResult) && !Mutants.ShortageIsFatal;

    /// <summary>Closes the files. What was appended and not flushed may be lost.</summary>
    public void Dispose()
    {
        _segment?.Dispose();
        _mark?.Dispose();
        _lives.Dispose();
    }

    private void RequireFits(WriteBatch batch)
    {
        Invariant.Require(batch.HardState.Term >= _term, "Terms never fall; recovery would refuse the frame.");
        if (batch.IsReset)
        {
            Invariant.Require(batch.HardState.Commit >= batch.Previous.Index, "What a snapshot covers is committed.");
            Invariant.Require(batch.Previous.Index >= _commit, "A snapshot never takes a committed entry back.");
            return;
        }

        Invariant.Require(
            batch.Previous.Index >= _baseIndex && batch.Previous.Index <= _lastIndex,
            "A batch goes on from an entry of the log; what was compacted is committed and never replaced.");
    }

    /// <returns>False if it needs another segment and there is none; nothing was changed.</returns>
    private bool AppendFrame(HardState hardState, EntryId previous, ReadOnlySpan<LogEntry> entries, bool isReset)
    {
        var payloadBytes = 0;
        foreach (ref readonly var entry in entries) payloadBytes += entry.Payload.Length;
        var length = (int)WalFrame.PaddedLength(entries.Length, payloadBytes);
        Invariant.Require(length <= _segmentBytes, "Proposals are bounded well below a segment.");

        // A reset begins a segment, so that all before it can be dropped.
        if (_segment is null || _position + length > _segment.LengthBytes || (isReset && _position > 0))
        {
            if (!TryRollSegment()) return Mutants.ShortageForgotten;
        }

        var frame = new WalFrame
        {
            SegmentId = _segmentId,
            Sequence = _sequence + 1,
            Previous = previous,
            HardState = hardState,
            ChainCrc = _chainCrc,
            DurableSequence = _durableSequence,
            Incarnation = _incarnation,
            IsReset = isReset,
        };
        NoteFrame(frame);
        var crc = frame.Encode(entries, Reserve(length));
        _chainCrc = crc;
        _buffered += length;
        _position += length;
        _sequence++;
        _term = hardState.Term;
        _commit = Math.Max(_commit, hardState.Commit);
        if (isReset) _baseIndex = previous.Index;
        _lastIndex = previous.Index + (ulong)entries.Length;
        return true;
    }

    private void NoteFrame(in WalFrame frame)
    {
        if (_segments.Count == 0 || _segments[^1].Id != _segmentId)
            _segments.Add(new WalSegment(_segmentId, frame.Sequence, frame.ChainCrc, frame.Previous));
        var segment = _segments[^1];
        segment.MinPreviousIndex = Math.Min(segment.MinPreviousIndex, frame.Previous.Index);
    }

    /// <summary>Room for the next frame behind those that are not written yet.</summary>
    private Span<byte> Reserve(int length)
    {
        if (_bufferStart + _buffered + length > _buffer.Length)
        {
            var wanted = Math.Max(FirstBufferBytes, _buffered + length);
            if (wanted > MaxBufferBytes && _buffered > 0 && Submit())
            {
                wanted = Math.Max(FirstBufferBytes, length);
            }

            if (_bufferStart + wanted > _buffer.Length) Grow(wanted);
        }

        return _buffer.AsSpan(_bufferStart + _buffered, length);
    }

    /// <summary>Pinned, and used from a multiple of 4096 on, so that the system copies whole pages.</summary>
    private void Grow(int wanted)
    {
        var length = wanted <= MaxBufferBytes ? (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)wanted) : wanted;
        var old = _buffer.AsSpan(_bufferStart, _buffered);
        var buffer = GC.AllocateUninitializedArray<byte>(length + WalFrame.BlockBytes, pinned: true);
        var address = Marshal.UnsafeAddrOfPinnedArrayElement(buffer, 0);
        var start = (int)(-address & (WalFrame.BlockBytes - 1));
        old.CopyTo(buffer.AsSpan(start));
        _buffer = buffer;
        _bufferStart = start;
    }

    private void FlushSegment()
    {
        try
        {
            _segment!.Flush();
        }
        catch (IOException)
        {
            // To go on is the bug of fsyncgate: the next flush "succeeds", and writes nothing.
            if (!Mutants.FlushErrorIgnored) throw;
        }

        _isDirty = false;
        _durableSequence = _sequence;
    }

    private void RequireHealthy()
    {
        if (_failure is not null) throw new WalException("The write-ahead log has failed before.", _failure);
    }

    private WalException Fail(string what, Exception error)
    {
        _failure = error;
        return new WalException($"The write-ahead log {what}: {error.Message}. The node stops; it must recover from disk.", error);
    }

    /// <summary>How far a batch is in the log.</summary>
    /// <param name="Sequence">The batch's.</param>
    /// <param name="Entries">That many of its entries are appended.</param>
    /// <param name="Previous">The entry before the next frame.</param>
    /// <param name="IsFirst">No frame is appended yet; a batch without entries has one too.</param>
    private readonly record struct BatchProgress(ulong Sequence, int Entries, EntryId Previous, bool IsFirst);
}
