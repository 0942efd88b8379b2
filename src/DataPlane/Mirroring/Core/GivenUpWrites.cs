using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>A client's write, with bounds of when its last byte reached this host's kernel, ns of CLOCK_BOOTTIME.</summary>
/// <param name="Id">The operation.</param>
/// <param name="Range">Bytes of the volume.</param>
/// <param name="Session">The client's connection.</param>
/// <param name="FromNs">It did not arrive before this.</param>
/// <param name="ToNs">It had arrived by this.</param>
internal readonly record struct ArrivedWrite(ulong Id, ByteRange Range, uint Session, long FromNs, long ToNs);

/// <summary>A write, or everything that may be unread, that a node has not ended.</summary>
/// <param name="Range">Bytes of the volume.</param>
/// <param name="AgeNs">At most this long ago it reached that node, when it answered.</param>
internal readonly record struct ListedWrite(ByteRange Range, long AgeNs);

/// <summary>What a write waits for, for the sake of order.</summary>
/// <param name="Node">Where; null: on this node.</param>
/// <param name="IsSilent">That node has not answered; else it has an older write of the same bytes.</param>
internal readonly record struct OrderHold(string? Node, bool IsSilent);

/// <summary>What the connections of a volume on this node have not handed to its core, taken before the core hears of it.</summary>
/// <param name="TakenNs">Before the first connection was looked at: what came later, on whatever connection, is not covered.</param>
/// <param name="Sessions">Per connection: each request that had arrived before <c>FloorNs</c> was handed over or thrown away.</param>
internal sealed record IntakeSample(long TakenNs, IReadOnlyList<(uint Session, long FloorNs)> Sessions);

/// <summary>Keeps a write that its client gave up from landing after a newer one was acknowledged (design §14.25, ADR 0019): a client's
/// write begins only if no node, this one included, has an overlapping one left that is older by so much that it may be the same client's.
/// A core: input in, decisions out. Owned by the volume's <see cref="MirrorCore"/>.</summary>
/// <remarks>Another node is asked; its answer lists what it has not ended and has had for <see cref="MirrorOptions.WriteAgeNs"/> (A).
/// An answer is good for a write that arrived at most <see cref="MirrorOptions.AnswerAgeNs"/> (H) after the question was sent. Only what
/// may have arrived H + A before the write holds it, so of two writes that wait at most one waits for the other, however long.</remarks>
internal sealed class GivenUpWrites(MirrorOptions options)
{
    /// <summary>Most ranges of an answer; more are joined to fewer, wider ones.</summary>
    public const int MaxListed = 64;

    private static readonly ByteRange Everything = new(0, long.MaxValue);

    private readonly List<Peer> _peers = []; // By name.
    private readonly Dictionary<ulong, ArrivedWrite> _writes = [];
    private readonly List<uint> _sessions = [];
    private IntakeSample? _sample;
    private long _oldestNs = long.MaxValue; // No write of _writes arrived before; may be too early.
    private long _statedNs; // When HasSessions became what it is; orders what is said of it.
    private long _announcedNs = -1; // The statement that every live peer has heard.
    private long _wantedNs = long.MinValue;
    private bool _isHolding;

    /// <summary>Test hooks.</summary>
    public MirrorFaults Faults { get; init; }

    /// <summary>True while this node has client connections to the volume, or writes of theirs.</summary>
    public bool HasSessions { get; private set; }

    /// <summary>What is said of <see cref="HasSessions"/>.</summary>
    public bool States => HasSessions && !Faults.HasFlag(MirrorFaults.SessionUnannounced);

    /// <summary>Orders statements about <see cref="HasSessions"/>: the newest counts. Also unique over the cores of one incarnation.</summary>
    public long StatedNs => _statedNs;

    /// <summary>When the connections were looked at last.</summary>
    public long SampledNs => _sample?.TakenNs ?? 0;

    /// <summary>What <see cref="MayBegin"/> said no for.</summary>
    public OrderHold? WaitsFor { get; private set; }

    /// <summary>A connection was opened. It counts, and its client may send requests, once <see cref="IsAnnounced"/>.</summary>
    public void SessionOpened(long now, uint session)
    {
        _sessions.Add(session);
        if (!HasSessions) _sample = new IntakeSample(now, []); // Nothing can have come before the first connection.
        State(now);
    }

    /// <summary>A connection has ended, with its requests.</summary>
    public void SessionClosed(long now, uint session)
    {
        _sessions.Remove(session);
        State(now);
    }

    /// <summary>A client's write came; it is listed until <see cref="Ended"/>.</summary>
    public void Received(in ArrivedWrite write)
    {
        _writes.Add(write.Id, write);
        _oldestNs = Math.Min(_oldestNs, write.FromNs);
    }

