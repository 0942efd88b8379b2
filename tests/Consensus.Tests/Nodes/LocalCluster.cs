using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;
using RaftMirror.Primitives;

namespace RaftMirror.Consensus.Tests.Nodes;

/// <summary>Remembers what it applied, and answers with position and text.</summary>
internal sealed class RecordingMachine : IStateMachine
{
    private int _corruption;

    public ConcurrentQueue<(ulong Position, string Command)> Applied { get; } = new();

    public ReadOnlyMemory<byte> Apply(LogPosition position, ulong epoch, ReadOnlySpan<byte> command)
    {
        var text = Encoding.UTF8.GetString(command);
        Invariant.Require(text != "explode", "A test asked for it.");
        Applied.Enqueue((position.Value, text));
        StateHash = (StateHash * 31) + Crc32C.Compute(command) + position.Value + (ulong)Interlocked.Exchange(ref _corruption, 0);
        return Encoding.UTF8.GetBytes($"{position.Value}:{text}");
    }

    public ulong StateHash { get; private set; }

    public int Restores { get; private set; }

    /// <summary>Makes this node's state differ from the others', from the next command on. Any thread.</summary>
    public void Corrupt() => Interlocked.Exchange(ref _corruption, 1);

    public ISnapshotSource BeginSnapshot() => new Snapshot(StateHash, [.. Applied]);

    public void Restore(Stream content)
    {
        using var reader = new BinaryReader(content, Encoding.UTF8, leaveOpen: true);
        Restores++;
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
    private readonly Dictionary<NodeId, string> _joined = [];

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

    /// <summary>Changes the options of every node that is started from now on.</summary>
    public Func<RaftNodeOptions, RaftNodeOptions> Configure { get; set; } = options => options;

    public Dictionary<NodeId, RaftNode> Nodes { get; } = [];

    public Dictionary<NodeId, RecordingMachine> Machines { get; } = [];

    public static async Task<LocalCluster> StartAsync(int size, Func<RaftNodeOptions, RaftNodeOptions>? adjust = null)
    {
        var cluster = new LocalCluster(size, adjust);
        foreach (var id in cluster._members.Keys) await cluster.StartAsync(id);
        return cluster;
    }

    public RaftNodeOptions Options(NodeId id) => Configure(FirstOptions(id));

    /// <summary>The address of a node, a new one's too.</summary>
    public string AddressOf(NodeId id)
    {
        if (_members.TryGetValue(id, out var known)) return known;
        var listener = Listen(0);
        _listeners.Add(id, listener);
        return _joined[id] = _members[id] = listener.LocalEndPoint!.ToString()!;
    }

    /// <summary>Starts a node that joins: the cluster gave it its number before.</summary>
    public async Task JoinAsync(NodeId id, Guid clusterId)
    {
        AddressOf(id);
        var machine = new RecordingMachine();
        Nodes[id] = await RaftNode.StartAsync(Options(id) with { JoinClusterId = clusterId }, machine, null, CancellationToken.None);
        Machines[id] = machine;
    }

    /// <summary>Waits until a node has applied what <paramref name="other"/> has applied now.</summary>
    public static async Task CaughtUpAsync(RaftNode node, RaftNode other)
    {
        var position = other.Status.Applied;
        await node.WaitAppliedAsync(position, CancellationToken.None).AsTask().WaitAsync(Patience);
    }

    public string DirectoryOf(NodeId id) => Path.Combine(_directory, $"node{id}");

    private RaftNodeOptions FirstOptions(NodeId id) => new()
    {
        DataDirectory = Path.Combine(_directory, $"node{id}"),
        Self = id,
        PeerEndpoint = IPEndPoint.Parse(_members[id]),
        InitialMembers = _joined.ContainsKey(id) ? _members : _members.Where(member => !_joined.ContainsKey(member.Key)).ToDictionary(),
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

    /// <summary>Commits a command. What a leader did not commit that lost its place meanwhile, as may happen on a loaded machine, is
    /// proposed again.</summary>
    /// <returns>The state machine's result.</returns>
    public static async Task<string> CommitAsync(RaftNode node, string command)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            var before = node.Status.Epoch;
            var result = await node.ProposeAsync(Encoding.UTF8.GetBytes(command), null, CancellationToken.None).AsTask().WaitAsync(Patience);
            if (result.Outcome == ProposalOutcome.Committed) return Encoding.UTF8.GetString(result.Result.Span);
            var isExcused = result.Outcome == ProposalOutcome.NotCommitted && node.Status.Epoch > before && !patience.IsCancellationRequested;
            Assert.True(isExcused, $"{command}: {result.Outcome}, {result.Reason}; epoch {before} before, now {node.Status}");
        }
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
