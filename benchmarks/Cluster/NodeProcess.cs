using System.Globalization;
using System.Net;
using System.Net.Sockets;
using RaftMirror.Consensus.Model;
using RaftMirror.Consensus.Node;

namespace RaftMirror.Benchmarks.Cluster;

/// <summary>`bench-node DIRECTORY ID PORT…`: one node of the engine with the key-value store, for clients on a port of the system's
/// choice, which it prints. Ends when its standard input does.</summary>
internal static class NodeProcess
{
    public static async Task<int> RunAsync(string[] args)
    {
        var self = new NodeId(ushort.Parse(args[1], CultureInfo.InvariantCulture));
        var members = args[2..].Select((port, i) => (Id: new NodeId((ushort)(i + 1)), Address: $"127.0.0.1:{port}"))
            .ToDictionary(member => member.Id, member => member.Address);
        var options = new RaftNodeOptions
        {
            DataDirectory = args[0],
            Self = self,
            PeerEndpoint = IPEndPoint.Parse(members[self]),
            InitialMembers = members,
            ClusterName = "benchmark",
        };
        var machine = new KeyValueMachine();
        await using var node = await RaftNode.StartAsync(options, machine, null, CancellationToken.None);
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(128);
        _ = Task.Run(() => AcceptAsync(listener, node, machine));
        await Console.Out.WriteLineAsync($"ready {((IPEndPoint)listener.LocalEndPoint!).Port}");
        var end = Console.In.ReadToEndAsync();
        if (await Task.WhenAny(end, node.Failure) == end) return 0;
        await Console.Error.WriteLineAsync((await node.Failure).ToString());
        return 1;
    }

    private static async Task AcceptAsync(Socket listener, RaftNode node, KeyValueMachine machine)
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

            var connection = new ClientConnection(socket, node, () => StatusOf(node, machine));
            new Thread(connection.Run) { IsBackground = true, Name = "client" }.Start();
        }
    }

    private static ProcessStatus StatusOf(RaftNode node, KeyValueMachine machine)
    {
        var status = node.Status;
        return new ProcessStatus(Environment.ProcessId, status.IsLeader, status.Epoch, machine.Applied, GC.GetTotalAllocatedBytes(precise: true));
    }
}
