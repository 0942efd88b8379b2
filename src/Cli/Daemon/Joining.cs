using System.Globalization;
using RaftMirror.Cli.Api;
using RaftMirror.Cli.Client;
using RaftMirror.Cli.Commands;

namespace RaftMirror.Cli.Daemon;

/// <summary>How a node enters a running cluster: it asks a running node who takes part and which number it was given itself.</summary>
internal static class Joining
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>Asks until a node answers that knows a leader, for half a minute.</summary>
    /// <exception cref="CliFailure">Nobody answered, or the cluster does not expect this node at this address.</exception>
    public static async Task<FirstStart> AskAsync(
        string name, HostPort peer, IReadOnlyList<NodeAddress> nodes, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(nodes, Limit);
        var until = DateTime.UtcNow + Limit;
        while (true)
        {
            CliFailure failure;
            try
            {
                var peers = await client.PeersAsync(cancellationToken);
                if (peers.Leader is not null) return Judge(name, peer, peers);
                failure = CliFailure.Unreachable(
                    $"Node {peers.AnsweredBy} knows no leader, so the members it knows may be out of date.", "Start or reach a majority of the nodes.");
            }
            catch (CliFailure unavailable) when (unavailable.ExitCode == ExitCode.Unavailable)
            {
                failure = unavailable;
            }

            if (DateTime.UtcNow >= until) throw failure;
            await Task.Delay(Pause, cancellationToken);
        }
    }

    /// <summary>What a first start needs of the answer.</summary>
    internal static FirstStart Judge(string name, HostPort peer, RaftPeersDocument cluster)
    {
        if (cluster.ClusterId is not { } id || cluster.ClusterName is not { } clusterName)
            throw Refused($"Node {cluster.AnsweredBy} does not tell its cluster's id: it is of an earlier version.", "Upgrade it first.");
        var self = cluster.Peers.FirstOrDefault(member => member.Name == name);
        if (self is null)
        {
            throw Refused(
                $"Cluster {clusterName} ({string.Join(", ", cluster.Peers.Select(member => member.Name))}) does not expect a node '{name}'.",
                $"Add it first: raftmirror raft add {name}={peer} --node (one of the cluster's)");
        }

        if (self.Address != peer.ToString())
        {
            throw Refused(
                string.Create(CultureInfo.InvariantCulture, $"The cluster expects '{name}' (number {self.Id}) at {self.Address}, but --peer is {peer}."),
                $"Start it with --peer {self.Address}, or change the cluster's mind: raftmirror raft set {name} --address {peer}");
        }

        return new FirstStart(
            clusterName, id, [.. cluster.Peers.Where(member => member.Address.Length > 0).Select(member => new FirstMember(member.Name, member.Id, member.Address))]);
    }

    private static CliFailure Refused(string what, string help) => new(ExitCode.Refused, new Problem
    {
        Title = "The node cannot join",
        Status = 409,
        Detail = what,
        Code = "cannotJoin",
        Applied = "no",
        Help = help,
    });
}
