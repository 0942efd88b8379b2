using System.CommandLine;
using System.Net;
using RaftMirror.Cli.CommandLine;
using RaftMirror.Cli.Rendering;
using RaftMirror.Consensus.Transport;
using RaftMirror.Contracts;
using RaftMirror.Contracts.Client;
using RaftMirror.Node.Hosting;
using RaftMirror.Node.Peers;

namespace RaftMirror.Cli.Verbs;

/// <summary>Nodes: the daemon's options and the list.</summary>
internal sealed partial class CommandTree
{
    private const int MaxSocketPathBytes = 107; // sun_path, without its terminator.

    private static readonly string[] TimeOptions = ["--lease-ms", "--completion-ms", "--margin-ms", "--election-ms", "--heartbeat-ms"];

    private void AddNode()
    {
        var group = AddGroup("node", "Nodes of the cluster.");
        var name = new Option<string>("--name") { HelpName = "NAME", Required = true, Description = "This node's name." };
        var data = new Option<string>("--data") { HelpName = "DIR", Required = true, Description = "Its log and state; made if it is missing." };
        var api = new Option<string>("--api") { HelpName = "HOST:PORT", Required = true, Description = "HTTP API, loopback only." };
        var peer = new Option<string>("--peer") { HelpName = "HOST:PORT", Required = true, Description = "Where other nodes connect; off this host with --peer-cert only." };
        var nbd = new Option<string>("--nbd") { HelpName = "HOST:PORT[,unix:PATH]", Required = true, Description = "NBD server, loopback only." };
        var cluster = new Option<string>("--cluster") { HelpName = "a=HOST:PORT,…", Description = "A new cluster: peer addresses of its nodes. First start only; later ignored." };
        var join = new Option<string>("--join") { HelpName = "URL[,URL…]", Description = "A running cluster to enter, by the APIs of its nodes. First start only; later ignored." };
        var peerCert = new Option<string>("--peer-cert") { HelpName = "FILE", Description = "Mutual TLS between nodes: certificate for DNS:node-N (PEM)." };
        var peerKey = new Option<string>("--peer-key") { HelpName = "FILE", Description = "Its private key (PEM)." };
        var peerCa = new Option<string>("--peer-ca") { HelpName = "FILE", Description = "The authority that signed all nodes' certificates (PEM)." };
        var diskDirs = new Option<string>("--disk-dirs")
        {
            HelpName = "DIR[,DIR…]",
            Description = $"Where disks are looked for by their labels when their paths have changed. Default {DataPlane.Metadata.DiskFinder.DefaultDirectory}; none: an empty value.",
        };
        var clusterName = new Option<string>("--cluster-name") { HelpName = "NAME", Hidden = true };
        var snapshotEntries = new Option<int?>("--snapshot-entries") { HelpName = "N", Hidden = true, Description = "For tests; the same on all nodes." };
        var logSegment = new Option<string>("--log-segment") { HelpName = "SIZE", Hidden = true, Description = "Of the replicated log's files, 4M to 1G. For tests." };
        var faultHash = new Option<ulong>("--fault-hash-from") { HelpName = "INDEX", Hidden = true, Description = "Fault injection for tests: a wrong state hash from this log index on." };
        var times = TimeOptions.Select(option => new Option<int?>(option) { HelpName = "MS", Hidden = true, Description = "For tests." }).ToArray();
        var run = new Command("run", "Runs a node in the foreground.") { name, data, api, peer, nbd, cluster, join, diskDirs, peerCert, peerKey, peerCa, clusterName, snapshotEntries, logSegment, faultHash };
        foreach (var time in times) run.Options.Add(time);
        Add(group, run, async (parsed, _, token) =>
        {
            var tls = PeerTls(parsed.GetValue(peerCert), parsed.GetValue(peerKey), parsed.GetValue(peerCa));
            var options = CheckNode(new NodeRunOptions
            {
                Name = Arguments.Name(parsed.GetRequiredValue(name), "node"),
                DataDirectory = Path.GetFullPath(parsed.GetRequiredValue(data)),
                Api = Loopback("--api", parsed.GetRequiredValue(api)),
                Peer = PeerAddress("--peer", parsed.GetRequiredValue(peer), tls),
                PeerTls = tls,
                Nbd = Loopback("--nbd", parsed.GetRequiredValue(nbd).Split(',')[0]),
                NbdSocket = NbdSocket(parsed.GetRequiredValue(nbd)),
                Cluster = parsed.GetValue(cluster) is { } members ? ParseCluster(members, tls) : new SortedDictionary<string, HostPort>(StringComparer.Ordinal),
                Join = parsed.GetValue(join) is { } running ? ParseJoin(running) : [],
                SnapshotEntries = parsed.GetValue(snapshotEntries) is { } entries
                    ? entries >= 16 ? entries : throw CliFailure.Usage($"--snapshot-entries: {entries} is less than 16.") : null,
                LogSegmentBytes = parsed.GetValue(logSegment) is { } segment ? LogSegment(segment) : null,
                FaultHashFrom = parsed.GetValue(faultHash),
            });
            if (parsed.GetValue(diskDirs) is { } directories) options = options with { DiskDirectories = ParseDirectories(directories) };
            if (parsed.GetValue(clusterName) is { } text) options = options with { ClusterName = Arguments.Name(text, "cluster") };
            options = WithTimes(options, [.. times.Select(time => Time(time.Name, parsed.GetValue(time)))]);
            return await _runNode(options, token) ? ExitCode.Ok : ExitCode.StoppedUnclean;
        });
        Add(group, new Command("list", "Lists the nodes."), async (_, context, token) =>
        {
            using var client = context.Connect();
            var document = await client.StatusAsync(null, null, stale: false, token);
            if (context.IsJson)
                context.WriteJson(new NodesDocument(document.Index, document.AnsweredBy, document.Nodes), ApiJson.Indented.NodesDocument);
            else StatusRenderer.NodeTable(document.AnsweredBy, document.Nodes).Write(context.Terminal);
            return ExitCode.Ok;
        });
        AddConfirmOff(group);
    }

