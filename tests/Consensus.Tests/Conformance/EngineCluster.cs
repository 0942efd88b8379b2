using System.Net;
using System.Net.Sockets;
using RaftMirror.Chaos.Proxy;
using RaftMirror.Conformance;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Consensus.Tests.Conformance;

/// <summary>Our engine for the conformance suite: real nodes in this process, real files, TCP through a proxy that can cut.</summary>
internal sealed class EngineCluster : ILogCluster
{
    private readonly string _directory = Directory.CreateTempSubdirectory("raft-mirror-conformance-").FullName;
    private readonly PeerProxy _proxy = new();
    private readonly SortedDictionary<NodeId, (RaftNode Node, LedgerMachine Machine)> _running = [];
    private readonly HashSet<int> _numbers = [];
    private readonly Dictionary<NodeId, string> _members = [];
    private readonly Func<RaftNodeOptions, RaftNodeOptions> _adjust;

    private readonly Func<NodeId, LedgerMachine, IStateMachine> _wrap;

    private EngineCluster(Func<RaftNodeOptions, RaftNodeOptions> adjust, Func<NodeId, LedgerMachine, IStateMachine>? wrap)
    {
        _adjust = adjust;
        _wrap = wrap ?? ((_, machine) => machine);
    }

    public IReadOnlyList<NodeId> Running => [.. _running.Keys];

    public bool CanIsolate => true;

    /// <summary>Snapshots that nodes were restored from so far, and the index of the newest one, over all running nodes.</summary>
    public (int Restores, ulong Newest) Snapshots => (
        _running.Values.Sum(node => node.Machine.Restores), _running.Values.Max(node => node.Node.SnapshotInfo?.Index ?? 0));

    public static async Task<EngineCluster> StartAsync(
        int size, Func<RaftNodeOptions, RaftNodeOptions> adjust, Func<NodeId, LedgerMachine, IStateMachine>? wrap = null)
    {
        var cluster = new EngineCluster(adjust, wrap);
        for (ushort id = 1; id <= size; id++) cluster._members.Add(new NodeId(id), cluster.AddressOf(new NodeId(id)));
        foreach (var id in cluster._members.Keys) await cluster.StartAsync(id);
        return cluster;
    }

    /// <summary>Waits until some node says that it leads.</summary>
    public async Task<NodeId> LeaderAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        while (true)
        {
            if (_running.Values.FirstOrDefault(running => running.Node.Status.IsLeader).Node is { } leader) return leader.Status.Self;
            await tick.WaitForNextTickAsync(patience.Token);
        }
    }

    public IReplicatedLog LogOf(NodeId node) => _running[node].Node;

    public LedgerMachine MachineOf(NodeId node) => _running[node].Machine;

    public string AddressOf(NodeId node)
    {
        _numbers.Add(node.Value);
        return _proxy.AddressOf(node.Value);
    }

    public Task StartAsync(NodeId node) => StartAsync(node, null);

    public Task JoinAsync(NodeId node) => StartAsync(node, _running.Values.First().Node.ClusterId);

    public async Task StopAsync(NodeId node)
    {
        _running.Remove(node, out var stopped);
        await stopped.Node.DisposeAsync();
        Assert.False(stopped.Node.Failure.IsCompleted, stopped.Node.Failure.IsCompleted ? $"{await stopped.Node.Failure}" : null);
        Assert.Null(stopped.Node.Quarantine);
    }

    public async Task KillAsync(NodeId node)
    {
        // No kill -9 within one process (tests/Chaos has that): the others lose it at once, it itself stops where it stands.
        Isolate(node);
        await StopAsync(node);
        Heal();
    }

    public void Isolate(NodeId node) => _proxy.Isolate(node.Value, _numbers);

    public void Heal() => _proxy.Heal();

    public async ValueTask DisposeAsync()
    {
        _proxy.Heal();
        foreach (var node in Running) await StopAsync(node);
        await _proxy.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    private async Task StartAsync(NodeId node, Guid? join)
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        var endpoint = (IPEndPoint)listener.LocalEndPoint!;
        AddressOf(node);
        _proxy.Route(node.Value, endpoint.Port);
        var members = _members.ToDictionary();
        if (join is not null) members[node] = AddressOf(node);
        var machine = new LedgerMachine();
        var options = _adjust(new RaftNodeOptions
        {
            DataDirectory = Path.Combine(_directory, $"node{node}"),
            Self = node,
            PeerEndpoint = endpoint,
            InitialMembers = members,
            ClusterName = "conformance",
            SegmentBytes = 4 * 1024 * 1024,
            BoundListener = listener,
            JoinClusterId = join,
        });
        _running[node] = (await RaftNode.StartAsync(options, _wrap(node, machine), null, CancellationToken.None), machine);
    }
}
