using RaftMirror.Consensus;
using RaftMirror.Node.Peers;
using RaftMirror.Node.State;

namespace RaftMirror.Node.Disks;

/// <summary>Carries out the steps of <c>disk add</c> on this node, one at a time per disk, and none of a leader that has been followed by another.
/// Before a step that writes, the committed state is asked: a disk that it has is in use, and is neither stamped nor put back. Any thread.</summary>
/// <remarks>Two tries of one request may be under way, at a former leader and at its successor, or twice at one. The newer one looks before it
/// writes, which waits here for what the older one has begun and ends what it has not. So whatever is committed of the newer one stands.</remarks>
/// <param name="readBarrier">Ends when this node has applied what was committed when it was called.</param>
/// <param name="feed">Applied states.</param>
/// <param name="term">Newest term that this node knows.</param>
/// <param name="run">Does a step. Blocks.</param>
internal sealed class DiskSteps(
    Func<CancellationToken, Task> readBarrier, StateFeed feed, Func<ulong> term, Func<DiskRequest, DiskReply> run)
{
    private static readonly TimeSpan BarrierLimit = TimeSpan.FromSeconds(5);

    private readonly Turns<Guid> _turns = new();
    private ulong _newestTerm;

    /// <summary>A leader's request.</summary>
    /// <returns>What came of it; it goes on when the caller gives up, since it may hang in the kernel.</returns>
    public async ValueTask<DiskReply> RunAsync(DiskRequest request, CancellationToken cancellationToken)
    {
        if (request.Step == DiskStep.Recognize) return await Task.Run(() => run(request), cancellationToken).WaitAsync(cancellationToken);
        if (IsOutdated(request)) return Refuse("a newer leader adds the disk, or another");
        var turn = await _turns.TakeAsync(request.DiskId, cancellationToken);
        return await Task.Run(() => RunInTurnAsync(request, turn), CancellationToken.None).WaitAsync(cancellationToken);
    }

    private async Task<DiskReply> RunInTurnAsync(DiskRequest request, IDisposable turn)
    {
        using (turn)
        {
            if (request.Step is DiskStep.Stamp or DiskStep.Label or DiskStep.Restore && await RefuseToWriteAsync(request) is { } refusal) return Refuse(refusal);
            return IsOutdated(request) ? Refuse("a newer leader adds the disk, or another") : run(request);
        }
    }

    private async Task<string?> RefuseToWriteAsync(DiskRequest request)
    {
        try
        {
            using var limit = new CancellationTokenSource(BarrierLimit);
            await readBarrier(limit.Token);
        }
        catch (Exception lost) when (lost is NoLeaderException or OperationCanceledException)
        {
            return $"{request.Path} is left as it is: whether it was added meanwhile cannot be told without a leader";
        }

        return feed.Current.Sets.Values.Any(set => set.Disks.Values.Any(disk => disk.Id == request.DiskId))
            ? $"{request.Path} has been added, as disk {request.DiskId}, and is left as it is"
            : null;
    }

    private bool IsOutdated(DiskRequest request)
    {
        lock (_turns)
        {
            _newestTerm = Math.Max(_newestTerm, Math.Max(request.Term, term()));
            return request.Term < _newestTerm;
        }
    }

    private static DiskReply Refuse(string message) => new(false, message, 0, 0);
}
