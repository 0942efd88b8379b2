using System.Globalization;
using RaftMirror.Consensus.Core;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Storage;

/// <summary>The log on disk cannot be trusted, or could not be written. The node must not go on: it would vote or acknowledge
/// with a log that is not what it promised.</summary>
internal sealed class WalException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Entries and hard state in one sequence of frames over preallocated segments. Append writes, Flush makes durable and then
/// moves the durable mark; only then may anything be released that depends on it. The first failed write or flush is the
/// last call that is accepted: after it the page cache may show what the disk does not have. One thread at a time.
/// </summary>
internal sealed partial class WriteAheadLog : IDisposable
{
    /// <summary>Largest body of a frame unless one entry is larger; larger batches become several frames.</summary>
    private const int MaxFrameBodyBytes = 4 * 1024 * 1024;

    private const string MarkName = "durable.mark";
    private readonly IWalStorage _storage;
    private readonly long _segmentBytes;
    private readonly ulong _incarnation;
    private readonly IWalFile _mark;
    private IWalFile? _segment;
    private ulong _segmentId;
    private long _position;
    private ulong _sequence;
    private ulong _durableSequence;
    private uint _chainCrc;
    private bool _isDirty;
    private Exception? _failure;

    /// <summary>Opens the log, creating it if there is none, and recovers it.</summary>
    /// <param name="storage">Its files.</param>
    /// <param name="segmentBytes">Length of new segments; a multiple of 4096 that holds the largest entry.</param>
    /// <param name="incarnation">The writer's process life, put into each frame.</param>
    /// <exception cref="WalException">What was durable is damaged.</exception>
    public WriteAheadLog(IWalStorage storage, long segmentBytes, ulong incarnation)
    {
        Invariant.Require(segmentBytes > 0 && segmentBytes % WalFrame.BlockBytes == 0, "Segments are whole blocks.");
        _storage = storage;
        _segmentBytes = segmentBytes;
        _incarnation = incarnation;
        _mark = OpenMark();
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
    public RecoveredLog Recovered { get; }

    /// <summary>Sequence of the last frame written.</summary>
    public ulong LastSequence => _sequence;

    /// <summary>Writes a batch; not durable yet.</summary>
    public void Append(WriteBatch batch)
    {
        RequireHealthy();
        try
        {
            var entries = batch.Entries.AsSpan();
            var previous = batch.Previous;
            do
            {
                var count = 0;
                long bytes = 0;
                while (count < entries.Length && (count == 0 || bytes + entries[count].SizeBytes <= FrameBudget))
                    bytes += entries[count++].SizeBytes;

                // A hint never speaks of entries that a later frame of the same batch brings.
                var hint = Math.Min(batch.HardState.Commit, previous.Index + (ulong)count);
                WriteFrame(batch.HardState with { Commit = hint }, previous, entries[..count]);
                if (count > 0) previous = entries[count - 1].Id;
                entries = entries[count..];
            }
            while (entries.Length > 0);
        }
        catch (IOException error)
        {
            throw Fail("could not be written", error);
        }
    }

    /// <summary>Makes everything appended durable.</summary>
    public void Flush()
    {
        RequireHealthy();
        if (!_isDirty) return;
        try
        {
            _segment!.Flush();
            _isDirty = false;
            _durableSequence = _sequence;
            WriteMark(); // Before anyone is told: recovery then knows that these frames must be there.
        }
        catch (IOException error)
        {
            throw Fail("could not be flushed", error);
        }
    }

    public void Dispose()
    {
        _segment?.Dispose();
        _mark.Dispose();
    }

    private long FrameBudget => Math.Min(MaxFrameBodyBytes, _segmentBytes - WalFrame.HeaderBytes);

    private static string SegmentName(ulong id) => "seg-" + id.ToString("D12", CultureInfo.InvariantCulture) + ".wal";

    private void WriteFrame(HardState hardState, EntryId previous, ReadOnlySpan<LogEntry> entries)
    {
        var payloadBytes = 0;
        foreach (ref readonly var entry in entries) payloadBytes += entry.Payload.Length;
        var length = WalFrame.PaddedLength(entries.Length, payloadBytes);
        Invariant.Require(length <= _segmentBytes, "Proposals are bounded well below a segment.");
        if (_segment is null || _position + length > _segment.LengthBytes) RollSegment();
        var frame = new WalFrame
        {
            SegmentId = _segmentId,
            Sequence = _sequence + 1,
            Previous = previous,
            HardState = hardState,
            ChainCrc = _chainCrc,
            DurableSequence = _durableSequence,
            Incarnation = _incarnation,
        };
        var buffer = new byte[length];
        _chainCrc = frame.Encode(entries, buffer);
        _segment!.Write(_position, buffer);
        _isDirty = true;
        _sequence++;
        _position += length;
    }

    private void RollSegment()
    {
        // A flush covers one file, so the old segment is finished before the new one is begun.
        if (_segment is not null && _isDirty) _segment.Flush();
        _segment?.Dispose();
        _segment = null;
        _segment = _storage.Create(SegmentName(_segmentId + 1), _segmentBytes);
        _segmentId++;
        _position = 0;
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
