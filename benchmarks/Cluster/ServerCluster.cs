using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;
using RaftMirror.Primitives;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>What a cluster says of itself between two loads.</summary>
/// <param name="Commits">Commands applied so far, by the leader's own count.</param>
/// <param name="Term">The leader's term.</param>
/// <param name="AllocatedBytes">By the leader and by all nodes; null where there is no such thing.</param>
/// <param name="LogFlushes">Flushes of the log by all nodes, where they count them themselves.</param>
internal sealed record ClusterCounters(long Commits, ulong Term, (long Leader, long All)? AllocatedBytes, long? LogFlushes);

/// <summary>Three server processes of one kind on loopback, in a directory of their own, and the load generator that suits them.</summary>
internal abstract class ServerCluster(string name, string directory, bool isTraced) : IAsyncDisposable
{
    public const int Size = 3;
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public string Name { get; } = name;

    /// <summary>The servers' processes by node; killed ones stay in the list until they are started again.</summary>
    protected ChildProcess[] Nodes { get; } = new ChildProcess[Size];

    public string DataDirectory { get; } = directory;

    protected bool IsTraced { get; } = isTraced;

    public IReadOnlyList<int> Pids => [.. Nodes.Select(node => node.ServingPid(IsTraced))];

    /// <summary>Makes a cluster that has not been started.</summary>
    /// <param name="name">"ours", "etcd" or "bare".</param>
    /// <param name="parent">An existing directory; the cluster makes one of its own in it.</param>
    /// <param name="isTraced">Count flushes with strace.</param>
    public static ServerCluster Create(string name, string parent, bool isTraced = false)
    {
        var directory = Directory.CreateDirectory(Path.Combine(parent, $"{name}-{Guid.NewGuid():N}")).FullName;
        return name switch
        {
            "ours" => new RaftCluster(directory, isTraced),
            "etcd" => new EtcdCluster(directory, isTraced),
            "bare" => new BareCluster(directory, isTraced),
            _ => throw new ArgumentException($"Systems are ours, etcd and bare, not \"{name}\"."),
        };
    }

    /// <summary>Starts all nodes and waits for a leader.</summary>
    public abstract Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Loads the leader in a closed loop from a process of its own.</summary>
    public abstract Task<LoadResult> LoadAsync(int outstanding, double warmUpSeconds, double seconds, CancellationToken cancellationToken);

    /// <summary>Asks the nodes that are alive.</summary>
    public abstract Task<ClusterCounters> CountersAsync(CancellationToken cancellationToken);

    /// <summary>The node that leads, from 0; waits until there is one.</summary>
    public abstract Task<int> LeaderAsync(CancellationToken cancellationToken);

    /// <summary>One put at a node. True if it was acknowledged, false if it was refused or could not be sent.</summary>
    public abstract Task<bool> TryPutAsync(int node, CancellationToken cancellationToken);

    /// <summary>Starts a node, or starts it again with its data.</summary>
    public abstract Task StartNodeAsync(int node, CancellationToken cancellationToken);

    public async Task KillNodeAsync(int node) => await Nodes[node].DisposeAsync();

    /// <summary>Ends the nodes in order, so that a tracer writes its summary.</summary>
    /// <returns>Flush calls of all nodes over their lives; null if they were not traced.</returns>
    public async Task<long?> StopAsync()
    {
        foreach (var node in Nodes)
        {
            if (this is EtcdCluster) ChildProcess.Signal(node.ServingPid(IsTraced), PosixSignal.SIGTERM);
            await node.StopAsync(Patience);
        }

        if (!IsTraced) return null;
        return Directory.GetFiles(DataDirectory, "*.strace").SelectMany(File.ReadLines)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length >= 5 && words[^1] is "fsync" or "fdatasync")
            .Sum(words => long.Parse(words[3], System.Globalization.CultureInfo.InvariantCulture));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes)
        {
            if (node is not null) await node.DisposeAsync();
        }

        Directory.Delete(DataDirectory, recursive: true);
    }

    protected ChildProcess Spawn(int node, params IReadOnlyList<string> command)
    {
        var trace = Path.Combine(DataDirectory, $"{node}.strace");
        return IsTraced
            ? ChildProcess.Start(["strace", "-f", "--seccomp-bpf", "-c", "-e", "trace=fsync,fdatasync", "-o", trace, "--", .. command])
            : ChildProcess.Start(command);
    }
}

/// <summary>Servers that speak <see cref="ClientProtocol"/>.</summary>
internal abstract class OwnCluster(string name, string directory, bool isTraced) : ServerCluster(name, directory, isTraced)
{
    protected int[] ClientPorts { get; } = new int[Size];

