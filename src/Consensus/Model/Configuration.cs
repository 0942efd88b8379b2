using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Model;

/// <summary>Who takes part. While <see cref="OutgoingVoters"/> is not empty the configuration is joint (Raft paper section 6):
/// every decision then needs a majority of both sets. Immutable. Members stand in slots, sorted by id, so that
/// the core keeps them in arrays and its behaviour depends on no hash order.</summary>
internal sealed class Configuration
{
    /// <summary>Of a node that waits to be told: nobody votes, so it never campaigns.</summary>
    public static readonly Configuration Empty = new([]);

    /// <param name="voters">Who votes.</param>
    /// <param name="outgoingVoters">Who voted before, while the change is under way.</param>
    /// <param name="learners">Who receives the log and does not vote. May name an outgoing voter: it stays as a learner.</param>
    /// <param name="details">Names, addresses, priorities; members that are not listed have none and the default priority.</param>
    /// <param name="nextId">The smallest number never given; 0 for one above all members.</param>
    public Configuration(
        IEnumerable<NodeId> voters, IEnumerable<NodeId>? outgoingVoters = null, IEnumerable<NodeId>? learners = null,
        IEnumerable<Member>? details = null, ushort nextId = 0)
    {
        Voters = Sorted(voters);
        OutgoingVoters = Sorted(outgoingVoters ?? []);
        Learners = Sorted(learners ?? []);
        Members = Sorted(Voters.Concat(OutgoingVoters).Concat(Learners).Distinct());
        VoterSlots = [.. Voters.Select(SlotOf)];
        OutgoingSlots = [.. OutgoingVoters.Select(SlotOf)];
        Invariant.Require(!Learners.Any(id => Array.IndexOf(Voters, id) >= 0), "A learner is no voter.");
        var given = (details ?? []).ToDictionary(member => member.Id);
        Details = [.. Members.Select(id => given.GetValueOrDefault(id) ?? new Member(id, string.Empty, string.Empty))];
        var smallest = Members.Length == 0 ? (ushort)1 : checked((ushort)(Members[^1].Value + 1));
        NextId = Math.Max(nextId, smallest);
    }

    public NodeId[] Voters { get; }

    public NodeId[] OutgoingVoters { get; }

    public NodeId[] Learners { get; }

    /// <summary>Everybody, sorted by id; the position is the member's slot.</summary>
    public NodeId[] Members { get; }

    /// <summary>What is known of each member, by slot.</summary>
    public Member[] Details { get; }

    /// <summary>The smallest number never given to a member. A smaller one that is no member's was one's that left.</summary>
    public ushort NextId { get; }

    public int[] VoterSlots { get; }

    public int[] OutgoingSlots { get; }

    public bool IsJoint => OutgoingVoters.Length > 0;

    public bool IsVoter(NodeId id) => Array.IndexOf(Voters, id) >= 0 || Array.IndexOf(OutgoingVoters, id) >= 0;

    /// <summary>The member's slot, or a negative number.</summary>
    public int SlotOf(NodeId id) => Array.BinarySearch(Members, id);

    /// <summary>True for a number that was a member's and is no more.</summary>
    public bool HasLeft(NodeId id) => id.Value < NextId && SlotOf(id) < 0;

    /// <summary>What the joint configuration becomes once it is committed: the new voters alone.</summary>
    public Configuration LeaveJoint() => new(Voters, null, Learners, Details.Where(member => IsKept(member.Id)), NextId);

    public override string ToString() =>
        $"({string.Join(' ', Voters)})" + (IsJoint ? $"&&({string.Join(' ', OutgoingVoters)})" : string.Empty)
        + (Learners.Length > 0 ? $" learners=({string.Join(' ', Learners)})" : string.Empty);

    private bool IsKept(NodeId id) => Array.IndexOf(Voters, id) >= 0 || Array.IndexOf(Learners, id) >= 0;

    private static NodeId[] Sorted(IEnumerable<NodeId> ids)
    {
        NodeId[] sorted = [.. ids.Order()];
        for (var i = 0; i < sorted.Length; i++)
        {
            Invariant.Require(sorted[i].Value != 0, "Node ids start at 1.");
            Invariant.Require(i == 0 || sorted[i] != sorted[i - 1], "A member is listed once.");
        }

        return sorted;
    }
}
