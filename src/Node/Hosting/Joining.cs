using System.Diagnostics;
using System.Text.Json;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;
using RaftMirror.Node.Peers;

namespace RaftMirror.Node.Hosting;

/// <summary>How a node without a data directory enters a running cluster: any node of it is asked, and tells who takes part and which number
/// the new one has been given. It is added as a learner if an operator has not added it before.</summary>
internal static class Joining
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>Asks until a node answers that reaches a leader, for half a minute.</summary>
    /// <param name="options">Of the node.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="ApiException">Nobody answered, or the cluster does not take this node.</exception>
    public static async Task<FirstStart> AskAsync(NodeRunOptions options, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(options.Join, Limit);
        var request = new JoinRequest(options.Name, options.Peer.ToString(), IsAdded: options.PeerTls is not null);
        var clock = Stopwatch.StartNew(); // A wall clock may be set meanwhile, at this very start.
        while (true)
        {
            try
            {
                var result = await client.JoinAsync(request, cancellationToken);
                return Of(result.Data?.Deserialize(ApiJson.Default.JoinDocument) ?? throw new JsonException("The node asked tells nothing of its cluster."));
            }
            catch (ApiException unavailable) when (unavailable.Kind is ProblemKind.Unavailable or ProblemKind.OutcomeUnknown && clock.Elapsed < Limit)
            {
                await Task.Delay(Pause, cancellationToken);
            }
        }
    }

    /// <summary>What is kept of the answer.</summary>
    internal static FirstStart Of(JoinDocument joined) => new(
        joined.ClusterName, joined.ClusterId, [.. joined.Members.Select(member => new FirstMember(member.Name, member.Id, member.Peer))],
        joined.AfterIncarnation);
}
