using RaftMirror.Consensus;

namespace RaftMirror.Node.State;

/// <summary>A leader's part in each request: what it refuses, and what it does to disks before the commit, must rest on a state that is no older than
/// the request. One that was followed by another without knowing it has nothing to say.</summary>
internal static class LeaderBarrier
{
    /// <summary>Applies what is committed by now.</summary>
    /// <returns>False if this node does not lead, or cannot confirm it.</returns>
    public static async ValueTask<bool> CatchUpAsync(this IReplicatedLog log, CancellationToken cancellationToken)
    {
        if (!log.Status.IsLeader) return false;
        try
        {
            await log.ReadBarrierAsync(cancellationToken);
        }
        catch (NoLeaderException)
        {
            return false;
        }

        return log.Status.IsLeader;
    }
}
