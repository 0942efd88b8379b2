using System.Globalization;
using System.Text.Json;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using MemberStatus = RaftMirror.Consensus.Model.MemberStatus;

namespace RaftMirror.Node.Membership;

/// <summary>Who takes part in the replicated log, as operators change it: on the leader, which knows who answers, what each node serves and
/// how far each has come. The engine's own rules hold besides. Any thread.</summary>
internal sealed class MembershipService(
    NodeIdentity self, IReplicatedLog log, StateFeed feed, PeerClient peers, NodeDirectory directory, string clusterName, Guid clusterId,
    LeaseOptions times)
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>Sets the leader's handlers.</summary>
    public void Register()
    {
        peers.Handle(PeerMethods.ChangeMembers, DaemonJson.Default.MemberRequest, DaemonJson.Default.ApiResult,
            (_, request, token) => ChangeHereAsync(request, token));
        peers.Handle(PeerMethods.JoinCluster, DaemonJson.Default.JoinRequest, DaemonJson.Default.ApiResult,
            (_, request, token) => JoinHereAsync(request, token));
    }

    /// <summary>A change that an operator asks for, from this node to the leader and back.</summary>
    public ValueTask<ApiResult> ChangeAsync(MemberRequest request, CancellationToken cancellationToken) => OnLeaderAsync(
        token => ChangeHereAsync(request, token),
        (leader, token) => peers.CallAsync(
            leader, PeerMethods.ChangeMembers, request, DaemonJson.Default.MemberRequest, DaemonJson.Default.ApiResult,
            TimeSpan.FromMilliseconds(request.TimeoutMs), token),
        cancellationToken);

    /// <summary>A new node that asks to take part, from this node to the leader and back.</summary>
    public ValueTask<ApiResult> JoinAsync(JoinRequest request, CancellationToken cancellationToken) => OnLeaderAsync(
        token => JoinHereAsync(request, token),
        (leader, token) => peers.CallAsync(
            leader, PeerMethods.JoinCluster, request, DaemonJson.Default.JoinRequest, DaemonJson.Default.ApiResult, TimeSpan.FromSeconds(15), token),
        cancellationToken);

    private async ValueTask<ApiResult> OnLeaderAsync(
        Func<CancellationToken, ValueTask<ApiResult>> here, Func<string, CancellationToken, ValueTask<ApiResult>> there,
        CancellationToken cancellationToken)
    {
        if (log.Status.Leader is not { } leader || directory.NameOf(leader) is not { } name)
            return Outcome(ApiOutcome.NotApplied, "noLeader", "No leader is known: a majority of the voters is needed. Nothing was applied.");
        try
        {
            return name == self.Name ? await here(cancellationToken) : await there(name, cancellationToken);
        }
        catch (PeerUnreachableException lost)
        {
            return Outcome(ApiOutcome.Unknown, ProblemCodes.OutcomeUnknown, lost.Message) with { Help = LookHelp };
        }
        catch (OperationCanceledException)
        {
            return Outcome(ApiOutcome.Unknown, ProblemCodes.OutcomeUnknown, "The change did not end in time.") with { Help = LookHelp };
        }
    }

    private const string NoLeadText = "This node does not lead, or cannot confirm that it does. Nothing was applied.";
    private const string LookHelp = "Look: raftmirror raft peers. Asked for again, a change that was done is found done.";

    private async ValueTask<ApiResult> ChangeHereAsync(MemberRequest request, CancellationToken cancellationToken)
    {
        if (!await log.CatchUpAsync(cancellationToken)) return Outcome(ApiOutcome.NotApplied, "noLeader", NoLeadText);
        var status = log.Status;
        var member = Find(status, request.Name);
        if (request.Action == MemberActions.Add && member is not null) return AddedBefore(status, member, request);
        if (request.Peer is not null && status.Members.FirstOrDefault(other => other.Address == request.Peer && other.Id != member?.Id) is { } taken)
        {
            return Refuse("duplicateAddress", $"{request.Peer} is the address of '{NameOf(taken)}'. Nothing was applied.",
                "Give the address that the node itself listens on with --peer.");
        }

        if (request.Action != MemberActions.Add && member is null)
        {
            return Outcome(
                ApiOutcome.Rejected, "noSuchMember",
                $"No member is named '{request.Name}'; there are: {string.Join(", ", status.Members.Select(NameOf))}. Nothing was applied.") with
            {
                Rejection = RejectionKind.NotFound,
            };
        }

        if (request.Action is MemberActions.Remove or MemberActions.Demote
            && MembershipGuards.OfLeaving(status, member!, request.Action == MemberActions.Remove, feed.Current, NameOf, times.HorizonMsOf(feed.Current, request.Name)) is { } guard)
        {
            return guard;
        }

        if (IsDone(request, member)) return Done(status, member!, $"{request.Name} is so already.");
        var change = ChangeOf(request, member);
        if (request.DryRun)
            return Outcome(ApiOutcome.Checked, "ok", "Nothing stands against it; nothing was applied.");
        var refusal = await ApplyAsync(change, cancellationToken);
        return refusal is null ? await ReportAsync(request, member, cancellationToken) : Judge(request, refusal);
    }

    /// <summary>A change that still has to end is waited for: the caller asked for this one, not for a look at that one.</summary>
    private async Task<string?> ApplyAsync(MembershipChange change, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Pause);
        while (true)
        {
            var refusal = await log.ChangeMembersAsync(change, cancellationToken);
            var isBusy = refusal is not null && (refusal.Contains("under way", StringComparison.Ordinal)
                || refusal.Contains("own term yet", StringComparison.Ordinal) || refusal.Contains("handed over", StringComparison.Ordinal));
            if (!isBusy) return refusal;
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }

    private static MembershipChange ChangeOf(MemberRequest request, MemberStatus? member)
    {
        var id = member?.Id ?? default;
        var priority = (byte)(request.Priority ?? member?.Priority ?? Member.DefaultPriority);
        var action = request.Action switch
        {
            MemberActions.Add => MembershipAction.AddLearner,
            MemberActions.Promote => MembershipAction.Promote,
            MemberActions.Demote => MembershipAction.Demote,
            MemberActions.Remove => MembershipAction.Remove,
            _ => MembershipAction.Update,
        };
        return new MembershipChange(action, new Member(id, request.Name, request.Peer ?? member?.Address ?? "", priority));
    }

    private static bool IsDone(MemberRequest request, MemberStatus? member) => member is not null && request.Action switch
    {
        MemberActions.Promote => member.IsVoter,
        MemberActions.Demote => !member.IsVoter,
        MemberActions.Set => member.Address == (request.Peer ?? member.Address) && member.Priority == (request.Priority ?? member.Priority)
            && member.Name.Length > 0,
        _ => false,
    };

    private ApiResult AddedBefore(LogStatus status, MemberStatus member, MemberRequest request) => member.Address == request.Peer
        ? Done(status, member, $"{request.Name} is a member already.")
        : Refuse("memberExists", $"'{request.Name}' is a member already (number {member.Id}), at {member.Address}. Nothing was applied.",
            $"To move it: raftmirror raft set {request.Name} --address {request.Peer}. To replace it: raft remove {request.Name}, then add it anew.");

    private static ApiResult Judge(MemberRequest request, string refusal)
    {
        if (refusal.Contains("unknown", StringComparison.Ordinal))
            return Outcome(ApiOutcome.Unknown, ProblemCodes.OutcomeUnknown, Sentence(refusal)) with { Help = LookHelp };
        if (refusal.Contains("caught up", StringComparison.Ordinal) || refusal.Contains("does not answer", StringComparison.Ordinal))
        {
            return Refuse(
                "notCaughtUp", $"'{request.Name}' cannot vote yet: {refusal}. It stays a learner.",
                $"It must run and follow first; see raftmirror raft peers, then repeat.");
        }

        return refusal.Contains("does not lead", StringComparison.Ordinal) || refusal.Contains("no leader", StringComparison.Ordinal)
            ? Outcome(ApiOutcome.NotApplied, "noLeader", Sentence(refusal))
            : Refuse("membersRefused", $"{Sentence(refusal)} Nothing was applied.", null);
    }

    private async Task<ApiResult> ReportAsync(MemberRequest request, MemberStatus? before, CancellationToken cancellationToken)
    {
        // The engine shows the members anew a moment after the change is committed.
        var expected = request.Action;
        MemberStatus? member;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        do
        {
            var status = log.Status;
            member = Find(status, request.Name);
            var isShown = expected == MemberActions.Remove ? member is null || !status.IsLeader : member is not null && (expected == MemberActions.Add || IsDone(request, member));
            if (!isShown) continue;
            var voters = status.Members.Count(known => known.IsVoter);
            var text = expected switch
            {
                MemberActions.Add => $"{request.Name} is number {member!.Id}, a learner",
                MemberActions.Promote => $"{request.Name} votes; {Voters(voters)}",
                MemberActions.Demote => $"{request.Name} is a learner; {Voters(voters)}",
                MemberActions.Remove => $"{request.Name} (number {before!.Id}) has left; {Voters(voters)}",
                _ => $"{request.Name}: address {member!.Address}, priority {member.Priority}",
            };
            return Done(status, member ?? before!, text);
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
        return Outcome(ApiOutcome.Unknown, ProblemCodes.OutcomeUnknown, "The change was committed but is not to be seen yet.") with { Help = LookHelp };
    }

    private static string Voters(int count) => count == 2
        ? "2 voters: both are needed for every change, so add a third"
        : string.Create(CultureInfo.InvariantCulture, $"{count} {(count == 1 ? "voter" : "voters")}");

    private async ValueTask<ApiResult> JoinHereAsync(JoinRequest request, CancellationToken cancellationToken)
    {
        if (!await log.CatchUpAsync(cancellationToken)) return Outcome(ApiOutcome.NotApplied, "noLeader", NoLeadText);
        var status = log.Status;
        if (Find(status, request.Name) is null)
        {
            if (request.IsAdded)
            {
                return Refuse(
                    "notAdded", $"Cluster {clusterName} does not expect a node '{request.Name}', and its certificate must name the number that it will have.",
                    $"Add it first: raftmirror raft add {request.Name} --peer {request.Peer}. That tells the number.");
            }

            var added = await ChangeHereAsync(new MemberRequest(MemberActions.Add, request.Name, request.Peer), cancellationToken);
            if (added.Outcome != ApiOutcome.Applied) return added;
            status = log.Status;
        }

        if (Find(status, request.Name) is not { } member)
            return Outcome(ApiOutcome.NotApplied, "noLeader", "Leadership changed while the node was added.");
        return MembershipGuards.OfJoining(request, member, feed.Current) ?? new ApiResult
        {
            Outcome = ApiOutcome.Applied,
            Data = JsonSerializer.SerializeToElement(
                new JoinDocument(
                    clusterId, clusterName, member.Id.Value, feed.Current.Node(request.Name)?.Incarnation ?? 0,
                    [.. status.Members.Where(known => known.Address.Length > 0).Select(known => new JoinMember(NameOf(known), known.Id.Value, known.Address))]),
                ApiJson.Default.JoinDocument),
        };
    }

    private MemberStatus? Find(LogStatus status, string name) => status.Members.FirstOrDefault(member => NameOf(member) == name);

    private string NameOf(MemberStatus member) =>
        member.Name.Length > 0 ? member.Name : directory.NameOf(member.Id) ?? member.Id.ToString();

    private ApiResult Done(LogStatus status, MemberStatus member, string text) => new()
    {
        Outcome = ApiOutcome.Applied,
        Message = text,
        Index = status.Committed.Value,
        Data = JsonSerializer.SerializeToElement(
            new MemberReport(
                NameOf(member), member.Id.Value, member.Address, member.IsVoter, member.Priority,
                status.Members.Count(known => known.IsVoter), status.Members.Count),
            ApiJson.Default.MemberReport),
    };

    private static string Sentence(string text) => char.ToUpperInvariant(text[0]) + text[1..] + (text.EndsWith('.') ? "" : ".");

    private static ApiResult Refuse(string code, string message, string? help) => new()
    {
        Outcome = ApiOutcome.Rejected,
        Rejection = RejectionKind.Precondition,
        Code = code,
        Message = message,
        Help = help,
    };

    private static ApiResult Outcome(ApiOutcome outcome, string code, string message) =>
        new() { Outcome = outcome, Code = code, Message = message };
}
