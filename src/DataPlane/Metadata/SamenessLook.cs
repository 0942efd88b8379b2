using System.Collections.Immutable;

namespace RaftMirror.DataPlane.Metadata;

/// <summary>What came of a look.</summary>
public enum SamenessVerdict
{
    /// <summary>Some nodes are to be asked (again).</summary>
    Asking,

    /// <summary>Every other one that serves the set sees this very disk, or does not use it.</summary>
    Same,

    /// <summary>Another one uses another disk, or has claimed one and goes first.</summary>
    Other,
}

/// <summary>One node's question to all others that serve a set: do we see the same disk? (ADR 0020.) It is asked after the node has claimed the disk, so
/// that of two that ask each other at least one hears of the other's claim. Immutable; a core: inputs are what was heard.</summary>
public sealed record SamenessLook
{
    /// <summary>How often a nonce must have been missed before it counts: a check of the disk, which shares the block, may have written
    /// there what stood there before.</summary>
    public const int Mismatches = 3;

    /// <summary>The same for a node that has only claimed the disk: one whose claim is about to be refused, by a node that uses the disk, must not
    /// drive others away.</summary>
    public const int ClaimMismatches = 5;

    private readonly string _self;

    internal SamenessLook(string self, bool isJoined, IEnumerable<string> others)
    {
        _self = self;
        IsJoined = isJoined;
        Open = others.ToImmutableSortedDictionary(static node => node, static _ => 0, StringComparer.Ordinal);
    }

    /// <summary>The asker served the set when the others were named: any that joins later asks it in turn.</summary>
    public bool IsJoined { get; }

    /// <summary>Whom to ask, with a new nonce for each round, and how often each has missed one.</summary>
    public ImmutableSortedDictionary<string, int> Open { get; private init; }

    /// <summary>What is known now.</summary>
    public SamenessVerdict Verdict { get; private init; }

    /// <summary>Who uses another disk.</summary>
    public string? Opponent { get; private init; }

    /// <summary>Called by the claim: the verdict when nobody was to be asked.</summary>
    internal SamenessLook Begun() => Settled(this);

    /// <summary>Takes in an answer.</summary>
    /// <param name="node">Who gave it; one that is <see cref="Open"/>.</param>
    /// <param name="standing">What it is, in both directions: seen means that this node saw the answering nonce, too.</param>
    /// <param name="isInUse">The node uses what it compared with; else it has only claimed it.</param>
    public SamenessLook Hear(string node, ProofStanding standing, bool isInUse) => standing switch
    {
        ProofStanding.Seen or ProofStanding.NotOpen => Settled(this with { Open = Open.Remove(node) }),
        ProofStanding.NotSeen => Missed(node, isInUse),
        _ => this,
    };

    private SamenessLook Missed(string node, bool isInUse)
    {
        var count = Math.Min(Open[node] + 1, ClaimMismatches);
        var next = this with { Open = Open.SetItem(node, count) };
        // Of two claims neither counts more: the first by name waits, the other one gives way. It must not pass by instead: the
        // other may have asked before this claim, and so not know of it.
        var mustYield = isInUse || string.CompareOrdinal(node, _self) < 0;
        return !mustYield || count < (isInUse ? Mismatches : ClaimMismatches) ? next : next with { Verdict = SamenessVerdict.Other, Opponent = node };
    }

    private static SamenessLook Settled(SamenessLook look) =>
        look.Open.IsEmpty && look.Verdict == SamenessVerdict.Asking ? look with { Verdict = SamenessVerdict.Same } : look;
}