    private void AddConfirmOff(Command group)
    {
        var node = new Argument<string>("NODE") { Description = "A node that is down." };
        var confirm = new Option<string>("--confirm") { HelpName = "NODE", Description = "Its name once more, to say that you have seen that its machine is off." };
        var command = new Command(
            "confirm-off",
            "Says that the machine of a node that is down is switched off for good, or was rebooted: lost disks wait for its calls no more (RM1204).") { node, confirm };
        Add(group, command, (parsed, context, token) =>
        {
            var name = Arguments.Name(parsed.GetRequiredValue(node), "node");
            var confirmed = parsed.GetValue(confirm);
            if (confirmed is not null && confirmed != name) throw CliFailure.Usage($"--confirm: the node is '{name}', not '{confirmed}'.");
            if (confirmed is null && !context.IsDryRun)
            {
                throw new CliFailure(ExitCode.Refused, new Problem
                {
                    Title = "Not confirmed",
                    Status = 409,
                    Detail = $"If the machine of '{name}' still runs, calls of it may land on disks after newer data was written there, and acknowledged data is lost.",
                    Code = "notConfirmed",
                    Applied = "no",
                    Help = $"See that it is switched off, or was rebooted; then give --confirm {name}.",
                });
            }

            return context.SubmitAsync(
                CommandTypes.ConfirmNodeOff, new ConfirmNodeOffOperation(name), OperationJson.Default.ConfirmNodeOffOperation,
                result => $"the machine of {name} counts as off: no disk waits for calls of it any more (index {result.Index})", token);
        });
    }

    private static NodeRunOptions CheckNode(NodeRunOptions options)
    {
        if (options.Cluster.Count > 0 && options.Join.Count > 0)
            throw CliFailure.Usage("--cluster makes a new cluster and --join enters a running one: give one of them.");
        if (options.Cluster.Count == 0 && options.Join.Count == 0 && !FirstStart.Exists(options.DataDirectory)
            && !FirstStart.IsMissing(options.DataDirectory))
        {
            throw CliFailure.Usage(
                $"{options.DataDirectory} is no node's yet.", "Give --cluster to make a new cluster, or --join with the API of a node of the cluster to enter.");
        }

        if (options.Cluster.Count > 0)
        {
            if (!options.Cluster.TryGetValue(options.Name, out var own))
                throw CliFailure.Usage($"--cluster does not name this node, '{options.Name}'.", "Give every node the same --cluster.");
            if (own.Port != options.Peer.Port || !own.Address.Equals(options.Peer.Address))
                throw CliFailure.Usage($"--cluster says {options.Name}={own}, but --peer is {options.Peer}.", "Both must be the same address.");
        }

        if (options.Peer.Port == 0) throw CliFailure.Usage("--peer: port 0 would be another one at every start; name a port.");
        if (System.Text.Encoding.UTF8.GetByteCount(options.ApiSocket) > MaxSocketPathBytes)
            throw CliFailure.Usage($"--data: {options.ApiSocket} is longer than a Unix socket's path may be.", "Choose a shorter directory.");
        if (File.Exists(options.DataDirectory)) throw CliFailure.Usage($"--data: {options.DataDirectory} is a file.");
        return options;
    }

    private static HostPort Loopback(string option, string text) =>
        HostPort.TryParseLoopback(text, out var result) is { } error ? throw CliFailure.Usage($"{option}: {error}") : result;

