using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Clocks;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Peers;
using RaftMirror.Node.Status;

namespace RaftMirror.Node.Hosting;

/// <summary>The replicated log and its members.</summary>
internal sealed partial class NodeApi
{
    /// <inheritdoc/>
    public ValueTask<ApiResult> ChangeMembersAsync(MemberRequest request, CancellationToken cancellationToken) =>
        members.ChangeAsync(request, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<ApiResult> JoinAsync(JoinRequest request, CancellationToken cancellationToken) =>
        members.JoinAsync(request, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask<ApiResult> ReseedAsync(ReseedBody request, CancellationToken cancellationToken)
    {
        if (directory.IdOf(request.Node) is null)
        {
            return Outcome(ApiOutcome.Rejected, "noSuchMember", $"No member is named '{request.Node}'. Nothing was changed.") with
            {
                Rejection = RejectionKind.NotFound,
            };
        }

        var order = new ReseedRequest(request.From, request.TimeoutMs);
        if (request.Node == self.Name) return await reseed(order, cancellationToken);
        try
        {
            return await peers.CallAsync(
                request.Node, PeerMethods.Reseed, order, DaemonJson.Default.ReseedRequest, DaemonJson.Default.ApiResult,
                TimeSpan.FromMilliseconds(request.TimeoutMs), cancellationToken);
        }
        catch (PeerUnreachableException lost)
        {
            return Outcome(ApiOutcome.Unknown, ProblemCodes.OutcomeUnknown, lost.Message) with
            {
                Help = $"See raftmirror raft peers: {request.Node} is a member in good standing again if it was done. Asking again is harmless.",
            };
        }
    }

    /// <inheritdoc/>
    public async ValueTask<RaftLogDocument> ReadRaftLogAsync(ulong from, int count, CancellationToken cancellationToken)
    {
        var view = await log.ReadLogAsync(from, count, cancellationToken);
        return new RaftLogDocument(
            self.Name, view.First, view.Last, view.Committed, [.. view.Entries.Select(entry => LogEntries.Shown(entry, view.Committed, id => directory.NameOf(new NodeId(id))))]);
    }

    /// <inheritdoc/>
    public async ValueTask<RaftSnapshotsDocument> ReadSnapshotsAsync(CancellationToken cancellationToken)
    {
        var found = await Task.WhenAll(directory.Names.Select(async node =>
        {
            if (node == self.Name) return OwnSnapshots();
            try
            {
                return await peers.CallAsync(
                    node, PeerMethods.Snapshots, "", DaemonJson.Default.String, DaemonJson.Default.RaftSnapshotArray, FiguresLimit, cancellationToken);
            }
            catch (PeerUnreachableException)
            {
                return []; // Not among those that answered.
            }
        }));
        return new RaftSnapshotsDocument(self.Name, [.. found.SelectMany(snapshots => snapshots)]);
    }

    /// <inheritdoc/>
    public async ValueTask<RaftPeersDocument> ReadRaftPeersAsync(CancellationToken cancellationToken)
    {
        var document = await AskPeersAsync(cancellationToken);
        var answers = await Task.WhenAll(document.Peers.Select(peer => FiguresOfAsync(peer.Name, IsWorthAsking(peer) ? FiguresLimit : null, cancellationToken)));
        return document with { Peers = [.. document.Peers.Zip(answers, WithStanding)] };
    }

    /// <summary>The leader hears nothing of a node that takes no part, which yet may be there to say why.</summary>
    private static bool IsWorthAsking(RaftPeer peer) => peer.Active != false || peer.Standing is not null;

    private static RaftPeer WithStanding(RaftPeer peer, NodeFigures? answer) => answer is null
        ? peer
        : peer with { Standing = answer.Barred?.Word ?? NodeStandings.Member, Reason = answer.Barred?.Reason };

    private async ValueTask<RaftPeersDocument> AskPeersAsync(CancellationToken cancellationToken)
    {
        if (LeaderOf(log.Status) is not { } leader || leader == self.Name) return OwnPeers();
        try
        {
            return await peers.CallAsync(
                leader,
                PeerMethods.RaftPeers,
                "",
                DaemonJson.Default.String,
                DaemonJson.Default.RaftPeersDocument,
                SpansLimit,
                cancellationToken);
        }
        catch (PeerUnreachableException)
        {
            return OwnPeers(); // It shows what this node knows: no match figures.
        }
    }

    private RaftPeersDocument OwnPeers()
    {
        var status = log.Status;
        var verdict = clocks.Verdict;
        return new RaftPeersDocument(
            self.Name,
            LeaderOf(status),
            status.Epoch,
            status.Committed.Value,
            status.Applied.Value,
            [.. status.Members.Select(member => new RaftPeer(
                directory.NameOf(member.Id) ?? member.Id.ToString(),
                member.Id.Value,
                member.Address,
                member.Id == status.Leader ? "leader" : member.IsVoter ? "follower" : "learner",
                member.IsVoter,
                status.IsLeader ? member.Match : null,
                status.IsLeader ? status.Last.Value - Math.Min(status.Last.Value, member.Match) : null,
                status.IsLeader ? member.IsRecentlyActive : null)
            {
                Priority = member.Priority,
                ClockAheadMs = AheadOf(verdict, directory.NameOf(member.Id)),
                ClockWrong = directory.NameOf(member.Id) is { } name && verdict.Off.Contains(name),
                Standing = log.RefusedPeers.ContainsKey(member.Id) ? NodeStandings.Outdated : null,
                Reason = log.RefusedPeers.GetValueOrDefault(member.Id),
            })])
        {
            ClusterName = log.ClusterName,
            ClusterId = log.ClusterId,
            Changing = log.IsChangingMembers,
            ClocksApart = verdict.AreApart,
        };
    }

    private static long? AheadOf(ClockVerdict verdict, string? node) =>
        node is not null && verdict.Ahead.TryGetValue(node, out var ahead) ? ahead : null;

    private RaftSnapshot[] OwnSnapshots() => [.. log.Snapshots.Select(snapshot => new RaftSnapshot(self.Name, snapshot.Index, snapshot.Term))];

    /// <summary>What another node says of itself; null if it does not answer.</summary>
    public Task<NodeFigures?> AskFiguresAsync(string node, CancellationToken cancellationToken) => FiguresOfAsync(node, FiguresLimit, cancellationToken);

    /// <summary>What a node tells of itself; null if it did not answer in time, or is not asked because it is no member.</summary>
    private async Task<NodeFigures?> FiguresOfAsync(string node, TimeSpan? limit, CancellationToken cancellationToken)
    {
        if (node == self.Name) return figures();
        if (limit is null) return null;
        try
        {
            return await peers.CallAsync(
                node, PeerMethods.Live, "", DaemonJson.Default.String, DaemonJson.Default.NodeFigures, limit.Value, cancellationToken);
        }
        catch (PeerUnreachableException)
        {
            return null; // Shown as unknown.
        }
    }

    private async Task<LiveFigures> GatherAsync(ClusterState state, CancellationToken cancellationToken)
    {
        var document = await AskPeersAsync(cancellationToken);
        var known = document.Peers.ToDictionary(peer => peer.Name, StringComparer.Ordinal);
        var asked = state.Nodes.Keys.Union(known.Keys, StringComparer.Ordinal).ToList();
        var answers = await Task.WhenAll(asked.Select(node => FiguresOfAsync(
            node,
            !known.TryGetValue(node, out var peer) ? null
                : state.Node(node) is { IsLive: true } || peer.Active == true || peer.Standing is not null ? FiguresLimit : SilentLimit,
            cancellationToken)));
        var nodes = new Dictionary<string, NodeLive>(StringComparer.Ordinal);
        foreach (var (node, answer) in asked.Zip(answers))
        {
            var peer = known.GetValueOrDefault(node);
            var standing = document.Peers.Count == 0 ? null
                : peer is null ? NodeStandings.Removed
                : answer is null ? peer.Standing : answer.Barred?.Word ?? NodeStandings.Member;
            nodes[node] = new NodeLive(peer?.Voter ?? false, peer?.LagEntries, answer?.NbdClients)
            {
                Role = peer?.Role,
                Standing = standing,
                Reason = answer?.Barred?.Reason ?? peer?.Reason,
                ClockAheadMs = peer?.ClockAheadMs,
                ClockWrong = peer?.ClockWrong ?? false,
                Causes = answer?.Causes ?? [],
                Unheard = answer?.Unheard ?? [],
            };
        }

        return new LiveFigures(nodes, LiveVolumes.Sum(state, answers.OfType<NodeFigures>()), (int)times.HorizonMs)
        {
            ClocksApart = document.ClocksApart,
            Lease = times,
            Disks = answers.OfType<NodeFigures>()
                .SelectMany(node => node.Disks.Select(disk => (disk.Name, Live: new DiskLive(node.Node, disk.OldestMs, disk.Calls, disk.Phase)
                {
                    GrownToBytes = disk.GrownToBytes,
                    IsPathGone = disk.IsPathGone,
                })))
                .GroupBy(item => item.Name, StringComparer.Ordinal)
                .ToDictionary(group => group.Key, group => (IReadOnlyList<DiskLive>)[.. group.Select(item => item.Live)], StringComparer.Ordinal),
        };
    }
}