    public override async Task<LoadResult> LoadAsync(
        int outstanding, double warmUpSeconds, double seconds, CancellationToken cancellationToken)
    {
        var port = ClientPorts[await LeaderAsync(cancellationToken)];
        await using var client = ChildProcess.Start(ChildProcess.Self(
            "bench-client", $"{port}", $"{outstanding}", $"{warmUpSeconds}", $"{seconds}", $"{ClusterBenchmark.ValueBytes}"));
        return JsonSerializer.Deserialize<LoadResult>(await client.OutputAsync(cancellationToken))!;
    }

    public override async Task<ClusterCounters> CountersAsync(CancellationToken cancellationToken)
    {
        var leader = await StatusAsync(ClientPorts[await LeaderAsync(cancellationToken)], cancellationToken);
        long all = 0;
        foreach (var port in ClientPorts)
            all += port == 0 ? 0 : (await StatusAsync(port, cancellationToken)).AllocatedBytes;
        return new ClusterCounters(leader.Applied, leader.Term, (leader.AllocatedBytes, all), null);
    }

    public override async Task<bool> TryPutAsync(int node, CancellationToken cancellationToken)
    {
        try
        {
            return (await CallAsync(ClientPorts[node], ClientProtocol.MakePut(ClusterBenchmark.ValueBytes), cancellationToken)).Status == ClientProtocol.Done;
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            return false;
        }
    }

    protected static async Task<ProcessStatus> StatusAsync(int port, CancellationToken cancellationToken)
    {
        var request = new byte[ClientProtocol.HeaderBytes];
        ClientProtocol.WriteHeader(request, ClientProtocol.Status, 0, 0);
        var (_, body) = await CallAsync(port, request, cancellationToken);
        return JsonSerializer.Deserialize<ProcessStatus>(body)!;
    }

    private static async Task<(byte Status, byte[] Body)> CallAsync(int port, byte[] request, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port), cancellationToken);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(request, cancellationToken);
        var header = new byte[ClientProtocol.HeaderBytes];
        await stream.ReadExactlyAsync(header, cancellationToken);
        var body = new byte[BitConverter.ToInt32(header) + 4 - header.Length];
        await stream.ReadExactlyAsync(body, cancellationToken);
        return (header[4], body);
    }
}

/// <summary>The engine of this repository, with its default options.</summary>
internal sealed class RaftCluster(string directory, bool isTraced) : OwnCluster("ours", directory, isTraced)
{
    private readonly IReadOnlyList<int> _peerPorts = FreePorts.Take(Size);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        await Task.WhenAll(Enumerable.Range(0, Size).Select(node => StartNodeAsync(node, cancellationToken)));
        await LeaderAsync(cancellationToken);
    }

    public override async Task StartNodeAsync(int node, CancellationToken cancellationToken)
    {
        string[] arguments = [Path.Combine(DataDirectory, $"node{node + 1}"), $"{node + 1}", .. _peerPorts.Select(port => $"{port}")];
        Nodes[node] = Spawn(node, ChildProcess.Self(["bench-node", .. arguments]));
        ClientPorts[node] = await Nodes[node].ReadyAsync(cancellationToken);
    }

    public override async Task<int> LeaderAsync(CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Patience);
        while (true)
        {
            for (var node = 0; node < Size; node++)
            {
                try
                {
                    if ((await StatusAsync(ClientPorts[node], limit.Token)).IsLeader) return node;
                }
                catch (Exception error) when (error is IOException or SocketException)
                {
                    continue; // It was killed; the others may lead.
                }
            }

            await Task.Delay(10, limit.Token); // There is nothing to wait for: these are other processes.
        }
    }
}

/// <summary>The bare loop; node 0 leads, always.</summary>
internal sealed class BareCluster(string directory, bool isTraced) : OwnCluster("bare", directory, isTraced)
{
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        for (var node = Size - 1; node >= 0; node--) await StartNodeAsync(node, cancellationToken);
    }

    public override async Task StartNodeAsync(int node, CancellationToken cancellationToken)
    {
        string[] followers = node == 0 ? [.. ClientPorts[1..].Select(port => $"{port}")] : [];
        Nodes[node] = Spawn(node, ChildProcess.Self(["bench-bare", Path.Combine(DataDirectory, $"node{node + 1}"), .. followers]));
        ClientPorts[node] = await Nodes[node].ReadyAsync(cancellationToken);
    }

    public override async Task<ClusterCounters> CountersAsync(CancellationToken cancellationToken)
    {
        var leader = await StatusAsync(ClientPorts[0], cancellationToken);
        return new ClusterCounters(leader.Applied, leader.Term, null, null);
    }

    public override Task<int> LeaderAsync(CancellationToken cancellationToken) => Task.FromResult(0);
}
