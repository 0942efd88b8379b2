using RaftMirror.Consensus.Model;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Snapshots;

/// <summary>Decides how a lagging node gets a snapshot: what to ask whom for, when to ask somebody else, when to begin anew. A core: no
/// clock, no file, no socket, one thread. The shell asks <see cref="Next"/> after every input, does what it says, and gives the outcome
/// back; one thing is under way at a time.
///
/// Any node that has the identical snapshot (entry, length, checksum) may go on where another stopped. Every loop has an end: a source
/// that fails is left out for a time, one that made the whole wrong too, and without sources nothing happens until somebody offers again.</summary>
internal sealed class SnapshotReceiver(SnapshotReceiverOptions options)
{
    private const int MaxDoublings = 5;

    private readonly SortedDictionary<NodeId, Source> _sources = [];
    private readonly SortedSet<NodeId> _contributors = [];
    private Phase _phase = Phase.Idle;
    private SnapshotOffer _offer;
    private ulong _ticket;
    private long _received;
    private NodeId _source;
    private long _deadlineMs;
    private ChunkRequest _request;
    private ChunkAnswer? _chunk;
    private string? _lastError;
    private bool _startsOver;

    /// <summary>Bytes came from a run before this one: nobody knows from whom.</summary>
    private bool _hasUnknownBytes;

    /// <summary>The whole was wrong once and several nodes had a part in it: from now on all bytes come from one, so that the next
    /// wrong whole shows who it is.</summary>
    private bool _isFromOneOnly;

    private enum Phase
    {
        Idle,
        ToBegin,
        Beginning,
        ToRequest,
        Requesting,
        ToAppend,
        Appending,
        ToCommit,
        Committing,
    }

    public ReceiverProgress Progress => new(_phase == Phase.Idle ? null : _offer, _received, _source, _lastError);

    /// <summary>A node has this snapshot. Leaders repeat their offers while they see that the log does not do.</summary>
    /// <param name="from">Who.</param>
    /// <param name="offer">What. Not believed: bytes that do not fit it are refused.</param>
    /// <param name="nowMs">Monotonic time.</param>
    public OfferVerdict Offered(NodeId from, SnapshotOffer offer, long nowMs)
    {
        if (offer.Last.Index == 0 || offer.LengthBytes < SnapshotFormat.MinBytes || _phase is Phase.ToCommit or Phase.Committing)
            return OfferVerdict.Ignored;
        if (_phase != Phase.Idle && HasSource() && offer != _offer && offer.Last.Index <= _offer.Last.Index)
            return offer.Last.Index == _offer.Last.Index ? OfferVerdict.Conflicting : OfferVerdict.Ignored;
        if (_phase == Phase.Idle || offer != _offer)
        {
            Start(from, offer);
            return OfferVerdict.Started;
        }

        if (_sources.TryGetValue(from, out var known) && (!known.IsOut || nowMs < known.NotBeforeMs)) return OfferVerdict.Ignored;
        _sources[from] = new Source();
        return OfferVerdict.Joined;
    }

    /// <summary>The log has what is missing, after all. What was begun is to be discarded.</summary>
    public void Stop()
    {
        _phase = Phase.Idle;
        _ticket++;
        _sources.Clear();
        _offer = default;
        _lastError = null;
    }

    /// <summary>What to do now. Each thing is said once.</summary>
    public ReceiverStep Next(long nowMs)
    {
        if (_phase == Phase.Requesting && nowMs >= _deadlineMs) Fail($"node {_source} did not answer in time", nowMs, isOut: false);
        switch (_phase)
        {
            case Phase.Idle:
                return new ReceiverStep(ReceiverStepKind.Idle);
            case Phase.ToBegin:
                _phase = Phase.Beginning;
                return new ReceiverStep(ReceiverStepKind.Begin, ++_ticket, _offer, StartsOver: _startsOver);
            case Phase.ToRequest:
                return Ask(nowMs);
            case Phase.ToAppend:
                _phase = Phase.Appending;
                return new ReceiverStep(ReceiverStepKind.Append, ++_ticket, _offer, _source, _request, _chunk);
            case Phase.ToCommit:
                _phase = Phase.Committing;
                return new ReceiverStep(ReceiverStepKind.Commit, ++_ticket, _offer);
            default:
                return new ReceiverStep(ReceiverStepKind.Wait, WakeMs: _phase == Phase.Requesting ? _deadlineMs : long.MaxValue);
        }
    }

    /// <summary>The reception began, or goes on, with so many bytes.</summary>
    public void Began(ulong ticket, long receivedBytes)
    {
        if (!Is(ticket, Phase.Beginning)) return;
        _contributors.Clear();
        _startsOver = false;
        _hasUnknownBytes = receivedBytes > 0;
        Advance(receivedBytes);
    }

    /// <summary>A source answered.</summary>
    /// <param name="ticket">Of the request.</param>
    /// <param name="answer">As decoded, or null if it could not be.</param>
    /// <param name="nowMs">Monotonic time.</param>
    public void Answered(ulong ticket, ChunkAnswer? answer, long nowMs)
    {
        if (!Is(ticket, Phase.Requesting)) return;
        if (answer is null) Fail($"node {_source} answered with what is no answer", nowMs, isOut: false);
        else if (answer.Status != ChunkStatus.Chunk) Fail($"node {_source} cannot give the snapshot: {answer.Status}", nowMs, isOut: true);
        else if (answer.Snapshot != _offer) Fail($"node {_source} has another snapshot of entry {_offer.Last}", nowMs, isOut: true);
        else if (answer.Offset != _request.Offset || answer.Bytes.Length is 0 || answer.Bytes.Length > _request.LengthBytes)
            Fail($"node {_source} answered with other bytes than it was asked for", nowMs, isOut: false);
        else if (Crc32C.Compute(answer.Bytes.Span) != answer.Crc) Fail($"node {_source} sent a damaged chunk", nowMs, isOut: false);
        else (_phase, _chunk) = (Phase.ToAppend, answer);
    }

