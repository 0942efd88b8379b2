namespace RaftMirror.Benchmarks.Cluster;

/// <summary>One load on one cluster.</summary>
/// <param name="System">Which.</param>
/// <param name="Outstanding">Commands in flight.</param>
/// <param name="Round">From 1.</param>
/// <param name="CommitsPerSecond">Over the measured time.</param>
/// <param name="P50Us">Latency in microseconds.</param>
/// <param name="CpuUsPerCommit">Processor time of the three servers.</param>
/// <param name="LeaderBytesPerCommit">Managed bytes that the leader's process allocated.</param>
/// <param name="AllBytesPerCommit">The same of all three.</param>
/// <param name="LogFlushesPerCommit">Of all nodes, where they count them.</param>
/// <param name="DeviceFlushesPerCommit">Flushes that reached the disk, whoever asked for them; the kernel merges flushes of files.</param>
/// <param name="Failed">Commands that were not committed.</param>
/// <param name="ForeignShare">Of the machine's time, taken by others.</param>
/// <param name="StealShare">Of the machine's time, taken by its host.</param>
internal sealed record Measurement(
    string System, int Outstanding, int Round, double CommitsPerSecond, double P50Us, double P99Us, double P999Us, double MaxUs,
    double CpuUsPerCommit, double? LeaderBytesPerCommit, double? AllBytesPerCommit, double? LogFlushesPerCommit,
    double? DeviceFlushesPerCommit, long Failed, double ForeignShare, double StealShare)
{
    /// <summary>Somebody else had more than this share of the machine: the figures say little.</summary>
    public const double ForeignLimit = 0.12;

    public bool IsDisturbed => ForeignShare > ForeignLimit || StealShare > ForeignLimit;

    /// <summary>Loads a running cluster and reads every counter before and after.</summary>
    public static async Task<Measurement> TakeAsync(
        ServerCluster cluster, int outstanding, int round, double warmUpSeconds, double seconds, CancellationToken cancellationToken)
    {
        var pids = cluster.Pids;
        var before = await cluster.CountersAsync(cancellationToken);
        var machineBefore = MachineState.Now(pids, cluster.DataDirectory);
        var load = await cluster.LoadAsync(outstanding, warmUpSeconds, seconds, cancellationToken);
        var machine = MachineState.Now(pids, cluster.DataDirectory);
        var after = await cluster.CountersAsync(cancellationToken);
        if (after.Term != before.Term) throw new InvalidOperationException($"{cluster.Name}: the leader changed under load.");

        // The servers' own count must be what the load generator believes, or somebody answers what was not done.
        var commits = after.Commits - before.Commits;
        if (commits < load.AllCommits) throw new InvalidOperationException($"{cluster.Name}: {load.AllCommits} answers, {commits} commits.");
        double? PerCommit(long? now, long? then) => now is null || then is null ? null : (now - then) / (double)commits;
        return new Measurement(
            cluster.Name, outstanding, round, load.Commits / load.Seconds, load.P50Us, load.P99Us, load.P999Us, load.MaxUs,
            machine.ServerMicrosecondsSince(machineBefore) / commits,
            PerCommit(after.AllocatedBytes?.Leader, before.AllocatedBytes?.Leader), PerCommit(after.AllocatedBytes?.All, before.AllocatedBytes?.All),
            PerCommit(after.LogFlushes, before.LogFlushes), PerCommit(machine.DeviceFlushes, machineBefore.DeviceFlushes), load.Failed,
            machine.ForeignShareSince(machineBefore), (machine.StealTicks - machineBefore.StealTicks) / (double)(machine.TotalTicks - machineBefore.TotalTicks));
    }
}
