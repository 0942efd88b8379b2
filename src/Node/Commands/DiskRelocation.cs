using System.Collections.Immutable;
using RaftMirror.Consensus;
using RaftMirror.Contracts;
using RaftMirror.ControlPlane.Commands;
using RaftMirror.ControlPlane.Model;
using RaftMirror.Node.Peers;

namespace RaftMirror.Node.Commands;

/// <summary>The leader's part of <c>disk set --path</c>: each live node that is to look elsewhere must find the disk there, by its label.
/// A node that is down is not asked unless it is named: it finds out when it starts.</summary>
internal sealed class DiskRelocation(PeerClient peers)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>Asks the nodes concerned.</summary>
    /// <returns>The command with its evidence, or the refusal; what each node said in any case.</returns>
    public async Task<(SetDiskPath Body, IReadOnlyList<NodeAnswer> Answers, ApiResult? Refusal)> AdmitAsync(
        ClusterState state, SetDiskPath move, CancellationToken cancellationToken)
    {
        if (state.Set(move.Set) is not { } set || set.Disks.GetValueOrDefault(move.Disk) is not { } disk) return (move, [], null); // Decided as it is.
        var (path, paths) = move.Of(disk);
        var nodes = move.Concerned(set, disk).Where(node => state.Node(node) is { IsLive: true } || move.Paths.ContainsKey(node)).ToList();
        var answers = await Task.WhenAll(nodes.Select(
            node => AskAsync(state, set, disk, node, paths.GetValueOrDefault(node, path), cancellationToken)));
        var admitted = move with
        {
            Evidence = nodes.Select(state.Node).OfType<NodeState>().Where(static node => node.IsLive)
                .ToImmutableSortedDictionary(static node => node.Name, static node => node.Incarnation, StringComparer.Ordinal),
        };
        if (answers.All(static answer => answer.Ok)) return (admitted, answers, null);
        return (admitted, answers, new ApiResult
        {
            Outcome = ApiOutcome.Rejected,
            Rejection = RejectionKind.Precondition,
            Code = "diskRefused",
            Message = $"Not every node finds '{move.Set}/{move.Disk}' under the path given. Nothing was applied.",
            Help = "Give the path of each node on which it differs: --path NODE=PATH,…",
            Details = answers,
        });
    }

    private async Task<NodeAnswer> AskAsync(
        ClusterState state, SetState set, DiskState disk, string node, string path, CancellationToken cancellationToken)
    {
        if (state.Node(node) is not { IsLive: true }) return new NodeAnswer(node, false, "is not up, so it cannot look: start it first");
        var request = new DiskRequest(
            set.Name, set.Id, state.Id, disk.Id, path, disk.IsDirectIo, set.MetadataBytes, set.MaxNodes, set.Generation, DiskStep.Recognize, 0, default, 0);
        try
        {
            var reply = await peers.CallAsync(
                node, PeerMethods.CheckDisk, request, DaemonJson.Default.DiskRequest, DaemonJson.Default.DiskReply, Limit, cancellationToken);
            return reply.IsOk && reply.SizeBytes < disk.SizeBytes
                ? new NodeAnswer(node, false, $"{path} has {reply.SizeBytes} bytes, the disk was added with {disk.SizeBytes}")
                : new NodeAnswer(node, reply.IsOk, reply.Message);
        }
        catch (PeerUnreachableException lost)
        {
            return new NodeAnswer(node, false, lost.Message);
        }
    }
}