    /// <summary>A write has ended: none of its bytes is on its way to a leg.</summary>
    public void Ended(long now, ulong id)
    {
        _writes.Remove(id);
        if (_sessions.Count == 0) State(now);
    }

    /// <summary>Connections were looked at; what they had handed over by then has been received here.</summary>
    public void Sampled(IntakeSample sample)
    {
        if (_sample is null || sample.TakenNs >= _sample.TakenNs) _sample = sample;
        _oldestNs = long.MaxValue;
        foreach (var write in _writes.Values) _oldestNs = Math.Min(_oldestNs, write.FromNs); // A minimum: no order matters.
    }

    /// <summary>The committed members that are joined and not proven gone, without this node.</summary>
    /// <param name="live">Names and incarnations.</param>
    /// <param name="areOlder">True if this node has only just joined: those who joined later tell it of their first connection before that
    /// counts; those who were there may have told everybody before.</param>
    public void MembersChanged(IReadOnlyList<(string Node, ulong Incarnation)> live, bool areOlder)
    {
        for (var i = _peers.Count - 1; i >= 0; i--)
        {
            var isLive = false;
            foreach (var (node, incarnation) in live) isLive |= node == _peers[i].Node && incarnation == _peers[i].Incarnation;
            if (!isLive) _peers.RemoveAt(i);
        }

        foreach (var (node, incarnation) in live)
        {
            if (Find(node, incarnation) is not null) continue;
            _peers.Add(new Peer(node, incarnation) { Sessions = areOlder ? Knowledge.Unknown : Knowledge.None });
        }

        _peers.Sort(static (a, b) => string.CompareOrdinal(a.Node, b.Node));
    }

    /// <summary>True once every live peer has heard that this node has connections: from then on they ask it before they write.</summary>
    /// <param name="committedNs">The members given are no older than what was committed then.</param>
    public bool IsAnnounced(long committedNs)
    {
        if (!HasSessions) return false;
        if (_announcedNs == _statedNs) return true;
        if (committedNs < _statedNs) return false;
        foreach (var peer in _peers)
        {
            if (peer.AnsweredNs < _statedNs) return false;
        }

        _announcedNs = _statedNs;
        return true;
    }

    /// <summary>Whom to ask now; each question carries <paramref name="now"/>, <see cref="StatedNs"/> and <see cref="HasSessions"/>.</summary>
    public void TakeQuestions(long now, List<(string Node, ulong Incarnation)> to)
    {
        if (!HasSessions) return;
        var interval = _isHolding ? options.AskNs / 4 : options.AskNs;
        foreach (var peer in _peers)
        {
            var mustHear = peer.AnsweredNs < _statedNs;
            if (peer.Sessions == Knowledge.None && !mustHear) continue;
            var isFirst = peer.AskedNs < _statedNs || peer.AskedNs < _wantedNs;
            if (now - peer.AskedNs < interval && !isFirst) continue;
            peer.AskedNs = now;
            to.Add((peer.Node, peer.Incarnation));
        }

        _isHolding = false; // Whoever is still held says so when it is looked at.
    }

    /// <summary>A question came: the peer says whether it has connections.</summary>
    public void Asked(string from, ulong incarnation, long statedNs, bool hasSessions) => Note(from, incarnation, statedNs, hasSessions);

    /// <summary>What this node has left that is not younger than A, at <paramref name="now"/>, which is after the question came.</summary>
    public IReadOnlyList<ListedWrite> Answer(long now)
    {
        var limit = now - Shortened(options.WriteAgeNs);
        var old = new List<ArrivedWrite>();
        foreach (var write in _writes.Values)
        {
            if (write.FromNs <= limit) old.Add(write);
        }

        old.Sort(static (a, b) => a.Range.Start != b.Range.Start ? a.Range.Start.CompareTo(b.Range.Start) : a.Id.CompareTo(b.Id));
        var listed = new List<ListedWrite>();
        var floor = Floor(ofOthersThan: 0);
        if (floor <= limit) listed.Add(new ListedWrite(Everything, now - floor));
        var perRange = (old.Count + MaxListed - 2) / (MaxListed - 1);
        for (var i = 0; i < old.Count; i += perRange)
        {
            var (start, end, from) = (old[i].Range.Start, old[i].Range.End, old[i].FromNs);
            for (var j = i; j < Math.Min(i + perRange, old.Count); j++)
            {
                end = Math.Max(end, old[j].Range.End);
                from = Math.Min(from, old[j].FromNs);
            }

            listed.Add(new ListedWrite(new ByteRange(start, end - start), now - from));
        }

        return listed;
    }