    /// <summary>Off the host only where every peer must show who it is.</summary>
    private static HostPort PeerAddress(string option, string text, PeerTlsOptions? tls)
    {
        if (HostPort.TryParse(text, out var result) is { } error) throw CliFailure.Usage($"{option}: {error}");
        if (tls is null && !IPAddress.IsLoopback(result.Address))
        {
            throw CliFailure.Usage(
                $"{option}: '{text}' is not a loopback address. Off the host, nodes must prove to each other who they are.",
                "Give --peer-cert, --peer-key and --peer-ca, or use 127.0.0.1.");
        }

        if (result.Address.Equals(IPAddress.Any) || result.Address.Equals(IPAddress.IPv6Any))
            throw CliFailure.Usage($"{option}: '{text}' is no address that another node can dial.");
        return result;
    }

    private static PeerTlsOptions? PeerTls(string? certificate, string? key, string? authority)
    {
        if (certificate is null && key is null && authority is null) return null;
        if (certificate is null || key is null || authority is null)
            throw CliFailure.Usage("--peer-cert, --peer-key and --peer-ca belong together.", "Give all three, or none.");
        Readable("--peer-cert", certificate);
        Readable("--peer-key", key);
        Readable("--peer-ca", authority);
        return new PeerTlsOptions(Path.GetFullPath(certificate), Path.GetFullPath(key), Path.GetFullPath(authority));

        static void Readable(string option, string path)
        {
            if (!File.Exists(path)) throw CliFailure.Usage($"{option}: there is no file {path}.");
        }
    }

    private static string? NbdSocket(string text)
    {
        var parts = text.Split(',');
        if (parts.Length == 1) return null;
        if (parts.Length > 2 || !parts[1].StartsWith("unix:/", StringComparison.Ordinal))
            throw CliFailure.Usage($"--nbd: '{text}' is not HOST:PORT[,unix:PATH] with an absolute path.");
        var path = parts[1]["unix:".Length..];
        return System.Text.Encoding.UTF8.GetByteCount(path) <= MaxSocketPathBytes
            ? path
            : throw CliFailure.Usage($"--nbd: '{path}' is longer than a Unix socket's path may be.");
    }

    private static SortedDictionary<string, HostPort> ParseCluster(string text, PeerTlsOptions? tls)
    {
        var nodes = new SortedDictionary<string, HostPort>(StringComparer.Ordinal);
        foreach (var item in text.Split(',', StringSplitOptions.TrimEntries))
        {
            var equals = item.IndexOf('=');
            if (equals <= 0) throw CliFailure.Usage($"--cluster: '{item}' is not NAME=HOST:PORT.");
            var address = PeerAddress("--cluster", item[(equals + 1)..], tls);
            if (!nodes.TryAdd(Arguments.Name(item[..equals], "node"), address)) throw CliFailure.Usage($"--cluster: {item[..equals]} is named twice.");
        }

        return nodes.Values.Distinct().Count() == nodes.Count
            ? nodes
            : throw CliFailure.Usage("--cluster: two nodes have the same address.");
    }

    private static string[] ParseDirectories(string text)
    {
        var directories = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var directory in directories)
        {
            if (!Path.IsPathRooted(directory)) throw CliFailure.Usage($"--disk-dirs: '{directory}' is not an absolute path.");
        }

        return directories;
    }

    private static IReadOnlyList<NodeAddress> ParseJoin(string text) =>
        NodeAddress.TryParseList(text, out var nodes) is { } error ? throw CliFailure.Usage("--join: " + error) : nodes;

    private static long LogSegment(string text) => Arguments.Size(text, "--log-segment") is var bytes and >= 4 << 20 and <= 1 << 30 && bytes % 4096 == 0
        ? bytes
        : throw CliFailure.Usage($"--log-segment: '{text}' is not from 4M to 1G in multiples of 4096 bytes.");

    private static TimeSpan? Time(string option, int? milliseconds) => milliseconds switch
    {
        null => null,
        >= 10 and <= 600_000 => TimeSpan.FromMilliseconds(milliseconds.Value),
        _ => throw CliFailure.Usage($"{option}: {milliseconds} is not from 10 to 600000."),
    };

    private static NodeRunOptions WithTimes(NodeRunOptions options, TimeSpan?[] times)
    {
        var result = options with
        {
            Lease = times[0] ?? options.Lease,
            WorstCompletion = times[1] ?? options.WorstCompletion,
            Margin = times[2] ?? options.Margin,
            Election = times[3] ?? options.Election,
            Heartbeat = times[4] ?? options.Heartbeat,
        };
        if (result.Heartbeat * 2 > result.Election)
            throw CliFailure.Usage("--heartbeat-ms must be at most half of --election-ms, or a lost packet starts an election.");
        return result;
    }
}
