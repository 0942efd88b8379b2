using System.Globalization;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Model;
using MemberStatus = RaftMirror.Consensus.Model.MemberStatus;

namespace RaftMirror.Node.Membership;

/// <summary>What an operator would regret, said before it is done. The engine would allow it. Pure.</summary>
internal static class MembershipGuards
{
    /// <summary>Why a member must not stop voting, or leave.</summary>
    /// <param name="status">The leader's view.</param>
    /// <param name="member">Who.</param>
    /// <param name="isRemoved">It leaves; else it becomes a learner.</param>
    /// <param name="state">What the nodes serve.</param>
    /// <param name="nameOf">Names.</param>
    /// <param name="horizonMs">How long fencing takes.</param>
    /// <returns>Null if nothing stands against it.</returns>
    public static ApiResult? OfLeaving(
        LogStatus status, MemberStatus member, bool isRemoved, ClusterState state, Func<MemberStatus, string> nameOf, long horizonMs) =>
        (member.IsVoter ? OfQuorum(status, member, nameOf) : null)
        ?? (isRemoved ? OfService(state, nameOf(member), member.Id.Value, horizonMs) : null);

    private static ApiResult? OfQuorum(LogStatus status, MemberStatus member, Func<MemberStatus, string> nameOf)
    {
        var left = status.Members.Where(other => other.IsVoter && other.Id != member.Id).ToList();
        if (left.Count == 0)
        {
            return Refuse(
                "lastVoter", $"'{nameOf(member)}' is the only voter: without it nothing could ever change again.",
                "Add another node and promote it first.");
        }

        var needed = (left.Count / 2) + 1;
        var answering = left.Count(other => other.Id == status.Self || other.IsRecentlyActive);
        if (answering >= needed) return null;
        var silent = left.Where(other => other.Id != status.Self && !other.IsRecentlyActive).Select(nameOf);
        return Refuse(
            "wouldLoseQuorum",
            string.Create(
                CultureInfo.InvariantCulture,
                $"Of the {left.Count} voters that would remain ({string.Join(", ", left.Select(nameOf))}) {answering} {(answering == 1 ? "answers" : "answer")} and {needed} are needed."),
            $"Start {string.Join(", ", silent)} first, or remove it instead.");
    }

    private static ApiResult? OfService(ClusterState state, string name, ushort id, long horizonMs)
    {
        if (state.Node(name) is not { } node || node.Id != id) return null;
        var joined = state.Sets.Values.Where(set => set.Members.GetValueOrDefault(name) is { JoinedIncarnation: not 0 }).ToList();
        if (joined.Count == 0) return null;
        var sets = string.Join(", ", joined.Select(set => set.Name));
        if (!node.IsLive)
        {
            return Refuse(
                "notFenced", $"'{name}' is {Word(node.Status)} and not proven gone from disk set {sets} yet.",
                string.Create(CultureInfo.InvariantCulture, $"Repeat in {(horizonMs + 999) / 1000} s; the others serve its volumes then."));
        }

        var owned = joined.SelectMany(set => set.Volumes.Values.Where(volume => volume.Owner.Node == name).Select(volume => $"{set.Name}/{volume.Name}")).ToList();
        return Refuse(
            "nodeServes",
            $"'{name}' is up and serves disk set {sets}" + (owned.Count > 0 ? $"; it owns {string.Join(", ", owned)}." : "."),
            $"Stop the node (its volumes move at once), or: raftmirror set leave {joined[0].Name} --member {name}. Then repeat.");
    }

    /// <summary>Why a node with an empty data directory must not take a member's place.</summary>
    public static ApiResult? OfJoining(JoinRequest request, MemberStatus member, ClusterState state)
    {
        var hasTakenPart = member.IsVoter || member.Match > 0
            || (state.Node(request.Name) is { } node && node.Id == member.Id.Value);
        if (hasTakenPart)
        {
            return Refuse(
                "hasTakenPart",
                $"'{request.Name}' (number {member.Id}) has taken part already; without its data directory it would break its word about votes and entries.",
                $"Start it with its own --data. If that is lost: raftmirror raft remove {request.Name}, then start it with --join again: it gets a new number.");
        }

        return member.Address == request.Peer
            ? null
            : Refuse(
                "otherAddress", $"The cluster expects '{request.Name}' (number {member.Id}) at {member.Address}, but --peer is {request.Peer}.",
                $"Start it with --peer {member.Address}, or: raftmirror raft set {request.Name} --address {request.Peer}");
    }

    private static string Word(ControlPlane.Model.NodeStatus status) => status.ToString().ToLowerInvariant();

    private static ApiResult Refuse(string code, string message, string help) => new()
    {
        Outcome = ApiOutcome.Rejected,
        Rejection = RejectionKind.Precondition,
        Code = code,
        Message = message + " Nothing was applied.",
        Help = help,
    };
}
