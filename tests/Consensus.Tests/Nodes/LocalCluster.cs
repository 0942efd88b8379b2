using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>Remembers what it applied, and answers with position and text.</summary>
internal sealed class RecordingMachine : IStateMachine
{
    public ConcurrentQueue<(ulong Position, string Command)> Applied { get; } = new();

    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        var text = Encoding.UTF8.GetString(command);
        Invariant.Require(text != "explode", "A test asked for it.");
        Applied.Enqueue((position.Value, text));
        StateHash = (StateHash * 31) + Crc32C.Compute(command) + position.Value;
        return Encoding.UTF8.GetBytes($"{position.Value}:{text}");
    }

    public ulong StateHash { get; private set; }

    public ISnapshotSource BeginSnapshot() => new Snapshot(StateHash, [.. Applied]);

    public void Restore(Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        Applied.Clear();
        StateHash = reader.ReadUInt64();
        for (var count = reader.ReadInt32(); count > 0; count--) Applied.Enqueue((reader.ReadUInt64(), reader.ReadString()));
    }

    private sealed class Snapshot(ulong hash, (ulong Position, string Command)[] applied) : ISnapshotSource
    {
        public void WriteTo(Stream destination)
        {
            using var writer = new BinaryWriter(destination, Encoding.UTF8, leaveOpen: true);
            writer.Write(hash);
            writer.Write(applied.Length);
            foreach (var (position, command) in applied)
            {
                writer.Write(position);
                writer.Write(command);
            }
        }
    }
}

/// <summary>Real nodes in this process, over loopback TCP and real files.</summary>
internal sealed class LocalCluster : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly string _directory = Directory.CreateTempSubdirectory("raft-mirror-test-").FullName;
    private readonly Dictionary<NodeId, Socket> _listeners = [];
    private readonly Dictionary<NodeId, string> _members = [];

    private readonly Func<RaftNodeOptions, RaftNodeOptions> _adjust;

    public LocalCluster(int size, Func<RaftNodeOptions, RaftNodeOptions>? adjust = null)
    {
        _adjust = adjust ?? (options => options);
        for (ushort id = 1; id <= size; id++)
        {
            var listener = Listen(0);
            _listeners.Add(new NodeId(id), listener);
            _members.Add(new NodeId(id), listener.LocalEndPoint!.ToString()!);
        }
    }

    public Dictionary<NodeId, RaftNode> Nodes { get; } = [];

    public Dictionary<NodeId, RecordingMachine> Machines { get; } = [];

    public static async Task<LocalCluster> StartAsync(int size, Func<RaftNodeOptions, RaftNodeOptions>? adjust = null)
    {
        var cluster = new LocalCluster(size, adjust);
        foreach (var id in cluster._members.Keys) await cluster.StartAsync(id);
        return cluster;
    }

    public RaftNodeOptions Options(NodeId id) => new()
    {
        DataDirectory = Path.Combine(_directory, $"node{id}"),
        Self = id,
        PeerEndpoint = IPEndPoint.Parse(_members[id]),
        InitialMembers = _members,
        ClusterName = "test",
        SegmentBytes = 4 * 1024 * 1024,
        BoundListener = _listeners.Remove(id, out var listener) ? listener : Listen(IPEndPoint.Parse(_members[id]).Port),
    };

    public async Task StartAsync(NodeId id)
    {
        var machine = new RecordingMachine();
        Nodes[id] = await RaftNode.StartAsync(_adjust(Options(id)), machine, null, CancellationToken.None);
        Machines[id] = machine;
    }

    public async Task StopAsync(NodeId id)
    {
        Nodes.Remove(id, out var node);
        Machines.Remove(id);
        await node!.DisposeAsync();
    }

    /// <summary>Waits until a node says that it leads, and returns it.</summary>
    public async Task<RaftNode> LeaderAsync()
    {
        var found = new TaskCompletionSource<RaftNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        foreach (var node in Nodes.Values)
        {
            node.StatusChanged += status =>
            {
                if (status.IsLeader) found.TrySetResult(node);
            };
            if (node.Status.IsLeader) found.TrySetResult(node);
        }

        return await found.Task.WaitAsync(Patience);
    }

    public RaftNode Follower(RaftNode leader) => Nodes.Values.First(node => node != leader);

    public static async Task<string> CommitAsync(RaftNode node, string command)
    {
        var result = await node.ProposeAsync(Encoding.UTF8.GetBytes(command), null, CancellationToken.None).AsTask().WaitAsync(Patience);
        Assert.True(result.Outcome == ProposalOutcome.Committed, $"{command}: {result.Outcome}, {result.Reason}");
        return Encoding.UTF8.GetString(result.Result.Span);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes.Values) await node.DisposeAsync();
        foreach (var listener in _listeners.Values) listener.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private static Socket Listen(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
        socket.Listen(128);
        return socket;
    }
}
