using RaftMirror.ControlPlane.Model;

namespace RaftMirror.ControlPlane.Leases;

/// <summary>Which lives of other nodes this node hears: told by pings, of which one round after the other begins whether or not the earlier ones have
/// ended. Two rules rest on it (ADR 0019): who may enter a set, and whom the leader is told of. Synchronous, without a clock; owned by one thread at
/// a time.</summary>
/// <remarks>They belong together: of two nodes that serve and do not hear each other, one waits for the other's word until the leader ends one of
/// them. So nobody may come to serve in a silence of which the leader is never told.</remarks>
public sealed class LinkTable
{
    /// <summary>Rounds without an answer until a node is not heard any more. They are rounds of this process's own running time: its own pauses
    /// do not count.</summary>
    public const int MissesUntilUnheard = 4;

    private readonly Dictionary<NodeIncarnation, Link> _links = [];

    /// <summary>A round of pings has come.</summary>
    /// <returns>True if the life is to be pinged; each such ping ends with <see cref="PingEnded"/>.</returns>
    public bool BeginPing(NodeIncarnation other)
    {
        if (!_links.TryGetValue(other, out var link)) _links[other] = link = new Link();
        link.Pings++;
        if (link.InFlight > 0) link.Misses++;
        if (link.InFlight >= MissesUntilUnheard) return false;
        link.InFlight++;
        return true;
    }

    /// <summary>A ping has ended.</summary>
    /// <param name="other">Who was pinged.</param>
    /// <param name="answered">Which life has answered; 0 if none has.</param>
    /// <param name="hearsUs">It hears this life.</param>
    public void PingEnded(NodeIncarnation other, ulong answered, bool hearsUs)
    {
        var link = _links[other];
        link.InFlight--;
        if (answered == other.Incarnation) (link.WasHeard, link.Misses, link.HearsUs) = (true, 0, hearsUs);
        else link.Misses++;
    }

    /// <summary>It answers.</summary>
    public bool Hears(NodeIncarnation other) => _links.TryGetValue(other, out var link) && link.WasHeard && link.Misses < MissesUntilUnheard;

    /// <summary>It does not hear this life, or is not heard; also for want of time so far.</summary>
    public bool IsApart(NodeIncarnation other) => !Hears(other) || (!_links[other].HearsUs && !StateMutants.EntersHalfHeard);

    /// <summary>It is apart, and has been pinged for a second.</summary>
    public bool IsLongApart(NodeIncarnation other) => IsApart(other) && HasTried(other);

    /// <summary>May this node enter a set that those lives serve? Who serves would wait for its word before each new connection, and if neither had
    /// ever heard the other, nobody would tell the leader (<see cref="IsToBeNamed"/>).</summary>
    public bool MayEnter(IEnumerable<NodeIncarnation> serving)
    {
        ArgumentNullException.ThrowIfNull(serving);
        foreach (var other in serving)
        {
            if (IsApart(other) && !StateMutants.EntersUnheard) return false;
        }

        return true;
    }

    /// <summary>Is the leader to be told that this node does not hear it? Once it was heard: who comes back into a silence must not end another's
    /// service. Or if both serve a set: two that entered it at once did not ask for each other.</summary>
    /// <param name="other">A live one.</param>
    /// <param name="isServingWithUs">Both serve a set.</param>
    public bool IsToBeNamed(NodeIncarnation other, bool isServingWithUs) =>
        _links.TryGetValue(other, out var link) && link.Misses >= MissesUntilUnheard
        && (link.WasHeard || (isServingWithUs && HasTried(other) && !StateMutants.SilenceOfEntrantsUntold));

    private bool HasTried(NodeIncarnation other) => _links.TryGetValue(other, out var link) && link.Pings > MissesUntilUnheard;

    private sealed class Link
    {
        /// <summary>It has answered once.</summary>
        public bool WasHeard { get; set; }

        /// <summary>What its last answer said.</summary>
        public bool HearsUs { get; set; }

        /// <summary>Rounds in all.</summary>
        public int Pings { get; set; }

        /// <summary>Pings that have not ended.</summary>
        public int InFlight { get; set; }

        /// <summary>Rounds and ends without an answer since the last one.</summary>
        public int Misses { get; set; }
    }
}
