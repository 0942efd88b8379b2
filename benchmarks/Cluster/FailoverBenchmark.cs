using System.Diagnostics;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>
/// `failover`: SIGKILL of the leader under load, default timers, ours and etcd in turn; the time until a put that was sent after the
/// kill is acknowledged. Then processes that keep all processors busy, on an idle and a loaded cluster: no term may rise.
/// </summary>
internal static class FailoverBenchmark
{
    private const int LoadOutstanding = 16;
    private static readonly TimeSpan ProbeInterval = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestOutage = TimeSpan.FromSeconds(20);

    private static readonly Dictionary<string, string> Defaults = new(StringComparer.Ordinal)
    {
        ["--kills"] = "5",
        ["--busy-seconds"] = "30",
        ["--systems"] = "ours,etcd",
        ["--dir"] = "/var/tmp",
        ["--output"] = "text",
    };

    public static Task<int> RunAsync(string[] args) => BenchmarkSession.RunAsync(args, Defaults, RunAsync);

    private static async Task<int> RunAsync(BenchmarkArguments arguments, BenchmarkSession session)
    {
        var report = new Report(arguments.Text("--output") == "json");
        var systems = arguments.List("--systems");
        var outages = systems.ToDictionary(system => system, _ => new List<double>());
        for (var kill = 1; kill <= arguments.Integer("--kills"); kill++)
        {
            foreach (var system in systems)
            {
                var milliseconds = await KillLeaderAsync(system, session);
                outages[system].Add(milliseconds);
                report.Say($"{kill,2} {system,-5} {milliseconds,6:0} ms from kill -9 of the leader to the next commit");
                report.Write("failover", new { System = system, Kill = kill, OutageMs = milliseconds });
            }
        }

        foreach (var (system, all) in outages)
        {
            if (all.Count == 0) continue;
            all.Sort();
            report.Say($"{system,-5} median {all[all.Count / 2]:0} ms, {all[0]:0} to {all[^1]:0}");
        }

        var seconds = arguments.Number("--busy-seconds");
        var isQuiet = true;
        foreach (var system in seconds > 0 ? systems : [])
        {
            foreach (var isLoaded in (bool[])[false, true])
            {
                var rise = await CountElectionsAsync(system, isLoaded, seconds, session);
                isQuiet &= system != "ours" || rise == 0;
                var beside = $"beside {Environment.ProcessorCount} busy loops for {seconds} s";
                report.Say($"{system,-5} {(isLoaded ? "loaded" : "idle"),-6} {beside}: the term rose by {rise}");
                report.Write("falseElections", new { System = system, IsLoaded = isLoaded, Seconds = seconds, TermRise = rise });
            }
        }

        return isQuiet ? 0 : 1;
    }

    private static async Task<double> KillLeaderAsync(string system, BenchmarkSession session)
    {
        await using var cluster = ServerCluster.Create(system, session.DataDirectory);
        await cluster.StartAsync(session.Stopping);
        await cluster.LoadAsync(LoadOutstanding, 0, 1.5, session.Stopping);
        var leader = await cluster.LeaderAsync(session.Stopping);
        var survivors = Enumerable.Range(0, ServerCluster.Size).Where(node => node != leader).ToArray();

        // The load loses its server and ends with an error of its own.
        using var load = CancellationTokenSource.CreateLinkedTokenSource(session.Stopping);
        var loading = cluster.LoadAsync(LoadOutstanding, 0, 60, load.Token);
        foreach (var node in survivors) await cluster.TryPutAsync(node, session.Stopping); // The paths of the probes are warm.
        await Task.Delay(TimeSpan.FromSeconds(1), session.Stopping);
        if (loading.IsCompleted) await loading;
        if (await cluster.LeaderAsync(session.Stopping) != leader)
            throw new InvalidOperationException($"{system}: the leader changed before it was killed.");
        var killed = Stopwatch.GetTimestamp();
        await cluster.KillNodeAsync(leader);
        var outage = await FirstCommitAsync(cluster, survivors, killed, session.Stopping);
        await load.CancelAsync();
        await loading.ContinueWith(task => task.Exception, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        return outage;
    }

    /// <summary>An open loop: a put every 10 ms to one survivor and the other in turn, whatever became of those before, so that
    /// one that is lost on its way to the dead leader hides nothing.</summary>
    private static async Task<double> FirstCommitAsync(ServerCluster cluster, int[] survivors, long killed, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        stop.CancelAfter(LongestOutage);
        var first = new TaskCompletionSource<double>(TaskCreationOptions.RunContinuationsAsynchronously);
        var probes = new List<Task>();
        using var timer = new PeriodicTimer(ProbeInterval);
        while (!first.Task.IsCompleted && !stop.IsCancellationRequested)
        {
            probes.Add(ProbeAsync(survivors[probes.Count % survivors.Length]));
            await Task.WhenAny(first.Task, timer.WaitForNextTickAsync(stop.Token).AsTask());
        }

        await stop.CancelAsync();
        await Task.WhenAll(probes);
        cancellationToken.ThrowIfCancellationRequested();
        return first.Task.IsCompletedSuccessfully
            ? await first.Task
            : throw new InvalidOperationException($"{cluster.Name}: no commit within {LongestOutage.TotalSeconds} s of the kill.");

        async Task ProbeAsync(int node)
        {
            try
            {
                if (await cluster.TryPutAsync(node, stop.Token)) first.TrySetResult(Stopwatch.GetElapsedTime(killed).TotalMilliseconds);
            }
            catch (OperationCanceledException)
            {
                // Answered elsewhere, or too late.
            }
        }
    }

    private static async Task<ulong> CountElectionsAsync(string system, bool isLoaded, double seconds, BenchmarkSession session)
    {
        await using var cluster = ServerCluster.Create(system, session.DataDirectory);
        await cluster.StartAsync(session.Stopping);
        await cluster.LoadAsync(LoadOutstanding, 0, 1, session.Stopping);
        var before = (await cluster.CountersAsync(session.Stopping)).Term;
        var spinners = new List<ChildProcess>();
        try
        {
            for (var i = 0; i < Environment.ProcessorCount; i++)
            {
                var spinner = ChildProcess.Start(ChildProcess.Self("bench-spin"));
                spinners.Add(spinner);
                await spinner.ReadyAsync(session.Stopping);
            }

            if (isLoaded) await cluster.LoadAsync(LoadOutstanding, 0, seconds, session.Stopping);
            else await Task.Delay(TimeSpan.FromSeconds(seconds), session.Stopping);
            return (await cluster.CountersAsync(session.Stopping)).Term - before;
        }
        finally
        {
            foreach (var spinner in spinners) await spinner.DisposeAsync();
        }
    }
}
