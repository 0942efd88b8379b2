using Microsoft.Extensions.Logging;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Contracts;
using RaftMirror.Node.Peers;

namespace RaftMirror.Node.Hosting;

/// <summary>How a node comes to take part, and how it ceases to serve.</summary>
internal sealed partial class NodeRun
{
    private const string DefaultClusterName = "raftmirror";

    /// <summary>What the data directory says, or, at its very first start, the command line or the cluster that is joined.</summary>
    private static async Task<FirstStart> FirstStartAsync(NodeRunOptions options, CancellationToken cancellationToken)
    {
        if (FirstStart.Exists(options.DataDirectory)) return FirstStart.Load(options.DataDirectory);
        if (FirstStart.IsMissing(options.DataDirectory))
        {
            throw new InvalidDataException(
                $"{options.DataDirectory} has a node.json, so it is a node's, but its {FirstStart.FileName} is missing: restore it from a backup, or take the node out and add it anew with an empty directory.");
        }

        FirstStart first;
        if (options.Join.Count > 0) first = await Joining.AskAsync(options, cancellationToken);
        else if (options.Cluster.Count > 0)
        {
            first = FirstStart.OfCluster(
                options.ClusterName ?? DefaultClusterName,
                options.Cluster.ToDictionary(pair => pair.Key, pair => pair.Value.ToString(), StringComparer.Ordinal));
        }
        else throw new ArgumentException($"{options.DataDirectory} is no node's yet: --cluster makes a new cluster, --join enters a running one.");
        first.Save(options.DataDirectory);
        return first;
    }

    private bool IsBarred() => _standing.Barred is not null;

    /// <summary>The replicated state may know lives of this node that its directory does not remember. And a conflict may end.</summary>
    private async Task WatchLivesAsync(CancellationToken cancellationToken)
    {
        var found = _feed.WaitAsync(
            cluster => cluster.Node(_self.Name) is { Start.Length: > 0 } node && node.Id == _self.Id.Value
                && _raft.TestAgainst(node.Incarnation, node.Start),
            cancellationToken);
        await Task.WhenAny(found, _raft.ConflictEnded.WaitAsync(cancellationToken));
        if (_raft.ConflictEnded.IsCompleted) _ended.TrySetResult("all who contradicted this node's history have given theirs up");
        await found;
    }

    /// <summary>A node that diverged or left serves nothing from then on: no lease is asked for, clients go, I/O ends. It keeps running, to
    /// say why and to be seeded anew.</summary>
    private async Task WatchStandingAsync(CancellationToken cancellationToken)
    {
        await Task.WhenAny(_raft.CastOut, _raft.Diverged, _raft.Removed).WaitAsync(cancellationToken);
        if (_raft.CastOut.IsCompleted) SetOutcast(await _raft.CastOut);
        else if (_raft.Diverged.IsCompleted) _standing.Set(NodeStandings.Quarantined, (await _raft.Diverged).ToString());
        else _standing.Set(NodeStandings.Removed, await _raft.Removed);
        var bar = await _standing.WhenBarred;
        LogBarred(_logger, _self.Name, bar.Word, bar.Reason, bar.Help(_self.Name));
        var left = await _agents.EndAllAsync(StopLimit + StopLimit);
        LogOutOfService(_logger, left is null ? "nothing is left to be merged" : $"the others merge what is left: {left}");
        if (_raft.IsOutlived) _ended.TrySetResult("the others have seen a later start of this node, so it takes a later number to be heard");
    }

    private async Task<ApiResult> ReseedAsync(ReseedRequest request, CancellationToken cancellationToken)
    {
        NodeId? source = null;
        if (request.From is { } name && (source = _directory.IdOf(name)) is null)
            return Refused("noSuchMember", $"No member is named '{name}'. Nothing was changed.") with { Rejection = RejectionKind.NotFound };
        if (_raft.Quarantine is null && _raft.Outcast is null)
            return Refused("notQuarantined", $"'{_self.Name}' is not quarantined: its state is the majority's. Nothing was changed.");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(request.TimeoutMs);
        if (await _raft.ReseedAsync(source, limit.Token) is { } refusal)
        {
            return Refused("reseedRefused", $"'{_self.Name}' was not seeded anew: {refusal}.") with
            {
                Help = _raft.Outcast is null
                    ? "A snapshot is taken every so many entries; name another node with --from, or wait for the next one."
                    : "A majority of the others must be up; or name the node whose history counts with --from: what only others have is given up then.",
            };
        }

        _ended.TrySetResult($"the node was seeded anew ({_raft.Quarantine?.ToString() ?? _raft.Outcast?.Reason})");
        return new ApiResult { Outcome = ApiOutcome.Applied, Message = $"{_self.Name} has a new state and starts anew" };
    }

    private void SetOutcast(Outcast outcast) => _standing.Set(
        outcast.Kind == OutcastKind.Old ? NodeStandings.Outdated : NodeStandings.Conflicting, outcast.Reason);

    private static ApiResult Refused(string code, string message) =>
        new() { Outcome = ApiOutcome.Rejected, Rejection = RejectionKind.Precondition, Code = code, Message = message };

    [LoggerMessage(3014, LogLevel.Critical, "Node {Name} serves no more: it is {Word}: {Reason}. To do: {Help}")]
    private static partial void LogBarred(ILogger logger, string name, string word, string reason, string help);

    [LoggerMessage(3016, LogLevel.Warning, "The others dial this node at {Known}, but it listens at {Actual}; tell them: raftmirror raft set {Name} --address {Actual}")]
    private static partial void LogOtherAddress(ILogger logger, string known, string actual, string name);

    [LoggerMessage(3015, LogLevel.Warning, "The data plane has ended: {What}")]
    private static partial void LogOutOfService(ILogger logger, string what);
}
