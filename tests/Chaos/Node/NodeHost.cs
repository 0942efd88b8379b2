using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using RaftMirror.Consensus;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Chaos.Node;

/// <summary>
/// One node in a process of its own. Prints "ready CLIENT-PORT PEER-PORT", both of the system's choice, and ends in order when its standard
/// input does. Clients speak lines, one answer for each request:
/// <code>
/// W TAB command                 → C TAB result | N TAB reason (not committed) | U TAB reason (unknown)
/// R TAB key                     → C TAB state  | N TAB reason
/// T TAB node                    → C | N TAB reason            hand leadership over
/// S                             → C TAB leads? TAB epoch TAB applied TAB hash TAB repeats TAB quarantine, empty if there is none
/// </code>
/// </summary>
internal sealed class NodeHost
{
    private readonly NodeSettings _settings;
    private readonly ObjectStore _store;
    private readonly RaftNode _node;

    private NodeHost(NodeSettings settings, ObjectStore store, RaftNode node)
    {
        _settings = settings;
        _store = store;
        _node = node;
    }

    public static async Task<int> RunAsync(NodeSettings settings)
    {
        var peers = Listen();
        var options = new RaftNodeOptions
        {
            DataDirectory = settings.Directory,
            Self = new NodeId(settings.Self),
            PeerEndpoint = (IPEndPoint)peers.LocalEndPoint!,
            BoundListener = peers,
            InitialMembers = settings.Members(),
            ClusterName = "chaos",
            LeaseReads = settings.LeaseReads,
            SegmentBytes = 4 * 1024 * 1024,
            SnapshotEntries = 400,
            CheckpointEntries = 64,
            RequestTimeout = TimeSpan.FromSeconds(2),
        };
        var store = new ObjectStore(settings.Bug != Bug.NoSessions);
        await using var node = await RaftNode.StartAsync(options, store, null, CancellationToken.None);
        using var clients = Listen();
        var host = new NodeHost(settings, store, node);
        _ = Task.Run(() => host.AcceptAsync(clients));
        await Console.Out.WriteLineAsync($"ready {((IPEndPoint)clients.LocalEndPoint!).Port} {options.PeerEndpoint.Port}");
        var end = Console.In.ReadToEndAsync();
        if (await Task.WhenAny(end, node.Failure) == end) return 0;
        await Console.Error.WriteLineAsync((await node.Failure).ToString());
        return 1;
    }

    private static Socket Listen()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        return listener;
    }

    private async Task AcceptAsync(Socket listener)
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await listener.AcceptAsync();
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                return; // The process is ending.
            }

            _ = ServeAsync(socket);
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        socket.NoDelay = true;
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        using var reader = new StreamReader(stream, new UTF8Encoding(false));
        await using var writer = new StreamWriter(stream, new UTF8Encoding(false)) { NewLine = "\n", AutoFlush = true };
        try
        {
            while (await reader.ReadLineAsync() is { Length: > 0 } line)
            {
                var rest = line.Length > 2 ? line[2..] : string.Empty;
                await writer.WriteLineAsync(line[0] switch
                {
                    'W' => await WriteAsync(rest),
                    'R' => await ReadAsync(rest),
                    'T' => await TransferAsync(rest),
                    'S' => Status(),
                    _ => "N\tno such request",
                });
            }
        }
        catch (IOException)
        {
            // The client has gone; what it asked goes on.
        }
    }

    private async Task<string> WriteAsync(string command)
    {
        var proposal = _node.ProposeAsync(Encoding.UTF8.GetBytes(command), null, CancellationToken.None).AsTask();
        if (_settings.Bug == Bug.EarlyAcknowledgement) return $"C\t{_store.Guess(command)}";
        var result = await proposal;
        return result.Outcome switch
        {
            ProposalOutcome.Committed => $"C\t{Encoding.UTF8.GetString(result.Result.Span)}",
            ProposalOutcome.NotCommitted => $"N\t{result.Reason}",
            _ => $"U\t{result.Reason}",
        };
    }

    private async Task<string> ReadAsync(string key)
    {
        try
        {
            if (_settings.Bug != Bug.StaleReads) await _node.ReadBarrierAsync(CancellationToken.None);
            return $"C\t{_store.Read(key)}";
        }
        catch (NoLeaderException error)
        {
            return $"N\t{error.Message}";
        }
    }

    private async Task<string> TransferAsync(string target)
    {
        var node = new NodeId(ushort.Parse(target, CultureInfo.InvariantCulture));
        return await _node.TransferLeadershipAsync(node, CancellationToken.None) is { } error ? $"N\t{error}" : "C\t";
    }

    private string Status()
    {
        var status = _node.Status;
        var (applied, hash, repeats) = _store.Mark;
        return $"C\t{status.IsLeader}\t{status.Epoch}\t{applied}\t{hash:x16}\t{repeats}\t{_node.Quarantine}";
    }
}
