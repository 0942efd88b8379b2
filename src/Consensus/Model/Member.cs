namespace RaftMirror.Consensus.Model;

/// <summary>Who a member is.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Name">For people, 1 to 64 characters; may be empty in clusters that name their nodes elsewhere.</param>
/// <param name="Address">HOST:PORT of its peer listener.</param>
/// <param name="Priority">0 to 255: leadership goes to the highest priority that is caught up; 0 leads only while nobody else can.</param>
public sealed record Member(NodeId Id, string Name, string Address, byte Priority = Member.DefaultPriority)
{
    /// <summary>What members have unless told otherwise.</summary>
    public const byte DefaultPriority = 100;
}

/// <summary>One member as this node sees it.</summary>
/// <param name="Id">The node.</param>
/// <param name="Address">HOST:PORT of its peer listener.</param>
/// <param name="IsVoter">False for a learner.</param>
/// <param name="Match">Highest log index known to be durable there; 0 if unknown (only the leader knows).</param>
/// <param name="IsRecentlyActive">The leader heard from it within an election timeout.</param>
/// <param name="Name">For people; may be empty.</param>
/// <param name="Priority">0 to 255; see <see cref="Member"/>.</param>
public sealed record MemberStatus(
    NodeId Id, string Address, bool IsVoter, ulong Match, bool IsRecentlyActive, string Name = "", byte Priority = Member.DefaultPriority);
