using System.Collections.Concurrent;
using RaftMirror.Primitives;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Nodes as separate processes on loopback, with files as shared disks, everything in one temporary directory.
/// Each process is killed and the directory removed at the end, however the test ends.</summary>
internal sealed partial class TestCluster : IAsyncDisposable
{
    private const int StartAttempts = 4;
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    // A test host that is told to exit runs no disposal: the processes must not outlive it.
    private static readonly ConcurrentDictionary<TestCluster, bool> Living = new();

    private readonly Dictionary<string, string> _environment;
    private readonly List<NodeProcess> _nodes;
    private readonly List<NodeProcess> _gone = [];
    private readonly string _founders;

    static TestCluster()
    {
        // Processes that live for seconds never earn back what profiling their code, and compiling it once more for speed, costs: half of
        // the processor's time. 0x2000 calls is where the runtime begins to, instead of 30.
        Environment.SetEnvironmentVariable("DOTNET_TieredPGO", "0");
        Environment.SetEnvironmentVariable("DOTNET_TC_CallCountThreshold", "2000");
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var cluster in Living.Keys) cluster.KillAll();
        };
    }

    private TestCluster(int nodes, Dictionary<string, string> environment, Func<TestCluster, NodeProcess, IEnumerable<string>>? arguments)
    {
        _environment = environment;
        Root = System.IO.Directory.CreateTempSubdirectory("rm-it-").FullName;
        var ports = FreePorts.Take(nodes * 3);
        _nodes = [.. Enumerable.Range(0, nodes).Select(i =>
        {
            var name = ((char)('a' + i)).ToString();
            return new NodeProcess(name, Path.Combine(Root, name), ports[3 * i], ports[(3 * i) + 1], ports[(3 * i) + 2]);
        })];
        _founders = string.Join(',', _nodes.Select(node => $"{node.Name}={node.Peer}"));
        if (arguments is not null) _nodes.ForEach(node => node.Arguments.AddRange(arguments(this, node)));
        Living[this] = true;
    }

    /// <summary>Everything is below it; removed at the end.</summary>
    public string Root { get; }

    /// <summary>a, b, c, …</summary>
    public IReadOnlyList<NodeProcess> Nodes => _nodes;

    public NodeProcess this[string name] => Nodes.First(node => node.Name == name);

    /// <summary>Starts a cluster and waits until every node answers with a leader.</summary>
    /// <param name="nodes">How many.</param>
    /// <param name="environment">Variables for the nodes.</param>
    /// <param name="arguments">Further options of each node, by the cluster that has its directory already.</param>
    public static async Task<TestCluster> StartAsync(
        int nodes = 3, IReadOnlyDictionary<string, string>? environment = null,
        Func<TestCluster, NodeProcess, IEnumerable<string>>? arguments = null)
    {
        for (var attempt = 1; ; attempt++)
        {
            var cluster = new TestCluster(nodes, new Dictionary<string, string>(environment ?? new Dictionary<string, string>()), arguments);
            try
            {
                foreach (var node in cluster.Nodes) cluster.Start(node);
                await cluster.WaitUntilReadyAsync();
                return cluster;
            }
            catch (PortTakenException) when (attempt < StartAttempts)
            {
                await cluster.DisposeAsync();
            }
            catch (Exception failure)
            {
                var logs = cluster.Logs();
                await cluster.DisposeAsync();
                throw new InvalidOperationException($"The cluster did not start: {failure.Message}\n{logs}", failure);
            }
        }
    }

    /// <summary>Runs a test on a cluster of its own; when it fails, what the nodes wrote is shown.</summary>
    public static async Task RunAsync(
        ITestOutputHelper output, Func<TestCluster, Task> test, int nodes = 3,
        Func<TestCluster, NodeProcess, IEnumerable<string>>? arguments = null)
    {
        await using var cluster = await StartAsync(nodes, arguments: arguments);
        await cluster.WatchAsync(output, () => test(cluster));
    }

    /// <summary>Runs a part of a test; when it fails, what the nodes wrote is shown.</summary>
    public async Task WatchAsync(ITestOutputHelper output, Func<Task> test)
    {
        try
        {
            await test();
        }
        catch
        {
            output.WriteLine(Logs());
            throw;
        }
    }

    /// <summary>A further node: a new machine that joins by the nodes that run, or one that takes the place of a node of the same name, which
    /// has been killed. It is not started.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="joins">It joins the nodes that run; false for one whose data directory is already there.</param>
    /// <param name="directory">Its data directory; else a new one.</param>
    public NodeProcess AddNode(string name, bool joins = true, string? directory = null)
    {
        var former = _nodes.FirstOrDefault(node => node.Name == name);
        var ports = FreePorts.Take(3);
        var node = new NodeProcess(name, directory ?? Path.Combine(Root, former is null ? name : $"{name}{_gone.Count + 2}"), ports[0], ports[1], ports[2]);
        if (former is not null)
        {
            former.Kill();
            _nodes.Remove(former);
            _gone.Add(former);
            node.Arguments.AddRange(former.Arguments);
        }

        node.Origin = joins
            ? ["--join", string.Join(',', _nodes.Where(other => other is { IsRunning: true, IsStopped: false }).Select(other => other.Api.Authority))]
            : [];
        _nodes.Add(node);
        return node;
    }

    /// <summary>The newest lines of every node.</summary>
    public string Logs() => string.Join('\n', _gone.Concat(Nodes).Select(node =>
        $"== node {node.Name} {(node.IsRunning ? "running" : $"ended with {node.ExitCode}")}\n{node.Output()}"));

    public async ValueTask DisposeAsync()
    {
        KillAll();
        Living.TryRemove(this, out _);
        _http.Dispose();
        if (Environment.GetEnvironmentVariable("RAFTMIRROR_KEEP_TEST_DIRECTORY") == "1") return;
        await Eventually.TrueAsync($"{Root} is removed", TimeSpan.FromSeconds(10), () =>
        {
            if (System.IO.Directory.Exists(Root)) System.IO.Directory.Delete(Root, recursive: true);
            return Task.FromResult(true);
        });
    }

    private void KillAll()
    {
        foreach (var node in _gone.Concat(Nodes)) node.Kill();
    }
}

/// <summary>A port chosen for a node was taken by somebody else before the node could listen.</summary>
internal sealed class PortTakenException(string message) : Exception(message);
