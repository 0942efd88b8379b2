using System.Runtime.InteropServices;
using RaftMirror.Consensus.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>The log on disk cannot be trusted, or could not be written. The node must not go on: it would vote or acknowledge
/// with a log that is not what it promised.</summary>
internal sealed class WalException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Entries and hard state in one sequence of frames over preallocated segments. Append encodes, Submit writes, Flush makes durable and then
/// moves the durable mark; only then may anything be released that depends on it. All that is appended between two flushes shares
/// one write and one flush. The first failed write or flush is the last call that is accepted: after it the page cache may show what the
/// disk does not have. One thread at a time, but for <see cref="Maintain"/>. Appending allocates nothing once warm.
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
    /// <exception cref="WalException">The log has failed.</exception>
    public void Append(WriteBatch batch)
    {
        RequireHealthy();
        RequireFits(batch);
        try
        {
            if (batch.Lives is { } lives) _lives.Write(lives);
            ReadOnlySpan<LogEntry> entries = batch.Entries;
            var previous = batch.Previous;
            var isReset = batch.IsReset;
            do
            {
                var count = 0;
                long bytes = 0;
                while (count < entries.Length && (count == 0 || bytes + entries[count].SizeBytes <= FrameBudget))
                    bytes += entries[count++].SizeBytes;

                // A hint never speaks of entries that a later frame of the same batch brings.
                var hint = Math.Min(batch.HardState.Commit, previous.Index + (ulong)count);
                AppendFrame(batch.HardState with { Commit = hint }, previous, entries[..count], isReset);
                if (count > 0) previous = entries[count - 1].Id;
                entries = entries[count..];
                isReset = false;
            }
            while (entries.Length > 0);
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }
    }

    /// <summary>Hands what was appended to the system, without waiting until it is durable. <see cref="Flush"/> does it too.</summary>
    /// <exception cref="WalException">The log has failed.</exception>
    public void Submit()
    {
        RequireHealthy();
        if (_buffered == 0) return;
        try
        {
            _segment!.Write(_position - _buffered, _buffer.AsSpan(_bufferStart, _buffered));
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }

        _buffered = 0;
        _isDirty = true;
        if (_buffer.Length <= 2 * MaxBufferBytes) return;
        _buffer = []; // It was one large entry.
        _bufferStart = 0;
    }

    /// <summary>Makes everything appended durable.</summary>
    /// <exception cref="WalException">The log has failed.</exception>
    public void Flush()
    {
        Submit();
        if (!_isDirty) return;
        try
        {
            _lives.Flush();
            FlushSegment();
            WriteMark(); // Before anyone is told: recovery then knows that these frames must be there.
        }
        catch (IOException error)
        {
            throw Fail("could not be flushed", error);
        }
    }

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

    private void AppendFrame(HardState hardState, EntryId previous, ReadOnlySpan<LogEntry> entries, bool isReset)
    {
        var payloadBytes = 0;
        foreach (ref readonly var entry in entries) payloadBytes += entry.Payload.Length;
        var length = (int)WalFrame.PaddedLength(entries.Length, payloadBytes);
        Invariant.Require(length <= _segmentBytes, "Proposals are bounded well below a segment.");

        // A reset begins a segment, so that all before it can be dropped.
        if (_segment is null || _position + length > _segment.LengthBytes || (isReset && _position > 0)) RollSegment();
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
            if (wanted > MaxBufferBytes && _buffered > 0)
            {
                Submit();
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
}
