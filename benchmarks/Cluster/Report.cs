using System.Globalization;
using System.Text.Json;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>Lines while it runs, tables at the end; with JSON one object a line and nothing else on standard output.</summary>
internal sealed class Report(bool isJson)
{
    private readonly List<Measurement> _all = [];
    private readonly Dictionary<(string System, int Outstanding), double> _flushCalls = [];

    public void Add(Measurement one)
    {
        _all.Add(one);
        if (isJson)
        {
            Write("measurement", one);
            return;
        }

        Console.WriteLine(
            $"{one.Round,2} {one.System,-5}{one.Outstanding,5}  {one.CommitsPerSecond,9:0} /s  p50 {one.P50Us,7:0}  p99 {one.P99Us,7:0}  p99.9 {one.P999Us,8:0} us  "
            + $"{one.CpuUsPerCommit,7:0.0} us CPU{Problems(one)}");
    }

    /// <summary>What strace counted: fsync and fdatasync calls of all nodes per commit.</summary>
    public void AddFlushCalls(string system, int outstanding, double perCommit)
    {
        _flushCalls[(system, outstanding)] = perCommit;
        if (isJson) Write("flushCalls", new { System = system, Outstanding = outstanding, FlushCallsPerCommit = perCommit });
        else Console.WriteLine($"   {system,-5}{outstanding,5}  {perCommit:0.000} flush calls per commit on all nodes (strace)");
    }

    /// <summary>Progress, for people only.</summary>
    public void Say(string text)
    {
        if (!isJson) Console.WriteLine(text);
        else if (!Console.IsErrorRedirected) Console.Error.WriteLine(text);
    }

    public void Write(string kind, object what)
    {
        if (!isJson) return;
        Console.WriteLine(JsonSerializer.Serialize(new Dictionary<string, object> { [kind] = what }));
    }

    /// <summary>Medians over the rounds, smallest and largest beside the rate, then ratios of medians.</summary>
    public void Tables()
    {
        if (isJson || _all.Count == 0) return;
        Console.WriteLine();
        Console.WriteLine("| outstanding | system | commits/s (min-max) | p50 us | p99 us | p99.9 us | CPU us/commit | B/commit leader | B/commit all | flush calls/commit | disk flushes/commit | disturbed |");
        Console.WriteLine("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        foreach (var group in _all.GroupBy(one => (one.Outstanding, one.System)).OrderBy(group => group.Key.Outstanding))
        {
            var rates = group.Select(one => one.CommitsPerSecond).ToArray();
            var calls = _flushCalls.TryGetValue((group.Key.System, group.Key.Outstanding), out var traced) ? traced : Middle(group, one => one.LogFlushesPerCommit);
            Console.WriteLine(
                $"| {group.Key.Outstanding} | {group.Key.System} | {Middle(group, one => one.CommitsPerSecond):0} ({rates.Min():0}-{rates.Max():0}) "
                + $"| {Middle(group, one => one.P50Us):0} | {Middle(group, one => one.P99Us):0} | {Middle(group, one => one.P999Us):0} "
                + $"| {Middle(group, one => one.CpuUsPerCommit):0.0} | {Show(Middle(group, one => one.LeaderBytesPerCommit), "0")} "
                + $"| {Show(Middle(group, one => one.AllBytesPerCommit), "0")} | {Show(calls, "0.000")} "
                + $"| {Show(Middle(group, one => one.DeviceFlushesPerCommit), "0.000")} | {group.Count(one => one.IsDisturbed)} of {group.Count()} |");
        }

        Ratios();
    }

    private static double? Middle(IEnumerable<Measurement> of, Func<Measurement, double?> what)
    {
        var values = of.Select(what).OfType<double>().Order().ToArray();
        return values.Length == 0 ? null : values.Length % 2 == 1 ? values[values.Length / 2] : (values[(values.Length / 2) - 1] + values[values.Length / 2]) / 2;
    }

    private static string Show(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "-";

    private static string Problems(Measurement one) =>
        (one.Failed > 0 ? $"  {one.Failed} FAILED" : "") + (one.IsDisturbed ? $"  disturbed: others had {one.ForeignShare:P0}, the host {one.StealShare:P0}" : "");

    private void Ratios()
    {
        Console.WriteLine();
        Console.WriteLine("| outstanding | commits/s of etcd's (min-max over rounds) | p50 of etcd's | CPU/commit of etcd's | p50 of the bare loop's | commits/s of the bare loop's |");
        Console.WriteLine("|---:|---:|---:|---:|---:|---:|");
        foreach (var level in _all.GroupBy(one => one.Outstanding).OrderBy(group => group.Key))
        {
            double? Of(string system, Func<Measurement, double?> what) => Middle(level.Where(one => one.System == system), what);
            string Ratio(string to, Func<Measurement, double?> what, string format) => Show(Of("ours", what) / Of(to, what), format);
            var byRound = level.GroupBy(one => one.Round)
                .Select(round => round.FirstOrDefault(one => one.System == "ours")?.CommitsPerSecond / round.FirstOrDefault(one => one.System == "etcd")?.CommitsPerSecond)
                .OfType<double>().ToArray();
            var spread = byRound.Length == 0 ? "" : $" ({byRound.Min():0.0}-{byRound.Max():0.0})";
            Console.WriteLine(
                $"| {level.Key} | {Ratio("etcd", one => one.CommitsPerSecond, "0.0")}{spread} | {Ratio("etcd", one => one.P50Us, "0.00")} "
                + $"| {Ratio("etcd", one => one.CpuUsPerCommit, "0.00")} | {Ratio("bare", one => one.P50Us, "0.00")} | {Ratio("bare", one => one.CommitsPerSecond, "0.00")} |");
        }
    }
}
