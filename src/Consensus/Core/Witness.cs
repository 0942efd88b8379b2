using RaftMirror.Consensus.Model;

namespace RaftMirror.Consensus.Core;

/// <summary>
/// One node's memory of the others' lives: who they are and how far they bound themselves (design §14.24). A directory that is put back to an
/// older copy forgets what it had acknowledged, but those who heard it do not.
///
/// A life is remembered durably before it is confirmed. How far it has bound itself is written once in a while: a copy that is younger
/// than that, taken and put back within one life, may pass.
/// </summary>
internal sealed class Witness
{
    private readonly SortedDictionary<NodeId, KnownLife> _known = [];

    /// <param name="recovered">From this node's own disk.</param>
    public Witness(IEnumerable<KnownLife> recovered)
    {
        foreach (var life in recovered) _known[life.Node] = life;
    }

    /// <summary>Of whom is no member nothing more is kept: unknown numbers must not fill memory and file.</summary>
    public bool IsFull => _known.Count >= MembershipRules.MaxMembers + 16;

    /// <summary>Something is remembered that was not handed out by <see cref="Take"/> yet.</summary>
    public bool IsDirty { get; private set; }

    public KnownLife? Of(NodeId node) => _known.TryGetValue(node, out var life) ? life : null;

    /// <summary>What is known that cannot be true if this claim is: the peer's directory is older than it was, or one of two copies.</summary>
    public KnownLife? Contradiction(NodeId node, NodeLife claim)
    {
        return _known.TryGetValue(node, out var known) && Contradicts(known, claim) ? known : null;
    }

    /// <summary>What is known of a node's life cannot be true if this claim of its is.</summary>
    public static bool Contradicts(in KnownLife known, NodeLife claim)
    {
        if (known.Start == claim.Start && known.Incarnation == claim.Incarnation) return false;
        if (IsForgiven(known, claim)) return false;

        // The life that is known must be one of those that the directory remembers, unless it lies too far back.
        var isOtherLife = known.Incarnation >= claim.Incarnation
            || (claim.StartOf(known.Incarnation) is { } start && start != known.Start);
        if (isOtherLife && !Mutants.EarlierStartBelieved) return true;
        return known.Promised.CompareTo(claim.Recovered) > 0 && !Mutants.ShorterLogBelieved;
    }

    /// <summary>Remembers a life that nothing contradicts.</summary>
    /// <returns>True if it is a new one.</returns>
    public bool Admit(NodeId node, NodeLife claim, Promised promised)
    {
        var known = Of(node);
        var isNew = known is not { } old || old.Start != claim.Start || old.Incarnation != claim.Incarnation;
        var furthest = known is { } before && !IsForgiven(before, claim) ? Promised.Max(before.Promised, promised) : promised;
        if (!isNew && known!.Value.Promised == furthest) return false;
        _known[node] = new KnownLife(node, claim.Incarnation, claim.Start, furthest, claim.Forgiven);
        IsDirty = true;
        return isNew;
    }

    /// <summary>A peer whose life was admitted has bound itself further.</summary>
    public void Heard(NodeId node, Promised promised)
    {
        if (!_known.TryGetValue(node, out var known) || promised.CompareTo(known.Promised) <= 0) return;
        _known[node] = known with { Promised = promised };
        IsDirty = true;
    }

    /// <summary>Everything, to be made durable, but for nodes that have left for good.</summary>
    public KnownLife[] Take(Predicate<NodeId> hasLeft)
    {
        IsDirty = false;
        foreach (var gone in _known.Keys.Where(node => hasLeft(node)).ToArray()) _known.Remove(gone);
        return [.. _known.Values];
    }

    /// <summary>Since then the node's directory was seeded anew, which released it from what it had promised.</summary>
    private static bool IsForgiven(in KnownLife known, NodeLife claim) =>
        claim.Forgiven.CompareTo(known.Forgiven) > 0 && known.Promised.CompareTo(claim.Forgiven) <= 0;
}
