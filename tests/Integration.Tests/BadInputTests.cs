using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Primitives;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>What cannot be done is refused with the right exit code and a helpful sentence, and changes nothing.</summary>
[Collection(SharedClusterTests.Name)]
public sealed class BadInputTests(SharedCluster shared, ITestOutputHelper output)
{
    private const int Usage = 2;
    private const int NotFound = 3;
    private const int Refused = 4;
    private const int Unavailable = 6;

    private readonly TestCluster _cluster = shared.Cluster;
    private readonly List<string> _ids = [];

    [ToolFact("mkfs.ext4")]
    public Task Disk_ThatIsNotFitForTheSet_IsRefused() => UnchangedAsync(async () =>
    {
        var small = _cluster.CreateDisk("small", 1);
        await RefusedAsync(Refused, "small", "disk", "add", "main", "x1", small);
        var missing = _cluster.File("missing.img");
        await RefusedAsync(Refused, "missing.img", "disk", "add", "main", "x2", missing);
        Assert.False(File.Exists(missing), "a missing disk was created");
        await RefusedAsync(Refused, _cluster.Root, "disk", "add", "main", "x3", _cluster.Root);
        var text = _cluster.File("foreign.img");
        await Tool.RunAsync("mkfs.ext4", TimeSpan.FromSeconds(30), "-q", "-F", text, "128M");
        var before = await RealInput.HashAsync(text);
        await RefusedAsync(Refused, "", "disk", "add", "main", "x4", text);
        Assert.Equal(before, await RealInput.HashAsync(text));
        await RefusedAsync(Refused, "relative/path.img", "disk", "add", "main", "x5", "relative/path.img");
    });

    [Fact]
    public async Task Disk_OfAnotherSetOrCluster_IsRefused()
    {
        // A whole other cluster, of nodes with the same names: its disk carries its label.
        var foreign = _cluster.File("theirs.img");
        await using (var other = await TestCluster.StartAsync())
        {
            await other.WatchAsync(output, async () =>
            {
                var path = (await other.CreateSetAsync("theirs", disks: 1, megabytes: 256))[0];
                await Tool.RunAsync("cp", TimeSpan.FromSeconds(30), "--sparse=always", path, foreign);
            });
        }

        var ours = (await _cluster.CreateSetAsync("second", disks: 1, megabytes: 256))[0];
        await UnchangedAsync(async () =>
        {
            var theirCluster = ClusterNamedIn(await RefusedAsync(Refused, "cluster", "disk", "add", "main", "x1", foreign));
            var ourCluster = ClusterNamedIn(await RefusedAsync(Refused, ours, "disk", "add", "main", "x2", ours));
            Assert.NotEqual(ourCluster, theirCluster);
            await RefusedAsync(Refused, "", "disk", "add", "second", "x3", ours);
        });
    }

    [Fact]
    public Task Names_TakenOrUnknown_AreRefused() => UnchangedAsync(async () =>
    {
        await RefusedAsync(Refused, "main", "set", "create", "main", "--nodes", "a,b,c");
        await RefusedAsync(Refused, "d0", "disk", "add", "main", "d0", _cluster.CreateDisk("again", 256));
        await RefusedAsync(NotFound, "nosuch", "set", "show", "nosuch");
        await RefusedAsync(NotFound, "nosuch", "mirror", "show", "main/nosuch");
        await RefusedAsync(NotFound, "nosuch", "mirror", "delete", "main/nosuch");
        await RefusedAsync(NotFound, "nosuch", "disk", "add", "nosuch", "d9", _cluster.File("again.img"));
        await RefusedAsync(NotFound, "nosuch", "owner", "move", "main/nosuch", "--to", "a");
        await RefusedAsync(NotFound, "nosuch", "set", "create", "more", "--nodes", "a,nosuch");
        await RefusedAsync(NotFound, "nosuch", "mirror", "create", "main/m", "--size", "16M", "--on", "d0,nosuch");
        await RefusedAsync(NotFound, "nosuch", "submirror", "map", "main/nosuch");
        await RefusedAsync(NotFound, "nosuch", "wait", "main/nosuch", "--for", "synced", "--timeout", "5s");
    });

    [Fact]
    public async Task Volume_ThatExistsOrDoesNotFit_IsRefused()
    {
        await _cluster.CreateMirrorAsync("main/taken", "16M");
        await UnchangedAsync(async () =>
        {
            await RefusedAsync(Refused, "taken", "mirror", "create", "main/taken", "--size", "16M", "--on", "d0,d1");
            await RefusedAsync(NotFound, "nosuch", "owner", "move", "main/taken", "--to", "nosuch");
            await RefusedAsync(Refused, "d0", "mirror", "create", "main/big", "--size", "100G", "--on", "d0,d1");
            await RefusedAsync(Usage, "", "mirror", "create", "main/odd", "--size", "1000", "--on", "d0,d1");
            await RefusedAsync(Usage, "", "mirror", "create", "main/nil", "--size", "0", "--on", "d0,d1");
            await RefusedAsync(Usage, "d0", "mirror", "create", "main/two", "--size", "16M", "--on", "d0,d0");
        });
        await _cluster.DeleteMirrorAsync("main/taken");
    }

