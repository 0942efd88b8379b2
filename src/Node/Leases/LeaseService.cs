using System.Text.RegularExpressions;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.DataPlane.Leases.Core;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Primitives;

namespace RaftMirror.Node.Leases;

/// <summary>Both sides of leases on one node: asks the leader for this node's lease, and grants leases while it is the leader. The
/// decisions are <see cref="LeaseGrantor"/>'s and the data plane's; this shell brings clocks and messages.</summary>
/// <remarks>Safety of a grant (design §14.3): the renewal has arrived, then a quorum round confirms this leader, then the grant is
/// decided. A later leader counts its horizon from its own election, which is after that round and so after the moment the
/// node sent the renewal, where the lease begins.</remarks>
internal sealed partial class LeaseService(
    NodeIdentity self,
    LeaseOptions times,
    IReplicatedLog log,
    StateFeed feed,
    PeerClient peers,
    NodeDirectory directory,
    Func<LeaseProposal, CancellationToken, Task<CommandResult?>> proposeAsLeader,
    Action<LeaseGrant> granted,
    Func<bool> isBarred,
    Func<IReadOnlyList<string>> unheard,
    ILogger logger)
{
    private const string Lease = "lease";

    private readonly Lock _gate = new();
    private readonly LogOnce _once = new();
    private readonly Channel<bool> _wanted = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly LeaseGrantor _grantor = new(times, self.Name);
    private ulong _leadingTerm; // 0: not leading. Under _gate, like the grantor.

    /// <summary>A lease that begins from now on is wanted at once: one renewal more, however many ask meanwhile. Any thread.</summary>
    public void RenewNow() => _wanted.Writer.TryWrite(true); // One that has not begun yet will do for this caller too.

    /// <summary>Sets the leader's handler.</summary>
    public void Register() =>
        peers.Handle(PeerMethods.RenewLease, DaemonJson.Default.RenewRequest, DaemonJson.Default.RenewReply, AnswerRenewalAsync);

    /// <summary>Runs both sides until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        log.StatusChanged += FollowLeadership;
        try
        {
            FollowLeadership(log.Status);
            await Task.WhenAll(RenewAsync(cancellationToken), RenewOnDemandAsync(cancellationToken), WatchAsync(cancellationToken));
        }
        finally
        {
            log.StatusChanged -= FollowLeadership;
        }
    }

    private static long NowMs() => Linux.BootTimeNanoseconds() / 1_000_000;

    private void FollowLeadership(LogStatus status)
    {
        lock (_gate)
        {
            var leads = status.IsLeader ? status.Epoch : 0;
            if (leads == _leadingTerm) return;
            if (_leadingTerm != 0) _grantor.LeadershipLost();
            if (leads != 0) _grantor.LeadershipGained(NowMs(), leads);
            _leadingTerm = leads;
        }
    }

    /// <summary>The node's side: a renewal every so often, each carrying the moment it was sent.</summary>
    private async Task RenewAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(times.RenewMs));
        var inFlight = new List<Task>();
        do
        {
            inFlight.RemoveAll(task => task.IsCompleted);
            // A renewal that hangs must not hold up the next: the leader may have changed. Bounded by their time-out.
            if (LeaderToAsk() is { } name) inFlight.Add(RenewOnceAsync(name, cancellationToken));
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>Between two regular renewals: for those who wait for a lease that begins after they came. One at a time.</summary>
    private async Task RenewOnDemandAsync(CancellationToken cancellationToken)
    {
        await foreach (var _ in _wanted.Reader.ReadAllAsync(cancellationToken))
        {
            if (LeaderToAsk() is { } name) await RenewOnceAsync(name, cancellationToken);
        }
    }

    private string? LeaderToAsk() => !isBarred() && log.Status.Leader is { } leader ? directory.NameOf(leader) : null;

    private async Task RenewOnceAsync(string leader, CancellationToken cancellationToken)
    {
        var sentNs = Linux.BootTimeNanoseconds();
        try
        {
            var reply = await peers.CallAsync(
                leader,
                PeerMethods.RenewLease,
                new RenewRequest(self.Name, self.Incarnation, unheard(), feed.Current.Index),
                DaemonJson.Default.RenewRequest,
                DaemonJson.Default.RenewReply,
                TimeSpan.FromMilliseconds(times.LeaseMs),
                cancellationToken);
            if (!reply.IsGranted)
            {
                var reason = reply.Reason ?? "no reason given";
                LogOnceAt(leader, reason, () => LogRefused(logger, leader, reason));
                return;
            }

            _once.Over(Lease);
            granted(new LeaseGrant(sentNs, reply.LengthMs * 1_000_000, reply.MinIndex, reply.Epoch, reply.Incarnation));
        }
        catch (PeerUnreachableException unreachable)
        {
            LogOnceAt(leader, unreachable.Message, () => LogUnreachable(logger, leader, unreachable.Message));
        }
        catch (OperationCanceledException)
        {
            // The node stops; its lease runs out.
        }
    }

    /// <summary>A reason in which only a number has grown is the same reason; another leader's is not, though its name may differ by a digit.</summary>
    private void LogOnceAt(string leader, string reason, Action log) => _once.Log(Lease, $"{leader}: {Numbers().Replace(reason, "#")}", log);

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Numbers();

    private async ValueTask<RenewReply> AnswerRenewalAsync(string from, RenewRequest request, CancellationToken cancellationToken)
    {
        if (from != request.Node) return Refused($"Node '{from}' asked for the lease of '{request.Node}'.");
        var before = log.Status;
        if (!before.IsLeader) return Refused("This node does not lead.");
        try
        {
            await log.ReadBarrierAsync(cancellationToken); // Begins after the renewal arrived; see the remarks.
        }
        catch (NoLeaderException lost)
        {
            return Refused(lost.Message);
        }

        FollowLeadership(log.Status);
        lock (_gate)
        {
            var after = log.Status;
            if (!after.IsLeader || after.Epoch != before.Epoch || _leadingTerm != after.Epoch) return Refused("Leadership has changed.");
            var answer = _grantor.Renew(request.Node, request.Incarnation, NowMs(), feed.Current, request.Unheard, request.Enacted);
            return new RenewReply(
                answer.IsGranted,
                answer.LengthMs,
                answer.MinIndex,
                answer.MembershipEpoch,
                answer.Incarnation,
                answer.HorizonMs,
                answer.Reason);
        }
    }

    private RenewReply Refused(string reason) => new(false, 0, 0, 0, 0, times.HorizonMs, reason);

    /// <summary>The leader's side: suspects who is silent, fences who is gone.</summary>
    private async Task WatchAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(Math.Max(20, times.RenewMs / 5)));
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            IReadOnlyList<LeaseProposal> proposals;
            lock (_gate)
            {
                if (_leadingTerm == 0) continue;
                proposals = _grantor.Tick(NowMs(), feed.Current);
            }

            // Each is judged anew at the next tick if it did not come through.
            foreach (var proposal in proposals)
            {
                var result = await proposeAsLeader(proposal, cancellationToken);
                LogProposed(logger, proposal.Body.ToString(), result?.Code ?? "not committed");
            }
        }
    }

    [LoggerMessage(3031, LogLevel.Information, "Lease refused by {Leader}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string leader, string reason);

    [LoggerMessage(3032, LogLevel.Warning, "No lease from {Leader}: {Reason}")]
    private static partial void LogUnreachable(ILogger logger, string leader, string reason);

    [LoggerMessage(3033, LogLevel.Warning, "Membership: {Proposal}: {Result}")]
    private static partial void LogProposed(ILogger logger, string proposal, string result);
}
