using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Node;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Disks;

/// <summary>Asks the disks, before this node takes part in the log, what they know of it and its peers (design §14.24): they may be all that is left
/// of what was acknowledged. Bounded in time: a disk that is missing or hangs says nothing, and what it says when it is opened later still
/// counts. Any thread.</summary>
/// <param name="log">Whose part is waited for.</param>
/// <param name="feed">Names the disks, as far as this directory knows.</param>
/// <param name="disks">Reads them.</param>
/// <param name="logger">Log.</param>
internal sealed partial class DiskWitnesses(RaftNode log, StateFeed feed, NodeDisks disks, ILogger logger)
{
    /// <summary>A state that cannot be had in this time names no disks.</summary>
    private static readonly TimeSpan StateLimit = TimeSpan.FromSeconds(20);

    /// <summary>Longer than one disk is waited for.</summary>
    private static readonly TimeSpan DisksLimit = TimeSpan.FromSeconds(5);

    private readonly ConcurrentQueue<DiskWord> _words = new();
    private readonly LogOnce _damaged = new();
    private volatile bool _isAsking = true;

    /// <summary>Takes what is on a disk that was opened, whatever for.</summary>
    public void Heard(DiskWord word)
    {
        if (_isAsking) _words.Enqueue(word); // Together they tell better how old a directory is.
        else Tell([word], areAllAsked: false);
    }

    /// <summary>Asks all disks that the state knows; the node may take part afterwards.</summary>
    public async Task AskAsync(CancellationToken cancellationToken)
    {
        var (asked, silent) = (0, 0);
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(StateLimit);
            await log.WhenRecovered(limit.Token);
            limit.CancelAfter(DisksLimit);
            var state = feed.Current;
            var answers = await Task.WhenAll(state.Sets.Values.SelectMany(set => set.Disks.Values.Select(
                disk => disks.HasAnsweredAsync(state, set, disk, limit.Token))));
            (asked, silent) = (answers.Length, answers.Count(static answered => !answered));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time is up: what was heard counts.
        }
        catch (NoLeaderException)
        {
            return; // The node stops.
        }

        _isAsking = false;
        Tell(_words, areAllAsked: true);
        if (asked > 0) LogAsked(logger, asked, silent);
    }

    private void Tell(IEnumerable<DiskWord> words, bool areAllAsked)
    {
        foreach (var disk in log.DisksSaid(words, areAllAsked)) _damaged.Log(disk, "", () => LogDamaged(logger, disk));
    }

    [LoggerMessage(3530, LogLevel.Information, "Before it takes part this node asked {Asked} disks what they know of its data directory; {Silent} did not answer")]
    private static partial void LogAsked(ILogger logger, int asked, int silent);

    [LoggerMessage(3536, LogLevel.Warning, "What disk {Disk} tells of the log beside its stamp is damaged (checksum, length or format) and counts for nothing: by this disk nobody finds a data directory that was put back. The next stamp replaces it")]
    private static partial void LogDamaged(ILogger logger, string disk);
}
