
namespace RaftMirror.Consensus.Model;

/// <summary>How far a node has bound itself, durably: it took part in <paramref name="Term"/>, and had everything up to <paramref name="Index"/>
/// that can never be cut off while that term lasts. A directory that is only ever written forward never falls behind this: within a term
/// such entries stay, and a later term is greater (so the truncation that a new leader asks for is no step back).</summary>
/// <param name="Term">Of the hard state.</param>
/// <param name="Index">Of the log.</param>
internal readonly record struct Promised(ulong Term, ulong Index) : IComparable<Promised>
{
    public int CompareTo(Promised other) => Term != other.Term ? Term.CompareTo(other.Term) : Index.CompareTo(other.Index);

    public static Promised Max(Promised a, Promised b) => a.CompareTo(b) >= 0 ? a : b;

    public override string ToString() => $"term {Term}, index {Index}";
}

/// <summary>One process life of a node, as it tells it to its peers (design §14.24). Immutable.</summary>
/// <param name="Incarnation">Counted up at each start of the data directory.</param>
/// <param name="Starts">A random number drawn at each start, newest first: the one at position k is that of incarnation
/// <paramref name="Incarnation"/> - k. A directory that was put back draws another one for an incarnation that was there before.</param>
/// <param name="Recovered">What the directory had when this life began.</param>
/// <param name="Forgiven">After the directory was seeded anew: promises up to here bind it no more. Else nothing.</param>
/// <param name="Floor">After the directory was seeded anew: it votes for nobody whose log lacks this. Else (0, 0).</param>
internal sealed record NodeLife(ulong Incarnation, ulong[] Starts, Promised Recovered, Promised Forgiven = default, EntryId Floor = default)
{
    /// <summary>Starts that a node remembers and tells of: peers that were away for more restarts than these compare logs alone.</summary>
    public const int MaxStarts = 64;

    /// <summary>This life's number.</summary>
    public ulong Start => Starts[0];

    /// <summary>What this directory says about one of its lives.</summary>
    /// <returns>Null if the life lies before all that it remembers.</returns>
    public ulong? StartOf(ulong incarnation)
    {
        var back = Incarnation - incarnation;
        return incarnation <= Incarnation && back < (ulong)Starts.Length ? Starts[back] : null;
    }
}

/// <summary>What a node durably knows of a peer.</summary>
/// <param name="Node">The peer.</param>
/// <param name="Incarnation">Of its newest life that was admitted here.</param>
/// <param name="Start">That life's number.</param>
/// <param name="Promised">The furthest that it ever said to be bound, in whatever life since it was last seeded anew.</param>
/// <param name="Forgiven">That life's <see cref="NodeLife.Forgiven"/>.</param>
internal readonly record struct KnownLife(NodeId Node, ulong Incarnation, ulong Start, Promised Promised, Promised Forgiven = default);