    /// <summary>An answer came to the question that was sent at <paramref name="askedNs"/>.</summary>
    public void Answered(
        string from, ulong incarnation, long askedNs, long statedNs, bool hasSessions, IReadOnlyList<ListedWrite> listed)
    {
        Note(from, incarnation, statedNs, hasSessions);
        if (Find(from, incarnation) is not { } peer || askedNs <= peer.AnsweredNs) return;
        peer.AnsweredNs = askedNs;
        peer.Listed = listed;
    }

    /// <summary>True if no older write that may be the same client's is left anywhere. Once true it stays so.</summary>
    public bool MayBegin(in ArrivedWrite write)
    {
        if (Faults.HasFlag(MirrorFaults.SkipGivenUpHold)) return true;
        WaitsFor = null;
        if (HasOlderHere(write)) WaitsFor = new OrderHold(null, IsSilent: false);
        foreach (var peer in _peers)
        {
            if (peer.Sessions == Knowledge.None) continue;
            var needed = write.ToNs - Shortened(options.AnswerAgeNs);
            if (peer.AnsweredNs < needed)
            {
                if (Faults.HasFlag(MirrorFaults.IgnoreSilentPeer) && peer.AskedNs >= needed) continue;
                _wantedNs = Math.Max(_wantedNs, needed);
                WaitsFor = new OrderHold(peer.Node, IsSilent: true);
            }
            else if (Holds(peer, write))
            {
                _isHolding = true;
                WaitsFor = new OrderHold(peer.Node, IsSilent: false);
            }
        }

        return WaitsFor is null;
    }

    private bool Holds(Peer peer, in ArrivedWrite write)
    {
        // The answer is of a moment after the question: what arrived H + A before the write was at least so old by then.
        var held = peer.AnsweredNs - write.ToNs + options.AnswerAgeNs + options.WriteAgeNs;
        foreach (var older in peer.Listed)
        {
            if (older.AgeNs + Drift(older.AgeNs) >= held && older.Range.Overlaps(write.Range)) return true;
        }

        return false;
    }

    private bool HasOlderHere(in ArrivedWrite write)
    {
        var limit = write.ToNs - options.AnswerAgeNs - options.WriteAgeNs;
        // What is unread on its own connection was sent after it.
        if (Floor(ofOthersThan: write.Session) <= limit) return true;
        if (_oldestNs > limit) return false;
        foreach (var older in _writes.Values)
        {
            if (older.FromNs > limit || older.Id == write.Id || !older.Range.Overlaps(write.Range)) continue;
            if (older.Session != write.Session || older.Id < write.Id) return true; // Any one; no order matters.
        }

        return false;
    }

    /// <summary>What arrived before it, on any connection but that one, has been received here.</summary>
    public long Floor(uint ofOthersThan)
    {
        if (_sample is null || _sessions.Count == 0) return long.MaxValue;
        if (Faults.HasFlag(MirrorFaults.AgeFromRead)) return long.MaxValue;
        var floor = _sample.TakenNs;
        foreach (var (session, floorNs) in _sample.Sessions)
        {
            if (session != ofOthersThan) floor = Math.Min(floor, floorNs);
        }

        return floor;
    }

    private void State(long now)
    {
        var hasSessions = _sessions.Count > 0 || _writes.Count > 0;
        if (hasSessions == HasSessions) return;
        HasSessions = hasSessions;
        _statedNs = Math.Max(_statedNs + 1, now);
    }

    private void Note(string from, ulong incarnation, long statedNs, bool hasSessions)
    {
        if (Find(from, incarnation) is not { } peer || statedNs < peer.StatedNs) return;
        peer.StatedNs = statedNs;
        peer.Sessions = hasSessions ? Knowledge.Some : Knowledge.None;
    }

    private Peer? Find(string node, ulong incarnation)
    {
        foreach (var peer in _peers)
        {
            if (peer.Node == node && peer.Incarnation == incarnation) return peer;
        }

        return null;
    }

    private static long Drift(long ns) => ns / 50; // Two clocks' rates differ by at most 1 %, each way.

    private static long Shortened(long ns) => ns - Drift(ns);

    private enum Knowledge
    {
        /// <summary>It may have had connections before this node joined.</summary>
        Unknown,
        None,
        Some,
    }

    private sealed class Peer(string node, ulong incarnation)
    {
        public string Node { get; } = node;

        public ulong Incarnation { get; } = incarnation;

        public Knowledge Sessions { get; set; }

        /// <summary>Its clock, when it stated that.</summary>
        public long StatedNs { get; set; } = -1;

        /// <summary>When the newest question was sent.</summary>
        public long AskedNs { get; set; } = long.MinValue / 2;

        /// <summary>When the question was sent that the newest answer answers.</summary>
        public long AnsweredNs { get; set; } = long.MinValue / 2;

        public IReadOnlyList<ListedWrite> Listed { get; set; } = [];
    }
}
