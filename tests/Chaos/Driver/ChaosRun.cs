using System.Diagnostics;
using RaftMirror.Chaos.Node;
using RaftMirror.Linearizability;

namespace RaftMirror.Chaos.Driver;

/// <summary>One run: a cluster of processes, clients, faults; each round's histories are checked while the next is under way. At the end
/// everything is healed, and all nodes must commit, confirm reads, and come to one state.</summary>
internal sealed class ChaosRun(ChaosOptions options, Action<string> say)
{
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(40);
    private readonly ChaosReport _report = new(options);

    public async Task<ChaosReport> RunAsync()
    {
        var started = Stopwatch.StartNew();
        await using var cluster = new ChaosCluster(options);
        await cluster.StartAllAsync();
        await SettleAsync(cluster);
        using var end = new CancellationTokenSource(options.Duration);
        var nemesis = options.IsCalm ? Task.CompletedTask : Task.Run(() => AfflictAsync(cluster, end));
        ChaosClient[] clients = [.. Enumerable.Range(1, options.Clients).Select(id => new ChaosClient(id, cluster, options, _report))];
        try
        {
            var checking = Task.CompletedTask;
            for (var number = 1; !end.IsCancellationRequested; number++)
            {
                var round = new Round(number);
                using var leave = CancellationTokenSource.CreateLinkedTokenSource(end.Token);
                leave.CancelAfter(options.Round);
                var work = Task.WhenAll(clients.Select(client => Task.Run(() => client.WorkAsync(round, leave.Token))));
                await work;
                await checking;
                checking = Task.Run(() => Check(round, started.Elapsed));
                if (!options.StopAtFailure) continue;
                await checking;
                if (!_report.Failures.IsEmpty) break;
            }

            await end.CancelAsync();
            await nemesis;
            await checking;
            if (cluster.Failures.IsEmpty) await FinishAsync(cluster);
        }
        finally
        {
            foreach (var client in clients) client.Dispose();
        }

        foreach (var failure in cluster.Failures) _report.Failures.Enqueue(failure);
        _report.Seconds = started.Elapsed.TotalSeconds;
        return _report;
    }

    private async Task AfflictAsync(ChaosCluster cluster, CancellationTokenSource end)
    {
        try
        {
            await new Nemesis(cluster, options, _report, say).RunAsync(end.Token);
        }
        catch (Exception error) when (error is InvalidOperationException or TimeoutException)
        {
            cluster.Failures.Enqueue($"A node did not start or stop: {error.Message}");
            await end.CancelAsync();
        }
    }

    private void Check(Round round, TimeSpan elapsed)
    {
        var watch = Stopwatch.StartNew();
        var operations = round.Check(_report, options.KeepsHistories);
        say($"{elapsed.TotalSeconds,5:0} s, round {round.Number}: {operations} operations checked in {watch.Elapsed.TotalSeconds:0.0} s; so far "
            + $"{_report.Answered} answered, {_report.Unknown} unknown, {_report.FaultCount} faults, "
            + $"{_report.Histories(Verdict.Linearizable)} histories right, "
            + $"{_report.Histories(Verdict.NotLinearizable)} wrong, {_report.Histories(Verdict.Unknown)} undecided");
    }

    /// <summary>Every node commits and confirms a read; then all have applied the same and their states are equal.</summary>
    private async Task FinishAsync(ChaosCluster cluster)
    {
        await cluster.HealAsync();
        if (!await SettleAsync(cluster)) return;
        await cluster.InspectAsync();
        using var limit = new CancellationTokenSource(Recovery);
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        IReadOnlyList<NodeReport> reports = [];
        while (!limit.IsCancellationRequested)
        {
            reports = await cluster.ReportsAsync();
            if (reports.Count == cluster.Nodes.Count && reports.Select(report => report.Applied).Distinct().Count() == 1)
            {
                _report.Repeats = reports.Max(report => report.Repeats);
                _report.Epoch = reports.Max(report => report.Epoch);
                if (reports.Select(report => report.Hash).Distinct().Count() > 1)
                    _report.Failures.Enqueue($"The states differ: {string.Join(", ", reports)}");
                return;
            }

            await tick.WaitForNextTickAsync(CancellationToken.None);
        }

        _report.Failures.Enqueue($"The nodes do not come to one position: {string.Join(", ", reports)}");
    }

    private async Task<bool> SettleAsync(ChaosCluster cluster)
    {
        using var limit = new CancellationTokenSource(Recovery);
        foreach (var node in cluster.Nodes)
        {
            using var connection = new NodeConnection(cluster, node);
            foreach (var request in new[] { $"W\t0\t0\tput\tend\t{node}\t{ObjectStore.None}", "R\tend" })
            {
                Reply reply;
                while ((reply = await connection.AskAsync(request, TimeSpan.FromSeconds(3))).Kind != ReplyKind.Done)
                {
                    if (!limit.IsCancellationRequested) continue;
                    _report.Failures.Enqueue($"Healed, node {node} does not serve within {Recovery.TotalSeconds:0} s: {reply.Text}");
                    await cluster.InspectAsync();
                    return false;
                }
            }
        }

        return true;
    }
}
