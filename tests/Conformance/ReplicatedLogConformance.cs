using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;

namespace RaftMirror.Conformance;

/// <summary>
/// What every backend of the seam must do (<see cref="IReplicatedLog"/>, <see cref="IStateMachine"/>), whatever replicates underneath. A backend's
/// test project derives from this class and starts its own clusters; all tests are inherited. Nothing here knows of terms,
/// truncation or files.
/// </summary>
public abstract partial class ReplicatedLogConformance
{
    /// <summary>For what must happen; long, because machines that build are loaded.</summary>
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan LongestLease = TimeSpan.FromSeconds(10);

    /// <summary>Starts a cluster of voters 1 to <paramref name="size"/>.</summary>
    /// <param name="size">1 to 5.</param>
    /// <param name="requestLimit">How long requests wait for a leader; null for the backend's default.</param>
    protected abstract Task<ILogCluster> StartAsync(int size, TimeSpan? requestLimit = null);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static async Task<CommitResult> ProposeAsync(IReplicatedLog log, string command, ulong? epoch = null)
    {
        var result = await log.ProposeAsync(Bytes(command), epoch, CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.True(Enum.IsDefined(result.Outcome), $"{command}: {result.Outcome}");
        if (result.Outcome == ProposalOutcome.Committed) return result;
        Assert.True(result.Result.IsEmpty, "Only a committed proposal has a result.");
        Assert.False(string.IsNullOrEmpty(result.Reason), "A proposal that is not committed says why.");
        return result;
    }

    /// <summary>Commits a command. On a loaded machine a leader may lose its place at any moment: what it did not commit is proposed again,
    /// under the same text. Without such a change everything is committed at once.</summary>
    private static async Task<CommitResult> CommitAsync(IReplicatedLog log, string command)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            var before = log.Status.Epoch;
            var result = await ProposeAsync(log, command);
            if (result.Outcome == ProposalOutcome.Committed) return result;
            var isExcused = result.Outcome == ProposalOutcome.NotCommitted && log.Status.Epoch > before && !patience.IsCancellationRequested;
            Assert.True(isExcused, $"{command}: {result.Outcome}, {result.Reason}; epoch {before} before, now {log.Status}");
        }
    }

    /// <summary>Tries until a command is committed, under another text each time; for tests whose requests have little time.</summary>
    /// <returns>The text that was committed.</returns>
    private static async Task<string> CommitInTheEndAsync(IReplicatedLog log, string command)
    {
        using var patience = new CancellationTokenSource(Patience);
        for (var attempt = 1; ; attempt++)
        {
            var result = await ProposeAsync(log, $"{command} {attempt}");
            if (result.Outcome == ProposalOutcome.Committed) return $"{command} {attempt}";
            Assert.False(patience.IsCancellationRequested, $"{command} is not committed: {result.Reason}");
        }
    }

    private static async Task<NodeId> LeaderAsync(ILogCluster cluster, Func<LogStatus, bool>? isWanted = null)
    {
        var found = new TaskCompletionSource<NodeId>(TaskCreationOptions.RunContinuationsAsynchronously);
        var logs = cluster.Running.Select(cluster.LogOf).ToList();
        try
        {
            foreach (var log in logs)
            {
                log.StatusChanged += Look;
                Look(log.Status);
            }

            return await found.Task.WaitAsync(Patience);
        }
        finally
        {
            foreach (var log in logs) log.StatusChanged -= Look;
        }

        void Look(LogStatus status)
        {
            if (status.IsLeader && (isWanted is null || isWanted(status))) found.TrySetResult(status.Self);
        }
    }

    private static NodeId Other(ILogCluster cluster, NodeId node) => cluster.Running.First(id => id != node);

    private static async Task TransferAsync(ILogCluster cluster, NodeId target)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (await cluster.LogOf(target).TransferLeadershipAsync(target, patience.Token) is not null)
        {
            // The target may have missed its time on a loaded machine: nothing has happened then.
            await cluster.LogOf(target).ReadBarrierAsync(patience.Token);
        }

        await LeaderAsync(cluster, status => status.Self == target);
    }

    /// <summary>All nodes pass a barrier; then all ledgers are one.</summary>
    private static async Task<IReadOnlyList<LedgerEntry>> SameLedgerAsync(ILogCluster cluster)
    {
        using var patience = new CancellationTokenSource(Patience);

        // One more command, so that whatever an earlier leader left behind is decided before the comparison. Repeated, since some
        // tests set short limits and it may be that nobody leads yet; each has its own text.
        CommitResult last;
        do
        {
            last = await ProposeAsync(cluster.LogOf(cluster.Running[0]), $"same-{Guid.NewGuid():N}");
            Assert.False(patience.IsCancellationRequested, $"Nothing is committed: {last.Reason}");
        }
        while (last.Outcome != ProposalOutcome.Committed);

        IReadOnlyList<LedgerEntry>? ledger = null;
        foreach (var node in cluster.Running)
        {
            await cluster.LogOf(node).WaitAppliedAsync(last.Position, patience.Token);
            IReadOnlyList<LedgerEntry> own = [.. cluster.MachineOf(node).Entries.Where(entry => entry.Position.CompareTo(last.Position) <= 0)];
            ledger ??= own;
            Assert.Equal(ledger, own);
        }

        return [.. ledger!.Where(entry => !entry.Command.StartsWith("same-", StringComparison.Ordinal))];
    }

    private static async Task UntilAsync(string what, Func<bool> isTrue)
    {
        using var patience = new CancellationTokenSource(Patience);
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!isTrue())
        {
            try
            {
                await tick.WaitForNextTickAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"Not within {Patience.TotalSeconds} s: {what}.");
            }
        }
    }
}
