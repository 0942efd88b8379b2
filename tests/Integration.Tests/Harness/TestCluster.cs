using System.Collections.Concurrent;
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

    static TestCluster() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (var cluster in Living.Keys) cluster.KillAll();
    };

    private TestCluster(int nodes, Dictionary<string, string> environment)
    {
        _environment = environment;
        Root = System.IO.Directory.CreateTempSubdirectory("rm-it-").FullName;
        var ports = FreePorts.Take(nodes * 3);
        Nodes = [.. Enumerable.Range(0, nodes).Select(i =>
        {
            var name = ((char)('a' + i)).ToString();
            return new NodeProcess(name, Path.Combine(Root, name), ports[3 * i], ports[(3 * i) + 1], ports[(3 * i) + 2]);
        })];
        Living[this] = true;
    }

    /// <summary>Everything is below it; removed at the end.</summary>
    public string Root { get; }

    /// <summary>a, b, c, …</summary>
    public IReadOnlyList<NodeProcess> Nodes { get; }

    public NodeProcess this[string name] => Nodes.First(node => node.Name == name);

    /// <summary>Starts a cluster and waits until every node answers with a leader.</summary>
    /// <param name="nodes">How many.</param>
    /// <param name="environment">Variables for the nodes.</param>
    public static async Task<TestCluster> StartAsync(int nodes = 3, IReadOnlyDictionary<string, string>? environment = null)
    {
        for (var attempt = 1; ; attempt++)
        {
            var cluster = new TestCluster(nodes, new Dictionary<string, string>(environment ?? new Dictionary<string, string>()));
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
    public static async Task RunAsync(ITestOutputHelper output, Func<TestCluster, Task> test, int nodes = 3)
    {
        await using var cluster = await StartAsync(nodes);
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

    /// <summary>The newest lines of every node.</summary>
    public string Logs() => string.Join('\n', Nodes.Select(node =>
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
        foreach (var node in Nodes) node.Kill();
    }
}

/// <summary>A port chosen for a node was taken by somebody else before the node could listen.</summary>
internal sealed class PortTakenException(string message) : Exception(message);
