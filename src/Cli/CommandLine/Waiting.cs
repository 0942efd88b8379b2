using System.Diagnostics;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;

namespace RaftMirror.Cli.CommandLine;

/// <summary>Waits for conditions on the cluster's status, woken by its events.</summary>
internal static class Waiting
{
    /// <summary>Figures such as a resync's progress are no events, so the status is read again at least this often.</summary>
    private static readonly TimeSpan LongestNap = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RetryPause = TimeSpan.FromMilliseconds(250);

    /// <summary>Reads the status until a condition holds or time is up. No leader for a while is part of waiting; an object that
    /// does not exist is not, unless the condition says so.</summary>
    public static async Task<(bool Holds, StatusDocument? Last, TimeSpan Waited)> UntilAsync(
        ApiClient client, TimeSpan timeout, Func<StatusDocument, bool> condition, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        StatusDocument? last = null;
        ApiException? unavailable = null;
        while (true)
        {
            try
            {
                last = await client.StatusAsync(null, null, stale: false, cancellationToken);
                unavailable = null;
                if (condition(last)) return (true, last, clock.Elapsed);
                var left = timeout - clock.Elapsed;
                if (left <= TimeSpan.Zero) return (false, last, clock.Elapsed);
                await client.EventsAsync(last.Index, left < LongestNap ? left : LongestNap, cancellationToken);
            }
            catch (ApiException failure) when (failure.Kind == ProblemKind.Unavailable)
            {
                unavailable = failure;
                if (clock.Elapsed + RetryPause >= timeout) break;
                await Task.Delay(RetryPause, cancellationToken);
            }
        }

        if (last is null) throw unavailable;
        return (false, last, clock.Elapsed);
    }
}