    /// <summary>A source could not be reached, or refused.</summary>
    public void RequestFailed(ulong ticket, string why, long nowMs)
    {
        if (Is(ticket, Phase.Requesting)) Fail($"node {_source}: {why}", nowMs, isOut: false);
    }

    /// <summary>The chunk is durable, or was refused by the store.</summary>
    /// <param name="ticket">Of the append.</param>
    /// <param name="receivedBytes">What the reception has now.</param>
    /// <param name="refusal">What the store returned.</param>
    /// <param name="nowMs">Monotonic time.</param>
    public void Appended(ulong ticket, long receivedBytes, string? refusal, long nowMs)
    {
        if (!Is(ticket, Phase.Appending)) return;
        _chunk = null;
        if (refusal is not null)
        {
            Fail($"node {_source}: {refusal}", nowMs, isOut: false);
            return;
        }

        _contributors.Add(_source);
        _sources[_source] = new Source();
        _lastError = null;
        Advance(receivedBytes);
    }

    /// <summary>This node's own storage failed. Nothing happens until somebody offers a snapshot again.</summary>
    public void StoreFailed(ulong ticket, string why)
    {
        if (ticket != _ticket || _phase is not (Phase.Beginning or Phase.Appending or Phase.Committing)) return;
        Stop();
        _lastError = why;
    }

    /// <summary>The snapshot is among the store's.</summary>
    public void Committed(ulong ticket)
    {
        if (Is(ticket, Phase.Committing)) Stop();
    }

    /// <summary>All bytes came, and they are no sound snapshot; the store discarded them.</summary>
    public void CommitRefused(ulong ticket, string why, long nowMs)
    {
        if (!Is(ticket, Phase.Committing)) return;
        if (_contributors.Count == 1 && !_hasUnknownBytes) LeaveOut(_contributors.Min, nowMs);
        else _isFromOneOnly = true;
        _lastError = why;
        (_phase, _received, _source) = (Phase.ToBegin, 0, default);
        _startsOver = true;
    }

    private void Start(NodeId from, SnapshotOffer offer)
    {
        _sources.Clear();
        _sources[from] = new Source();
        _contributors.Clear();
        (_phase, _offer, _received, _source, _isFromOneOnly, _startsOver, _hasUnknownBytes) = (Phase.ToBegin, offer, 0, default, false, false, false);
        _chunk = null;
        _ticket++; // What is under way belongs to another snapshot.
    }

    private ReceiverStep Ask(long nowMs)
    {
        if (!HasSource())
        {
            // The bytes are kept: they are good for the next one who offers the same.
            return new ReceiverStep(ReceiverStepKind.Wait);
        }

        if (!_sources.TryGetValue(_source, out var present) || present.IsOut || present.Failures > 0)
        {
            var best = _sources.Where(pair => !pair.Value.IsOut).OrderBy(pair => pair.Value.NotBeforeMs).First();
            if (best.Value.NotBeforeMs > nowMs) return new ReceiverStep(ReceiverStepKind.Wait, WakeMs: best.Value.NotBeforeMs);
            var isOther = best.Key != _source;
            _source = best.Key;
            if (_isFromOneOnly && isOther && _received > 0)
            {
                (_phase, _received, _startsOver) = (Phase.ToBegin, 0, true);
                return Next(nowMs);
            }
        }

        _phase = Phase.Requesting;
        _deadlineMs = nowMs + options.RequestTimeoutMs;
        _request = new ChunkRequest(_offer.Last, _received, (int)Math.Min(options.ChunkBytes, _offer.LengthBytes - _received));
        return new ReceiverStep(ReceiverStepKind.Request, ++_ticket, _offer, _source, _request, WakeMs: _deadlineMs);
    }

    private void Advance(long receivedBytes)
    {
        Invariant.Require(receivedBytes >= _received && receivedBytes <= _offer.LengthBytes, "A reception grows up to what was offered.");
        _received = receivedBytes;
        _phase = receivedBytes == _offer.LengthBytes ? Phase.ToCommit : Phase.ToRequest;
    }

    private void Fail(string why, long nowMs, bool isOut)
    {
        _lastError = why;
        _phase = Phase.ToRequest;
        var failures = _sources[_source].Failures + 1;
        if (isOut || failures >= options.MaxFailures) LeaveOut(_source, nowMs);
        else _sources[_source] = new Source(failures, nowMs + (options.BackoffMs << Math.Min(failures - 1, MaxDoublings)), IsOut: false);
    }

    private void LeaveOut(NodeId node, long nowMs) => _sources[node] = new Source(0, nowMs + options.PenaltyMs, IsOut: true);

    private bool HasSource() => _sources.Values.Any(source => !source.IsOut);

    private bool Is(ulong ticket, Phase phase) => ticket == _ticket && _phase == phase;

    /// <summary>A node that offered the snapshot.</summary>
    /// <param name="Failures">In a row.</param>
    /// <param name="NotBeforeMs">Not asked before; if it is left out: not heard before.</param>
    /// <param name="IsOut">Not asked until it offers again.</param>
    private readonly record struct Source(int Failures = 0, long NotBeforeMs = 0, bool IsOut = false);
}
