using RaftMirror.Primitives;

namespace RaftMirror.DataPlane.Mirroring.Core;

/// <summary>The announcing side of windows (design §14.12): which ranges are closed to other nodes' writes, and who has
/// confirmed. Each announcement names the owner epoch and carries the full open set, so a lost or late one does no harm. Pure.</summary>
internal sealed class WindowOwner(ulong epoch)
{
    private readonly List<(ulong Sequence, ByteRange Range)> _open = [];
    private readonly List<Confirmation> _confirmed = [];

    /// <summary>Owner epoch that names these windows.</summary>
    public ulong Epoch { get; } = epoch;

    /// <summary>Of the newest announcement; 1 is the empty set that starts the epoch.</summary>
    public ulong Sequence { get; private set; } = 1;

    /// <summary>Open windows.</summary>
    public int OpenCount => _open.Count;

    /// <summary>Opens a window; it must be announced.</summary>
    /// <returns>Its sequence.</returns>
    public ulong Open(ByteRange range)
    {
        _open.Add((++Sequence, range));
        return Sequence;
    }

    /// <summary>Closes a window; that must be announced too.</summary>
    public void Close(ulong sequence)
    {
        var removed = _open.RemoveAll(window => window.Sequence == sequence);
        Invariant.Require(removed == 1, "A window is closed once.");
        Sequence++;
    }

    /// <summary>Takes a member's confirmation.</summary>
    public void Confirmed(string node, ulong incarnation, ulong sequence)
    {
        if (sequence > Sequence) return; // Nobody confirms what was not said: a broken peer.
        for (var i = 0; i < _confirmed.Count; i++)
        {
            if (_confirmed[i].Node != node) continue;
            var isNewer = _confirmed[i].Incarnation != incarnation || _confirmed[i].Sequence < sequence;
            if (isNewer && incarnation >= _confirmed[i].Incarnation) _confirmed[i] = new(node, incarnation, sequence);
            return;
        }

        _confirmed.Add(new(node, incarnation, sequence));
    }

    /// <summary>True if that member installed every window up to <paramref name="sequence"/>.</summary>
    public bool HasConfirmed(string node, ulong incarnation, ulong sequence)
    {
        foreach (var entry in _confirmed)
        {
            if (entry.Node == node) return entry.Incarnation == incarnation && entry.Sequence >= sequence;
        }

        return false;
    }

    /// <summary>The open ranges; a new array.</summary>
    public ByteRange[] OpenRanges()
    {
        var ranges = new ByteRange[_open.Count];
        for (var i = 0; i < ranges.Length; i++) ranges[i] = _open[i].Range;
        return ranges;
    }

    private readonly record struct Confirmation(string Node, ulong Incarnation, ulong Sequence);
}

/// <summary>Windows that another node announced to this one. Pure.</summary>
internal sealed class RemoteWindows(string owner, ulong incarnation, ulong epoch)
{
    private IReadOnlyList<ByteRange> _open = [];

    /// <summary>Who announced them.</summary>
    public string Owner { get; } = owner;

    public ulong Incarnation { get; } = incarnation;

    public ulong Epoch { get; } = epoch;

    /// <summary>Of the newest announcement installed.</summary>
    public ulong Sequence { get; private set; }

    /// <summary>Confirmed so far.</summary>
    public ulong ConfirmedSequence { get; set; }

    public IReadOnlyList<ByteRange> Open => _open;

    public bool IsConfirmationDue => ConfirmedSequence < Sequence;

    /// <summary>This node must have enacted this much before it confirms: a leg that the owner copies to must get this node's
    /// writes first, or what it writes behind the window would be missing there.</summary>
    public ulong RequiredIndex { get; private set; }

    /// <summary>Installs an announcement; an older one is ignored, a repeated one is confirmed again.</summary>
    public void Install(ulong sequence, ulong index, IReadOnlyList<ByteRange> open)
    {
        if (sequence < Sequence) return;
        RequiredIndex = Math.Max(RequiredIndex, index);
        if (sequence == Sequence)
        {
            ConfirmedSequence = Math.Min(ConfirmedSequence, sequence - 1);
            return;
        }

        Sequence = sequence;
        _open = open;
    }

    public bool Blocks(ByteRange range)
    {
        foreach (var window in _open)
        {
            if (window.Overlaps(range)) return true;
        }

        return false;
    }
}
