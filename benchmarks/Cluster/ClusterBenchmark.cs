using System.Globalization;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>`consensus`: the engine, etcd and the bare loop, three processes each, in alternating rounds of one run. Each round starts
/// fresh clusters, so that none pays for the data of the rounds before, and warms them up before it measures.</summary>
internal static class ClusterBenchmark
{
    /// <summary>Length of the value of every put.</summary>
    public const int ValueBytes = 256;

    private const double WarmUpSeconds = 0.5;

    private static readonly Dictionary<string, string> Defaults = new(StringComparer.Ordinal)
    {
        ["--rounds"] = "3",
        ["--seconds"] = "3",
        ["--outstanding"] = "1,16,128,1024",
        ["--systems"] = "ours,etcd,bare",
        ["--flushes"] = "yes",
        ["--etcd-connections"] = "128",
        ["--dir"] = "/var/tmp",
        ["--output"] = "text",
    };

    public static Task<int> RunAsync(string[] args) => BenchmarkSession.RunAsync(args, Defaults, RunAsync);

    private static async Task<int> RunAsync(BenchmarkArguments arguments, BenchmarkSession session)
    {
        var levels = arguments.List("--outstanding").Select(text => int.Parse(text, CultureInfo.InvariantCulture)).ToArray();
        var systems = arguments.List("--systems");
        var seconds = arguments.Number("--seconds");
        var rounds = arguments.Integer("--rounds");
        var etcdConnections = arguments.Integer("--etcd-connections");
        EtcdCluster.Connections = outstanding => Math.Min(outstanding, etcdConnections);
        var report = new Report(arguments.Text("--output") == "json");
        report.Say($"{rounds} rounds of {string.Join(", ", systems)}; {ValueBytes}-byte values; {seconds} s each; {Environment.ProcessorCount} processors");
        for (var round = 1; round <= rounds; round++)
        {
            foreach (var system in systems)
            {
                await using var cluster = ServerCluster.Create(system, session.DataDirectory);
                await cluster.StartAsync(session.Stopping);
                await cluster.LoadAsync(levels.Max(), 0, 1.5, session.Stopping); // Compiles, connects, fills caches.
                foreach (var level in levels)
                    report.Add(await Measurement.TakeAsync(cluster, level, round, WarmUpSeconds, seconds, session.Stopping));
            }
        }

        if (arguments.Text("--flushes") == "yes")
        {
            foreach (var system in systems)
            {
                foreach (var level in levels) await CountFlushesAsync(system, level, report, session);
            }
        }

        report.Tables();
        return 0;
    }

    /// <summary>Counts from outside, for all alike: what each system says of itself is no proof.</summary>
    private static async Task CountFlushesAsync(string system, int outstanding, Report report, BenchmarkSession session)
    {
        await using var cluster = ServerCluster.Create(system, session.DataDirectory, isTraced: true);
        await cluster.StartAsync(session.Stopping);
        await cluster.LoadAsync(outstanding, 0, 2, session.Stopping);
        var commits = (await cluster.CountersAsync(session.Stopping)).Commits;
        if (await cluster.StopAsync() is { } calls) report.AddFlushCalls(system, outstanding, calls / (double)commits);
    }
}
