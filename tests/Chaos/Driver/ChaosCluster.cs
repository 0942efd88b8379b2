using System.Collections.Concurrent;
using System.Globalization;
using RaftMirror.Chaos.Node;
using RaftMirror.Chaos.Proxy;

namespace RaftMirror.Chaos.Driver;

/// <summary>What a node says of itself.</summary>
internal sealed record NodeReport(int Node, bool Leads, ulong Epoch, ulong Applied, string Hash, long Repeats, string Quarantine);

/// <summary>The processes of one cluster, the proxy between them and their files. Lives begin and end by one caller at a time; ports and
/// reports on any thread.</summary>
internal sealed class ChaosCluster : IAsyncDisposable
{
    private static readonly TimeSpan StatusLimit = TimeSpan.FromMilliseconds(500);
    private readonly string _directory = Directory.CreateTempSubdirectory("raft-mirror-chaos-").FullName;
    private readonly ChaosOptions _options;
    private readonly ConcurrentDictionary<int, NodeProcess> _running = new();
    private readonly HashSet<int> _paused = [];

    public ChaosCluster(ChaosOptions options)
    {
        _options = options;
        Nodes = [.. Enumerable.Range(1, options.Nodes)];
    }

    public IReadOnlyList<int> Nodes { get; }

    public PeerProxy Proxy { get; } = new();

    /// <summary>What went wrong with processes; any thread.</summary>
    public ConcurrentQueue<string> Failures { get; } = new();

    public IReadOnlyCollection<int> Down => [.. Nodes.Where(node => !_running.ContainsKey(node))];

    public IReadOnlyCollection<int> Paused => _paused;

    /// <summary>Nodes that run and are not paused.</summary>
    public IReadOnlyList<int> Serving => [.. Nodes.Where(node => _running.ContainsKey(node) && !_paused.Contains(node))];

    /// <summary>Where clients of a node connect; 0 if it is down.</summary>
    public int ClientPortOf(int node) => _running.TryGetValue(node, out var process) ? process.ClientPort : 0;

    public async Task StartAllAsync() => await Task.WhenAll(Nodes.Select(StartAsync));

    public async Task StartAsync(int node)
    {
        string[] addresses = [.. Nodes.Select(Proxy.AddressOf)];
        var settings = new NodeSettings(Path.Combine(_directory, $"node{node}"), (ushort)node, _options.LeaseReads, _options.Bug, addresses);
        var process = await NodeProcess.StartAsync(settings);
        Proxy.Route(node, process.PeerPort);
        _running[node] = process;
    }

    public async Task KillAsync(int node)
    {
        if (!_running.TryRemove(node, out var process)) return;
        _paused.Remove(node);
        if (process.HasExited) Failures.Enqueue($"Node {node} had ended by itself.\n{process.Errors}");
        await process.DisposeAsync();
    }

    public async Task StopAsync(int node)
    {
        if (!_running.TryRemove(node, out var process)) return;
        if (await process.StopAsync() is not 0 and var code) Failures.Enqueue($"Node {node} stopped with exit code {code}.\n{process.Errors}");
        await process.DisposeAsync();
    }

    public void Pause(int node)
    {
        _running[node].Pause();
        _paused.Add(node);
    }

    public void Resume(int node)
    {
        _running[node].Resume();
        _paused.Remove(node);
    }

    /// <summary>Ends all faults: processes run, links are open.</summary>
    public async Task HealAsync()
    {
        Proxy.Heal();
        foreach (var node in _paused.ToArray()) Resume(node);
        await Task.WhenAll(Down.Select(StartAsync));
    }

    /// <summary>What all nodes say that answer soon.</summary>
    public async Task<IReadOnlyList<NodeReport>> ReportsAsync()
    {
        var reports = await Task.WhenAll(Serving.Select(async node =>
        {
            using var connection = new NodeConnection(this, node);
            var reply = await connection.AskAsync("S", StatusLimit);
            if (reply.Kind != ReplyKind.Done) return null;
            var fields = reply.Text.Split('\t');
            return new NodeReport(
                node, bool.Parse(fields[0]), ulong.Parse(fields[1], CultureInfo.InvariantCulture),
                ulong.Parse(fields[2], CultureInfo.InvariantCulture), fields[3], long.Parse(fields[4], CultureInfo.InvariantCulture), fields[5]);
        }));
        return [.. reports.OfType<NodeReport>()];
    }

    /// <summary>Who leads, as far as the nodes that answer know: of two, the later one.</summary>
    public async Task<int?> LeaderAsync() =>
        (await ReportsAsync()).Where(report => report.Leads).OrderByDescending(report => report.Epoch).FirstOrDefault()?.Node;

    /// <summary>Notes processes that ended by themselves and nodes that are quarantined.</summary>
    public async Task InspectAsync()
    {
        foreach (var (node, process) in _running)
        {
            if (process.HasExited) Failures.Enqueue($"Node {node} ended by itself.\n{process.Errors}");
        }

        foreach (var report in await ReportsAsync())
        {
            if (report.Quarantine.Length > 0) Failures.Enqueue($"Node {report.Node} is quarantined: {report.Quarantine}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _running.Values) await process.DisposeAsync();
        await Proxy.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }
}
