using System.Text.Json.Nodes;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>The command line, as a script uses it.</summary>
internal sealed partial class TestCluster
{
    private static readonly TimeSpan CliLimit = TimeSpan.FromSeconds(120);

    /// <summary>Runs a verb against every running node, the first that answers serving it; it must succeed.</summary>
    public async Task<CliResult> CliAsync(params string[] arguments)
    {
        var nodes = Nodes.Where(node => node is { IsRunning: true, IsStopped: false }).Select(node => node.Api.ToString());
        return (await RunCliAsync([.. arguments, "--node", string.Join(',', nodes), "-o", "json"])).Expect();
    }

    /// <summary>Runs the command line exactly as given.</summary>
    public static Task<CliResult> RunCliAsync(params string[] arguments) => RunCliAsync(new Dictionary<string, string>(), arguments);

    /// <summary>The same with further variables.</summary>
    public static async Task<CliResult> RunCliAsync(IReadOnlyDictionary<string, string> environment, string[] arguments)
    {
        var variables = new Dictionary<string, string?> { ["RAFTMIRROR_NODES"] = null, ["OTEL_EXPORTER_OTLP_ENDPOINT"] = null };
        foreach (var (name, value) in environment) variables[name] = value;
        return new CliResult(await ProcessResult.RunAsync(Dotnet, [Program, .. arguments], CliLimit, variables));
    }

    /// <summary>The events of the log, oldest first.</summary>
    public async Task<IReadOnlyList<JsonNode>> EventsAsync(ulong since = 0)
    {
        var nodes = Nodes.Where(node => node is { IsRunning: true, IsStopped: false }).Select(node => node.Api.ToString());
        var result = await RunCliAsync(
            "event", "list", "--since", since.ToString(), "--node", string.Join(',', nodes), "-o", "jsonl");
        return result.Expect().JsonLines;
    }

    /// <summary>Index of the newest event.</summary>
    public async Task<ulong> LastEventAsync() => (await EventsAsync()) is [.., var last] ? (ulong)last["index"]! : 0;

    /// <summary>Makes a set of all nodes with disks of the size given, as sparse files d0, d1, …</summary>
    public async Task<IReadOnlyList<string>> CreateSetAsync(string set, int disks, int megabytes, params string[] options)
    {
        await CliAsync(["set", "create", set, "--nodes", string.Join(',', Nodes.Select(node => node.Name)), .. options]);
        var paths = new List<string>();
        for (var i = 0; i < disks; i++)
        {
            paths.Add(CreateDisk($"{set}-d{i}", megabytes));
            await CliAsync("disk", "add", set, $"d{i}", paths[i]);
        }

        return paths;
    }

    /// <summary>Makes a set without disks, by HTTP, to fill the log.</summary>
    public async Task CreateEmptySetAsync(NodeProcess node, string set)
    {
        var (isDone, answer) = await TryCreateEmptySetAsync(node, set);
        Assert.True(isDone, answer);
    }

    /// <summary>The same; it may be refused.</summary>
    public async Task<(bool IsDone, string Answer)> TryCreateEmptySetAsync(NodeProcess node, string set)
    {
        var request = new JsonObject
        {
            ["type"] = "createSet",
            ["requestId"] = Guid.CreateVersion7().ToString(),
            ["by"] = "test",
            ["timeoutMs"] = 30_000,
            ["body"] = new JsonObject { ["set"] = set, ["nodes"] = new JsonArray(node.Name), ["maxNodes"] = 4, ["metadataBytes"] = null, ["fencing"] = "Lease" },
        };
        using var content = new StringContent(request.ToJsonString(), System.Text.Encoding.UTF8, "application/json");
        using var answer = await _http.PostAsync(new Uri(node.Api, "/v1/commands"), content);
        return (answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
    }

    /// <summary>Makes a mirror on d0 and d1 and waits until every node serves it.</summary>
    public async Task CreateMirrorAsync(string volume, string size, params string[] options)
    {
        await CliAsync(["mirror", "create", volume, "--size", size, "--on", "d0,d1", .. options]);
        await WaitUntilHealthyAsync(volume);
    }

    /// <summary>Deletes a mirror. A server notices that a client has gone only a moment after the client has, so this is repeated.</summary>
    public async Task DeleteMirrorAsync(string volume)
    {
        CliResult? last = null;
        await Eventually.TrueAsync($"{volume} is deleted", TimeSpan.FromSeconds(20), async () =>
        {
            last = await Nodes[0].CliAsync("mirror", "delete", volume);
            return last.ExitCode == 0;
        }, () => last?.ToString() ?? "");
    }

    /// <summary>A file that takes space only where something is written.</summary>
    public string CreateDisk(string name, int megabytes)
    {
        var path = Path.Combine(Root, name + ".img");
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        file.SetLength((long)megabytes << 20);
        return path;
    }

    /// <summary>A path for a test's own file.</summary>
    public string File(string name) => Path.Combine(Root, name);

    /// <summary>The volume as status shows it.</summary>
    public async Task<JsonNode> VolumeAsync(NodeProcess node, string volume)
    {
        var (set, name) = Split(volume);
        var status = await StatusAsync(node);
        var found = status["disksets"]!.AsArray().FirstOrDefault(item => (string?)item!["name"] == set)?["volumes"]!.AsArray()
            .FirstOrDefault(item => (string?)item!["name"] == name);
        Assert.True(found is not null, $"{volume} is not in {status.ToJsonString()}");
        return found;
    }

    /// <summary>Name of the owner, or null.</summary>
    public async Task<string?> OwnerAsync(NodeProcess node, string volume) =>
        (string?)(await VolumeAsync(node, volume))["owner"]?["node"];
}
