using System.Text.Json.Nodes;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Starting, waiting and asking.</summary>
internal sealed partial class TestCluster
{
    private static readonly string Dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "node", "raftmirror.dll");

    /// <summary>The program, for a shell.</summary>
    public static string CommandLine => $"'{Dotnet}' '{Program}'";

    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };

    /// <summary>Starts a node, for the first time or again, and does not wait.</summary>
    public void Start(NodeProcess node) => node.Start(
        [
            Dotnet, Program, "node", "run",
            "--name", node.Name,
            "--data", node.Directory,
            "--api", node.Api.Authority,
            "--peer", node.Peer,
            "--nbd", $"127.0.0.1:{node.NbdPort},unix:{node.NbdSocket}",
            .. node.Origin ?? ["--cluster", _founders],
            .. node.Arguments,
        ],
        _environment);

    /// <summary>Starts a node again and waits until it is ready. Its port may have become some client's meanwhile.</summary>
    public async Task RestartAsync(NodeProcess node)
    {
        await Eventually.TrueAsync($"node {node.Name} can listen again", StartLimit, async () =>
        {
            if (!node.IsRunning) Start(node);
            try
            {
                await WaitUntilReadyAsync(node);
                return true;
            }
            catch (PortTakenException)
            {
                return false;
            }
        });
    }

    /// <summary>Waits until the nodes given (or all) answer, know a leader and are up in the replicated state.</summary>
    public async Task WaitUntilReadyAsync(params NodeProcess[] nodes)
    {
        foreach (var node in nodes.Length == 0 ? Nodes : nodes)
        {
            await Eventually.TrueAsync($"node {node.Name} is ready", StartLimit, async () =>
            {
                ThrowIfEnded(node);
                var self = (await StatusAsync(node))["nodes"]!.AsArray().FirstOrDefault(item => (string?)item!["name"] == node.Name);
                return (string?)self?["state"] == "up";
            });
        }
    }

    /// <summary>The status as a node sees it.</summary>
    public async Task<JsonNode> StatusAsync(NodeProcess node) =>
        JsonNode.Parse(await _http.GetStringAsync(new Uri(node.Api, "/v1/status")))!;

    /// <summary>The name of the leader, as the nodes that answer agree.</summary>
    public Task<NodeProcess> LeaderAsync() => Eventually.GetAsync("there is a leader", StartLimit, async () =>
    {
        var asked = Nodes.First(node => node is { IsRunning: true, IsStopped: false });
        return (string?)(await StatusAsync(asked))["leader"] is { } name ? this[name] : null;
    });

    /// <summary>Waits until a volume's state is okay, nothing is owed and every node given serves it.</summary>
    public async Task WaitUntilHealthyAsync(string volume, params NodeProcess[] nodes)
    {
        var (set, name) = Split(volume);
        var serving = nodes.Length == 0 ? Nodes : nodes;
        JsonNode? last = null;
        await Eventually.TrueAsync($"{volume} is healthy on {string.Join(", ", serving.Select(node => node.Name))}", StartLimit, async () =>
        {
            last = await StatusAsync(serving[0]);
            var diskset = last["disksets"]!.AsArray().FirstOrDefault(item => (string?)item!["name"] == set);
            var found = diskset?["volumes"]!.AsArray().FirstOrDefault(item => (string?)item!["name"] == name);
            if ((string?)found?["state"] != "okay" || found!["resync"] is not null) return false;
            foreach (var node in serving)
            {
                var member = diskset!["nodes"]!.AsArray().FirstOrDefault(item => (string?)item!["name"] == node.Name);
                if ((bool?)member?["joined"] != true || (string?)member!["state"] != "up") return false;
                await using var client = await Nbd.NbdClient.ConnectAsync(node, volume);
            }

            return true;
        }, () => last?.ToJsonString() ?? "no status");
    }

    /// <summary>SET and VOLUME of SET/VOLUME.</summary>
    public static (string Set, string Volume) Split(string volume)
    {
        var parts = volume.Split('/');
        return (parts[0], parts[1]);
    }

    private static void ThrowIfEnded(NodeProcess node)
    {
        if (node.IsRunning) return;
        var output = node.Output();
        if (output.Contains("in use", StringComparison.OrdinalIgnoreCase)) throw new PortTakenException(output);
        throw new InvalidOperationException($"Node {node.Name} ended with {node.ExitCode}:\n{output}");
    }
}
