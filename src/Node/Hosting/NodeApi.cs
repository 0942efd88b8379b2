using System.Text.Json;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;
using RaftMirror.ControlPlane.Snapshots;
using RaftMirror.Node.Clocks;
using RaftMirror.Node.Commands;
using RaftMirror.Node.Http;
using RaftMirror.Node.Membership;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;
using RaftMirror.Node.Status;
using RaftMirror.Node.Telemetry;

namespace RaftMirror.Node.Hosting;

/// <summary>What the HTTP API asks of this node. Any thread.</summary>
internal sealed partial class NodeApi(
    NodeIdentity self,
    RaftNode log,
    ControlPlaneMachine machine,
    StateFeed feed,
    CommandService commands,
    MembershipService members,
    PeerClient peers,
    NodeDirectory directory,
    ServiceBar standing,
    SpanRing spans,
    Func<NodeFigures> figures,
    Func<IReadOnlyList<string>> unready,
    Func<ReseedRequest, CancellationToken, Task<ApiResult>> reseed,
    LeaseOptions times,
    ClockService clocks) : INodeApi
{
    private static readonly TimeSpan FiguresLimit = TimeSpan.FromMilliseconds(750);

    /// <summary>For one that counts as gone: it may run all the same, with a full log, and say so; nobody waits long for the dead.</summary>
    private static readonly TimeSpan SilentLimit = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan SpansLimit = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public string Name => self.Name;

    /// <inheritdoc/>
    public ApiPosition Position
    {
        get
        {
            var status = log.Status;
            return new ApiPosition(feed.Current.Index, status.Epoch, LeaderOf(status));
        }
    }

    /// <summary>Sets the handlers of what other nodes ask for their users.</summary>
    public void Register()
    {
        peers.Handle(PeerMethods.Live, DaemonJson.Default.String, DaemonJson.Default.NodeFigures,
            (_, _, _) => ValueTask.FromResult(figures()));
        peers.Handle(PeerMethods.Spans, DaemonJson.Default.SpanQuery, DaemonJson.Default.SpanRecordArray,
            (_, query, _) => ValueTask.FromResult(spans.Read(query).ToArray()));
        peers.Handle(PeerMethods.RaftPeers, DaemonJson.Default.String, DaemonJson.Default.RaftPeersDocument,
            (_, _, _) => ValueTask.FromResult(OwnPeers()));
        peers.Handle(PeerMethods.Snapshots, DaemonJson.Default.String, DaemonJson.Default.RaftSnapshotArray,
            (_, _, _) => ValueTask.FromResult(OwnSnapshots()));
        peers.Handle(PeerMethods.Reseed, DaemonJson.Default.ReseedRequest, DaemonJson.Default.ApiResult,
            async (_, request, token) => await reseed(request, token));
        peers.Handle(PeerMethods.RaftTransfer, DaemonJson.Default.TransferRequest, DaemonJson.Default.ApiResult, TransferHereAsync);
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> UnreadyReasons() => unready();

    /// <inheritdoc/>
    public ValueTask<long> ReadRequestTimeAsync(CancellationToken cancellationToken) => clocks.RequestTimeAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<ApiResult> SubmitAsync(CommandRequest request, CancellationToken cancellationToken)
    {
        var result = await commands.SubmitAsync(request, cancellationToken);
        return result.Outcome == ApiOutcome.NotApplied && log.StartWait is { } wait ? result with { Message = $"{result.Message} On this node {wait}." } : result;
    }

    /// <inheritdoc/>
    public async ValueTask<StateView> ReadStateAsync(ReadConsistency consistency, CancellationToken cancellationToken)
    {
        if (consistency == ReadConsistency.Linearizable && standing.Barred is { } bar)
        {
            throw new NodeBarredException(
                bar.Code, $"Node '{self.Name}' is {bar.Word}: {bar.Reason}.",
                $"Ask another node, or see what this one last knew with --stale. To mend it: {bar.Help(self.Name)}.");
        }

        if (consistency == ReadConsistency.Linearizable) await ReadBarrierAsync(cancellationToken);
        var state = feed.Current;
        var status = log.Status;
        var live = await GatherAsync(state, cancellationToken);
        return new StateView(state, status.Epoch, LeaderOf(status), self.Name, consistency, live);
    }

    /// <summary>Where directories were put back that may be why nobody leads.</summary>
    private async ValueTask ReadBarrierAsync(CancellationToken cancellationToken)
    {
        try
        {
            await log.ReadBarrierAsync(cancellationToken);
        }
        catch (NoLeaderException lost) when ((LivesReport.Of(log, directory) ?? log.StartWait) is { } known)
        {
            throw new NoLeaderException($"{lost.Message} {known}", lost);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<EventPage> ReadEventsAsync(ulong since, int limit, TimeSpan wait, CancellationToken cancellationToken)
    {
        var page = Page(since, limit);
        if (page.Events.Count > 0 || wait <= TimeSpan.Zero) return page;
        using var time = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        time.CancelAfter(wait);
        try
        {
            while (page.Events.Count == 0)
            {
                var seen = feed.Current.Index;
                page = Page(since, limit);
                if (page.Events.Count == 0) await feed.WaitAsync(state => state.Index > seen, time.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Nothing happened: an empty page.
        }

        return page;
    }

    /// <inheritdoc/>
    public async ValueTask<ApiResult> TransferLeadershipAsync(string? to, CancellationToken cancellationToken)
    {
        if (LeaderOf(log.Status) is not { } leader)
            return Outcome(ApiOutcome.NotApplied, "noLeader", "No leader is known, so none can hand over. Nothing was applied.");
        var request = new TransferRequest(to, 10_000);
        if (leader == self.Name) return await TransferHereAsync(self.Name, request, cancellationToken);
        try
        {
            return await peers.CallAsync(
                leader,
                PeerMethods.RaftTransfer,
                request,
                DaemonJson.Default.TransferRequest,
                DaemonJson.Default.ApiResult,
                TimeSpan.FromSeconds(12),
                cancellationToken);
        }
        catch (PeerUnreachableException lost)
        {
            return Outcome(ApiOutcome.Unknown, "outcomeUnknown", lost.Message);
        }
    }

    /// <inheritdoc/>
    public ValueTask<SpanPage> ReadSpansAsync(SpanQuery query, CancellationToken cancellationToken) => TraceFanIn.ReadAsync(
        query,
        [.. directory.Names.Select(node => (node, Reader(node)))],
        SpansLimit,
        cancellationToken);

    private static ApiResult Outcome(ApiOutcome outcome, string code, string message) =>
        new() { Outcome = outcome, Code = code, Message = message };

    private string? LeaderOf(LogStatus status) => status.Leader is { } id ? directory.NameOf(id) : null;

    private Func<SpanQuery, CancellationToken, ValueTask<IReadOnlyList<SpanRecord>>> Reader(string node) => async (query, token) =>
        node == self.Name
            ? spans.Read(query)
            : await peers.CallAsync(
                node, PeerMethods.Spans, query, DaemonJson.Default.SpanQuery, DaemonJson.Default.SpanRecordArray, SpansLimit, token);

    private EventPage Page(ulong since, int limit)
    {
        var records = machine.History.Read(since, int.MaxValue, out var goneThrough);
        var count = Math.Min(limit, records.Count);
        while (count > 0 && count < records.Count && records[count].Index == records[count - 1].Index) count++; // Whole indices.
        var lines = records.Take(count)
            .Select(record => JsonSerializer.Deserialize(EventJson.Encode(record), DaemonJson.Default.JsonElement))
            .ToList();
        return new EventPage(lines, count > 0 ? records[count - 1].Index : since, goneThrough + 1);
    }

    private async ValueTask<ApiResult> TransferHereAsync(string from, TransferRequest request, CancellationToken cancellationToken)
    {
        NodeId? target = null;
        if (request.To is { } name)
        {
            target = directory.IdOf(name);
            if (target is null)
            {
                return Outcome(ApiOutcome.Rejected, "noSuchNode", $"There is no node '{name}'. Nothing was applied.") with
                {
                    Rejection = RejectionKind.NotFound,
                };
            }
        }

        if (request.To is { } wanted && clocks.Verdict is { } verdict && verdict.Off.Contains(wanted))
        {
            return Outcome(
                ApiOutcome.Rejected, "clockWrong",
                $"The clock of '{wanted}' is {ClockTexts.Distance(verdict.Ahead[wanted])} a majority of the voters': it does not lead. Nothing was changed.") with
            {
                Rejection = RejectionKind.Precondition,
                Help = ClockTexts.Help(wanted),
            };
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(request.TimeoutMs);
        try
        {
            var refusal = await log.TransferLeadershipAsync(target, limit.Token);
            return refusal is null
                ? Outcome(ApiOutcome.Applied, "ok", "Leadership was handed over.")
                : Outcome(ApiOutcome.Rejected, "transferRefused", refusal);
        }
        catch (OperationCanceledException)
        {
            return Outcome(ApiOutcome.Unknown, "outcomeUnknown", "The transfer did not end in time; see raft peers.");
        }
    }
}

/// <summary>One volume's figures from those of all nodes. Pure.</summary>
internal static class LiveVolumes
{
    /// <summary>Open regions and clients add up; what is owed and the resync are the owner's to tell.</summary>
    public static Dictionary<string, VolumeLive> Sum(ClusterState state, IEnumerable<NodeFigures> nodes)
    {
        var volumes = new Dictionary<string, VolumeLive>(StringComparer.Ordinal);
        foreach (var node in nodes)
        {
            foreach (var volume in node.Volumes)
            {
                var soFar = volumes.GetValueOrDefault(volume.Name) ?? new VolumeLive(0, null, 0, null);
                var parts = volume.Name.Split('/');
                var isOwner = state.Volume(parts[0], parts[1])?.Owner.Node == node.Node;
                volumes[volume.Name] = new VolumeLive(
                    soFar.OpenRegions + volume.OpenRegions,
                    isOwner ? volume.StaleRegions : soFar.StaleRegions,
                    soFar.Clients + volume.Clients,
                    isOwner && volume.Resync is { } resync
                        ? new ResyncLive(
                            resync.Kind, resync.DoneBytes, resync.TotalBytes, resync.BytesPerSecond > 0 ? resync.BytesPerSecond : null, null)
                        : soFar.Resync)
                {
                    Full = soFar.Full ?? volume.Full,
                    Held = volume.Held is { } held && held.AgeMs > (soFar.Held?.AgeMs ?? -1)
                        ? new HoldLive(node.Node, held.Reason, held.On, held.AgeMs, held.Requests)
                        : soFar.Held,
                    Wait = volume.Wait is { } wait && wait.AgeMs > (soFar.Wait?.AgeMs ?? -1)
                        ? new WaitLive(node.Node, wait.Leg, wait.Disk, wait.AgeMs, wait.Requests)
                        : soFar.Wait,
                };
            }
        }

        return volumes;
    }
}