    [Fact]
    public Task CommandLine_Malformed_IsRefusedBeforeAnybodyIsAsked() => UnchangedAsync(async () =>
    {
        // No request id of ours here: the id itself is what is wrong.
        foreach (var id in (string[])["nonsense", Guid.NewGuid().ToString()])
        {
            var result = await _cluster["a"].CliAsync("set", "create", "more", "--nodes", "a,b,c", "--request-id", id);
            AssertRefused(result, Usage, "request-id");
        }

        await RefusedAsync(Usage, "creat", "set", "creat", "more");
        await RefusedAsync(Usage, "", "set", "create", "bad/name", "--nodes", "a");
        await RefusedAsync(Usage, "", "mirror", "create", "noslash", "--size", "16M", "--on", "d0");
        await RefusedAsync(Usage, "--for", "wait", "main", "--for", "happiness");
    });

    [Fact]
    public Task Node_ThatCannotBeReached_IsToldApart() => UnchangedAsync(async () =>
    {
        var nobody = $"http://127.0.0.1:{FreePorts.Take(1)[0]}";
        var result = await TestCluster.RunCliAsync("set", "create", "more", "--nodes", "a", "--node", nobody, "-o", "json");
        AssertRefused(result, Unavailable, nobody["http://".Length..]);

        // One of several answers: that is enough.
        (await TestCluster.RunCliAsync("status", "--node", $"{nobody},{_cluster["b"].Api}", "-o", "json")).Expect();
    });

    [Theory]
    [InlineData("--api", "0.0.0.0:0")]
    [InlineData("--peer", "0.0.0.0:4001")]
    [InlineData("--nbd", "192.0.2.1:10809")]
    public async Task Node_AskedToListenOffLoopback_Refuses(string option, string address)
    {
        var ports = FreePorts.Take(3);
        var values = new Dictionary<string, string>
        {
            ["--api"] = $"127.0.0.1:{ports[0]}",
            ["--peer"] = $"127.0.0.1:{ports[1]}",
            ["--nbd"] = $"127.0.0.1:{ports[2]}",
            [option] = address,
        };
        var data = _cluster.File("offloopback");
        var result = await TestCluster.RunCliAsync(
            "node", "run", "--name", "z", "--data", data, "--api", values["--api"], "--peer", values["--peer"], "--nbd", values["--nbd"],
            "--cluster", $"z={values["--peer"]}");
        Assert.True(result.ExitCode == Usage, result.ToString());
        Assert.Contains("loopback", result.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Contains(option, result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(data), "it began to work before it refused");
    }

    private async Task<CliResult> RefusedAsync(int exitCode, string mentions, params string[] arguments)
    {
        var id = Guid.CreateVersion7().ToString();
        _ids.Add(id);
        var result = await _cluster["b"].CliAsync([.. arguments, "--request-id", id]);
        AssertRefused(result, exitCode, mentions);
        return result;
    }

    /// <summary>The id of the cluster that a refusal says a disk belongs to.</summary>
    private static string ClusterNamedIn(CliResult refusal)
    {
        const string before = "in cluster ";
        var start = refusal.Error.IndexOf(before, StringComparison.Ordinal);
        Assert.True(start >= 0, $"the cluster is not named: {refusal}");
        return refusal.Error.Substring(start + before.Length, 36);
    }

    private void AssertRefused(CliResult result, int exitCode, string mentions)
    {
        result.Expect(exitCode);
        Assert.True(result.Output.Length == 0, $"a refusal wrote to stdout: {result}");
        var problem = JsonNode.Parse(result.Error)!;
        var detail = (string?)problem["detail"];
        output.WriteLine($"{exitCode} {(string?)problem["code"]}: {detail} | {(string?)problem["help"]} | {problem["details"]?.ToJsonString()}");
        Assert.False(string.IsNullOrWhiteSpace(detail), result.ToString());
        Assert.False(string.IsNullOrWhiteSpace((string?)problem["code"]), result.ToString());
        Assert.True((string?)problem["applied"] == "no", result.ToString());
        Assert.True(result.Error.Contains(mentions, StringComparison.Ordinal), $"'{mentions}' is not mentioned: {result}");
    }

    private Task UnchangedAsync(Func<Task> test) => _cluster.WatchAsync(output, async () =>
    {
        var before = await InventoryAsync();
        await test();
        Assert.Equal(before, await InventoryAsync());
        Assert.DoesNotContain(await _cluster.EventsAsync(), item => _ids.Contains((string?)item["command"] ?? ""));
    });

    /// <summary>Names of everything there is.</summary>
    private async Task<string> InventoryAsync()
    {
        var status = await _cluster.StatusAsync(_cluster["a"]);
        return string.Join('\n', status["disksets"]!.AsArray().Select(set => $"{set!["name"]}: nodes {Names(set["nodes"])}, "
            + $"disks {Names(set["disks"])}, volumes {Names(set["volumes"])}"));
    }

    private static string Names(JsonNode? list) => string.Join(' ', list!.AsArray().Select(item => (string)item!["name"]!));
}
