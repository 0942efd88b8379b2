namespace RaftMirror.Consensus.Model;

/// <summary>What is to be done to the membership.</summary>
public enum MembershipAction
{
    /// <summary>A new node receives the log and does not vote yet.</summary>
    AddLearner,

    /// <summary>A learner that has caught up becomes a voter.</summary>
    Promote,

    /// <summary>A voter becomes a learner.</summary>
    Demote,

    /// <summary>A member leaves; its number is never given again.</summary>
    Remove,

    /// <summary>A member's address, name or priority changes.</summary>
    Update,
}

/// <summary>One change of membership.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Member">Whom; for <see cref="MembershipAction.Promote"/>, <see cref="MembershipAction.Demote"/> and
/// <see cref="MembershipAction.Remove"/> only the number counts. Number 0 with <see cref="MembershipAction.AddLearner"/>: the next free one.</param>
public sealed record MembershipChange(MembershipAction Action, Member Member);
