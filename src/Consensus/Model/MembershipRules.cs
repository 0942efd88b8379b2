namespace RaftMirror.Consensus.Model;

/// <summary>Turns changes into configurations. Pure.</summary>
internal static class MembershipRules
{
    /// <summary>More voters make every commit slower and nothing safer.</summary>
    public const int MaxVoters = 15;

    public const int MaxMembers = 256;

    /// <summary>What the configuration becomes when all changes are made at once.</summary>
    /// <param name="current">Not joint.</param>
    /// <param name="changes">At least one; each member at most once.</param>
    /// <param name="error">Why not.</param>
    /// <returns>The final configuration, not joint; null if a change is not possible.</returns>
    public static Configuration? Change(Configuration current, IReadOnlyList<MembershipChange> changes, out string? error)
    {
        error = null;
        if (current.IsJoint) error = "a change of membership is under way";
        else if (changes.Count == 0) error = "there is nothing to change";
        var voters = current.Voters.ToList();
        var learners = current.Learners.ToList();
        var details = current.Details.ToDictionary(member => member.Id);
        var nextId = current.NextId;
        var touched = new HashSet<NodeId>();
        foreach (var change in changes)
        {
            if (error is not null) return null;
            if (change.Action is MembershipAction.AddLearner or MembershipAction.Update && !ConfigurationCodec.CanEncode(change.Member))
            {
                error = "a member's name or address is too long or no text";
                return null;
            }

            var id = change.Member.Id;
            if (change.Action == MembershipAction.AddLearner && id.Value == 0) id = new NodeId(nextId);
            if (!touched.Add(id))
            {
                error = $"node {id} is changed twice";
                return null;
            }

            var isMember = details.ContainsKey(id);
            if (change.Action != MembershipAction.AddLearner && !isMember)
            {
                error = $"node {id} is no member";
                return null;
            }

            switch (change.Action)
            {
                case MembershipAction.AddLearner:
                    error = isMember ? $"node {id} is a member already"
                        : id.Value < nextId ? $"number {id} belonged to a node that left; numbers are never given again"
                        : id.Value == ushort.MaxValue ? "all numbers have been given"
                        : null;
                    learners.Add(id);
                    details[id] = change.Member with { Id = id };
                    nextId = Math.Max(nextId, (ushort)(id.Value + 1));
                    break;
                case MembershipAction.Promote:
                    if (!learners.Remove(id)) error = $"node {id} votes already";
                    voters.Add(id);
                    break;
                case MembershipAction.Demote:
                    if (!voters.Remove(id)) error = $"node {id} is a learner already";
                    learners.Add(id);
                    break;
                case MembershipAction.Remove:
                    voters.Remove(id);
                    learners.Remove(id);
                    details.Remove(id);
                    break;
                case MembershipAction.Update:
                    if (details[id] == change.Member) error = $"node {id} is so already";
                    details[id] = change.Member;
                    break;
                default:
                    error = $"unknown change {change.Action}";
                    break;
            }
        }

        if (error is null && voters.Count == 0) error = "at least one voter must remain";
        if (error is null && voters.TrueForAll(voter => details[voter].Priority == 0)
            && current.Voters.Any(voter => current.Details[current.SlotOf(voter)].Priority != 0))
        {
            // Only a change that brings it about is refused: where nobody had a priority before, members must still be able to come.
            error = "nobody would be left who may lead";
        }

        if (error is null && voters.Count > MaxVoters) error = $"more than {MaxVoters} voters";
        if (error is null && voters.Count + learners.Count > MaxMembers) error = $"more than {MaxMembers} members";
        return error is null ? new Configuration(voters, null, learners, details.Values, nextId) : null;
    }

    /// <summary>The way from one configuration to another: at once if the voters stay the same, so that all majorities do; else jointly
    /// (Raft paper section 6).</summary>
    public static Configuration FirstStep(Configuration current, Configuration final)
    {
        if (current.Voters.SequenceEqual(final.Voters)) return final;
        var details = current.Details.Where(member => final.SlotOf(member.Id) < 0).Concat(final.Details);
        return new Configuration(final.Voters, current.Voters, final.Learners, details, final.NextId);
    }
}
