using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Core;

/// <summary>Who votes. While <see cref="OutgoingVoters"/> is not empty the configuration is joint (Raft paper section 6):
/// every decision then needs a majority of both sets. Immutable. Members stand in slots, sorted by id, so that
/// the core keeps them in arrays and its behaviour depends on no hash order.</summary>
internal sealed class Configuration
{
    public Configuration(IEnumerable<NodeId> voters, IEnumerable<NodeId>? outgoingVoters = null, IEnumerable<NodeId>? learners = null)
    {
        Voters = Sorted(voters);
        OutgoingVoters = Sorted(outgoingVoters ?? []);
        Learners = Sorted(learners ?? []);
        Members = Sorted(Voters.Concat(OutgoingVoters).Concat(Learners).Distinct());
        VoterSlots = [.. Voters.Select(SlotOf)];
        OutgoingSlots = [.. OutgoingVoters.Select(SlotOf)];
        Invariant.Require(!Learners.Any(id => Array.IndexOf(Voters, id) >= 0), "A learner is no voter.");
    }

    public NodeId[] Voters { get; }

    public NodeId[] OutgoingVoters { get; }

    public NodeId[] Learners { get; }

    /// <summary>Everybody, sorted by id; the position is the member's slot.</summary>
    public NodeId[] Members { get; }

    public int[] VoterSlots { get; }

    public int[] OutgoingSlots { get; }

    public bool IsVoter(NodeId id) => Array.IndexOf(Voters, id) >= 0 || Array.IndexOf(OutgoingVoters, id) >= 0;

    /// <summary>The member's slot, or -1.</summary>
    public int SlotOf(NodeId id) => Array.BinarySearch(Members, id);

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
