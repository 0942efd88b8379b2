using BenchmarkDotNet.Running;
using RaftMirror.Benchmarks.Cluster;
using RaftMirror.Benchmarks.Core;

namespace RaftMirror.Benchmarks;

/// <summary>`list` names the benchmarks. A name of one of the cluster benchmarks runs that; another `NAME` runs those of
/// BenchmarkDotNet whose name contains it; anything else is BenchmarkDotNet's own.</summary>
internal static class Program
{
    /// <summary>Benchmarks of whole clusters and of the core; the rest are the parts that they start as processes.</summary>
    private static readonly Dictionary<string, (string Says, Func<string[], Task<int>> Run)> Own = new(StringComparer.Ordinal)
    {
        ["consensus"] = ("three nodes beside etcd and the bare loop: commits/s, latency, CPU, flushes", ClusterBenchmark.RunAsync),
        ["consensus-core"] = ("three cores in one process, no I/O: time and allocations per command", CoreBenchmark.RunAsync),
        ["failover"] = ("kill -9 of the leader beside etcd's; elections on a machine without spare time", FailoverBenchmark.RunAsync),
        ["bench-node"] = ("", NodeProcess.RunAsync),
        ["bench-bare"] = ("", BareProcess.RunAsync),
        ["bench-client"] = ("", ClientProcess.RunAsync),
        ["bench-spin"] = ("", SpinProcess.RunAsync),
    };

    private static async Task<int> Main(string[] args)
    {
        if (args is [var own, .. var ownArgs] && Own.TryGetValue(own, out var found)) return await found.Run(ownArgs);
        if (args is ["list"] or [])
        {
            foreach (var (name, (says, _)) in Own)
            {
                if (says.Length > 0) Console.WriteLine($"{name,-16} {says}");
            }
        }

        string[] translated = args switch
        {
            ["list"] or [] => ["--list", "flat"],
            [var name, .. var rest] when !name.StartsWith('-') => ["--filter", $"*{name}*", .. rest],
            _ => args,
        };
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(translated);
        return 0;
    }
}
