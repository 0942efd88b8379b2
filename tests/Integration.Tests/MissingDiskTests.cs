using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk is missing when nodes start (design §14.21): the set serves what is safe without it, says so, and takes it back.</summary>
public sealed class MissingDiskTests(ITestOutputHelper output)
{
    private const int Block = 4096;
    private static readonly string[] Others = ["b", "c"];
    private static readonly string[] Disks = ["d0", "d1"];
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact] // All nodes miss it, one dies meanwhile, and it comes back: only what was written meanwhile is copied.
    public async Task DiskGoneAtStart_ServedDegradedAndResyncedWhenItIsBack() => await TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await cluster.CreateSetAsync("m", disks: 2, megabytes: 200);
        await cluster.CreateMirrorAsync("m/v", "32M");
        await WriteAsync(cluster["a"], 0, 1);
        foreach (var node in cluster.Nodes) await node.TerminateAsync(Limit);
        File.Move(paths[1], paths[1] + ".gone");
        foreach (var node in cluster.Nodes) cluster.Start(node);
        await cluster.WaitUntilReadyAsync();

        await WriteAsync(cluster["a"], 1 << 20, 2);
        var set = await SetAsync(cluster["b"]);
        Assert.Equal("degraded", (string?)set["health"]);
        Assert.Equal(("lost", true), ((string?)set["disks"]![1]!["state"], ((string?)set["disks"]![1]!["reason"])!.Contains("errno 2", StringComparison.Ordinal)));
        AssertCause(set, "RM1202", "m/d1", "disk set m d1 --path");
        Assert.Equal("offline", (string?)set["volumes"]![0]!["submirrors"]![1]!["state"]);

        // The marks of a node that dies are merged while the leg is away: they are kept for it.
        await WriteAsync(cluster["c"], 2 << 20, 3);
        cluster["c"].Kill();
        await cluster.RestartAsync(cluster["c"]);
        await WriteAsync(cluster["b"], 3 << 20, 4);

        // Written once, not twice a second (a line for each look would be dozens).
        Assert.InRange(cluster["a"].Output().Split('\n').Count(line => line.Contains("errno 2", StringComparison.Ordinal)), 1, 12);
        File.Move(paths[1] + ".gone", paths[1]);
        await cluster.WaitUntilHealthyAsync("m/v");
        var finished = (await cluster.EventsAsync()).Last(item => (string?)item["type"] == "ResyncFinished");
        Assert.InRange((long)finished["skippedBytes"]!, 20 << 20, 31 << 20); // Not a full copy.
        var data = (await cluster.CliAsync("submirror", "map", "m/v")).Json.AsArray();
        Assert.Equal(Leg(data[0]!), Leg(data[1]!));
        foreach (var (offset, value) in ((int, byte)[])[(0, 1), (1 << 20, 2), (2 << 20, 3), (3 << 20, 4)])
            Assert.Equal(value, Leg(data[1]!)[offset]);
    });

    [Fact] // Path is not media: the others go on with both legs, and the node serves what does not need the disk.
    public async Task DiskGoneOnOneNode_OthersKeepBothLegsAndDiskSetMendsIt() => await TestCluster.RunAsync(output, async cluster =>
    {
        await CreateWithLinksAsync(cluster);
        await cluster.CreateMirrorAsync("m/v", "16M");
        await cluster.CliAsync("mirror", "create", "m/w", "--size", "16M", "--on", "d0");
        var b = cluster["b"];
        await b.TerminateAsync(Limit);
        File.Delete(cluster.File("b-d1"));
        await cluster.RestartAsync(b);
        JsonNode? set = null;
        await Eventually.TrueAsync("b has joined without the disk", Limit, async () =>
        {
            set = await SetAsync(cluster["a"]);
            return (bool)set["nodes"]![1]!["joined"]!;
        }, () => set?.ToJsonString() ?? "");
        AssertCause(set!, "RM1205", "m/d1:b", "disk set m d1 --path b=");
        Assert.Equal("okay", (string?)set!["volumes"]![0]!["state"]);
        await WriteAsync(cluster["a"], 0, 7, "m/v");
        await WriteAsync(b, 0, 8, "m/w");
        var ready = await b.ReadyzAsync();
        Assert.Equal(System.Net.HttpStatusCode.ServiceUnavailable, ready.Code);
        Assert.Contains("b-d1", ready.Text, StringComparison.Ordinal);

        // A path that leads to another disk is refused by the node itself, a right one mends it without a restart.
        var wrong = await cluster["a"].CliAsync("disk", "set", "m", "d1", "--path", $"b={cluster.File("b-d0")}");
        Assert.Equal(4, wrong.ExitCode);
        File.CreateSymbolicLink(cluster.File("b-new"), cluster.File("m-d1.img"));
        await cluster.CliAsync("disk", "set", "m", "d1", "--path", $"b={cluster.File("b-new")}");
        await WriteAsync(b, 1 << 20, 9, "m/v");

        // b's dirty log was opened while the disk was missing here; b opens it anew on two by itself, under a client that writes.
        await using var writer = await NbdClient.ConnectAsync(b, "m/v");
        var written = 0;
        await Eventually.TrueAsync("all is okay", Limit, async () =>
        {
            Assert.Equal(0u, await writer.WriteAsync((long)(written++ % 16) << 20, Enumerable.Repeat((byte)9, Block).ToArray()).WaitAsync(Limit));
            return (string?)(set = await SetAsync(b))["health"] == "okay";
        }, () => set!.ToJsonString());
        Assert.Contains(await cluster.EventsAsync(), record => (string?)record["type"] == "SlotOpened" && (string?)record["node"] == "b"
            && record["disks"]!.AsArray().Count == 2 && (ulong)record["generation"]! > 1);
    });

    [Fact] // A disk was added while a node was away that cannot see it: it joins without; who sees none stays out, and the set says so.
    public async Task DiskAddedWhileANodeWasAway_NodeJoinsWithoutIt() => await TestCluster.RunAsync(output, async cluster =>
    {
        await CreateWithLinksAsync(cluster);
        await cluster.CreateMirrorAsync("m/v", "16M");
        var b = cluster["b"];
        await b.TerminateAsync(Limit);
        var added = cluster.CreateDisk("m-d2", 200);
        await cluster.CliAsync("disk", "add", "m", "d2", added, "--path", $"b={cluster.File("b-d2")}");
        await cluster.CliAsync("mirror", "create", "m/w", "--size", "16M", "--on", "d1,d2");
        await cluster.RestartAsync(b);
        await DiskStory.CauseAsync(cluster, cluster["a"], "RM1205", "m/d2:b", "disk set m d2 --path b=");
        await DiskStory.CauseAsync(cluster, cluster["a"], "RM1405", "m:b", "w");
        await WriteAsync(b, 0, 3);
        File.CreateSymbolicLink(cluster.File("b-d2"), added);
        await WriteAsync(b, 0, 4, "m/w");
        await DiskStory.OkayAsync(cluster, b);

        await b.TerminateAsync(Limit);
        foreach (var disk in (string[])["d0", "d1", "d2"]) File.Move(cluster.File($"b-{disk}"), cluster.File($"gone-{disk}"));
        await cluster.RestartAsync(b);
        await DiskStory.CauseAsync(cluster, cluster["a"], "RM1403", "m:b", "b-d1");
        Assert.Equal("warning", (string?)(await SetAsync(cluster["a"]))["health"]);
        await WriteAsync(cluster["a"], 0, 5);
        foreach (var disk in (string[])["d0", "d1", "d2"]) File.Move(cluster.File($"gone-{disk}"), cluster.File($"b-{disk}"));
        await WriteAsync(b, 0, 6);
        await DiskStory.OkayAsync(cluster, b);
    });

    [Fact] // Names of devices come in another order after a reboot, or a disk is moved into a directory that is named.
    public async Task PathsChanged_DisksAreFoundByTheirLabels() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            await CreateWithLinksAsync(cluster);
            await cluster.CreateMirrorAsync("m/v", "16M");
            foreach (var name in Others) await cluster[name].TerminateAsync(Limit);
            File.Move(cluster.File("b-d0"), cluster.File("t"));
            File.Move(cluster.File("b-d1"), cluster.File("b-d0"));
            File.Move(cluster.File("t"), cluster.File("b-d1"));
            File.Move(cluster.File("c-d1"), Path.Combine(Directory.CreateDirectory(cluster.File("by-id")).FullName, "wwn-1"));
            foreach (var name in Others) await cluster.RestartAsync(cluster[name]);
            await WriteAsync(cluster["b"], 0, 5, "m/v");
            await WriteAsync(cluster["c"], 1 << 20, 6, "m/v");
            await cluster.WaitUntilHealthyAsync("m/v");
        },
        arguments: static (cluster, _) => ["--disk-dirs", cluster.File("by-id")]);

    private static async Task CreateWithLinksAsync(TestCluster cluster)
    {
        await cluster.CliAsync("set", "create", "m", "--nodes", "a,b,c");
        foreach (var disk in Disks)
        {
            var path = cluster.CreateDisk($"m-{disk}", 200);
            foreach (var node in cluster.Nodes) File.CreateSymbolicLink(cluster.File($"{node.Name}-{disk}"), path);
            await cluster.CliAsync(
                "disk", "add", "m", disk, cluster.File($"a-{disk}"), "--path",
                string.Join(',', cluster.Nodes.Select(node => $"{node.Name}={cluster.File($"{node.Name}-{disk}")}")));
        }
    }

    private static async Task WriteAsync(NodeProcess node, int offset, byte value, string volume = "m/v") =>
        await Eventually.TrueAsync($"{node.Name} takes a write to {volume}", Limit, async () =>
        {
            await using var client = await NbdClient.ConnectAsync(node, volume);
            return await client.WriteAsync(offset, Enumerable.Repeat(value, Block).ToArray()) == 0;
        });

    private static async Task<JsonNode> SetAsync(NodeProcess node)
    {
        using var http = new HttpClient();
        return JsonNode.Parse(await http.GetStringAsync(new Uri(node.Api, "/v1/status")))!["disksets"]![0]!;
    }

    private static void AssertCause(JsonNode set, string code, string about, string remedy)
    {
        var causes = set["causes"]!.AsArray();
        Assert.True(
            causes.Any(cause => ((string?)cause!["code"])!.StartsWith(code, StringComparison.Ordinal) && (string?)cause["object"] == about
                && ((string?)cause["action"])!.Contains(remedy, StringComparison.Ordinal)),
            causes.ToJsonString());
    }

    private static byte[] Leg(JsonNode map)
    {
        var extent = map["extents"]![0]!;
        using var file = File.OpenRead((string)extent["path"]!);
        file.Position = (long)extent["diskOffsetBytes"]!;
        var bytes = new byte[(long)extent["lengthBytes"]!];
        file.ReadExactly(bytes);
        return bytes;
    }
}
