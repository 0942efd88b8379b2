using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>The data directory of nodes has no space (design §14.22): really, on file systems of their own, or by what its writes return.</summary>
public sealed class FullDirectoryTests(ITestOutputHelper output)
{
    private const int NoSpace = 28;
    private const int Megabytes = 64;
    private const int MostCommands = 4000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    [MountFact] // A node could not even start.
    public async Task Directories_ReallyFull_CommandsAreRefusedAndAllElseGoesOnOverARestart()
    {
        await using var spaceOfA = await SmallFileSystem.MakeAsync(Megabytes);
        await using var spaceOfB = await SmallFileSystem.MakeAsync(Megabytes);
        await using var spaceOfC = await SmallFileSystem.MakeAsync(Megabytes);
        var spaces = new Dictionary<string, SmallFileSystem> { ["a"] = spaceOfA, ["b"] = spaceOfB, ["c"] = spaceOfC };
        await TestCluster.RunAsync(
            output,
            async cluster =>
            {
                await cluster.CreateSetAsync("full", disks: 2, megabytes: 100);
                await cluster.CreateMirrorAsync("full/v", "8M");
                await using var client = await NbdClient.ConnectAsync(cluster["a"], "full/v");
                Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

                foreach (var space in spaces.Values) space.Fill();
                var (accepted, refusal) = await CommandUntilRefusedAsync(cluster);
                Assert.True(accepted > 0, "what was left of the log was used first");
                Assert.Contains("logFull", refusal, StringComparison.Ordinal);
                Assert.Contains("ENOSPC", refusal, StringComparison.Ordinal);
                Assert.Contains("\"applied\":\"no\"", refusal, StringComparison.Ordinal);
                await Status.CauseAsync(cluster, cluster["b"], "RM1601", "ENOSPC");
                Assert.Equal(0u, await client.WriteAsync(4096, new byte[4096]).WaitAsync(Limit));

                // Every ten seconds an entry for each set would use up what is left for takeovers.
                await Eventually.TrueAsync("a beat waits for room", Limit, () => Task.FromResult(
                    cluster.Nodes.Any(node => node.Output().Contains("Duty labels full was refused: logFull", StringComparison.Ordinal))));
                Assert.Equal(0u, await client.WriteAsync(4096, new byte[4096]).WaitAsync(Limit));

                // Fenced and back: the log's rest is for that, and a start needs no space.
                cluster["b"].Kill();
                await cluster.RestartAsync(cluster["b"]);
                await cluster.WaitUntilHealthyAsync("full/v");
                await using (var again = await NbdClient.ConnectAsync(cluster["b"], "full/v"))
                    Assert.Equal(0u, await again.WriteAsync(8192, new byte[4096]).WaitAsync(Limit));

                foreach (var space in spaces.Values) space.Free();
                await Eventually.TrueAsync("commands are taken again", Limit, async () =>
                    (await cluster["a"].CliAsync("mirror", "create", "full/x", "--size", "8M", "--on", "d0,d1", "--timeout", "5s")).ExitCode == 0);
                await Status.NoCauseAsync(cluster, cluster["b"], "RM1601");
                Assert.All(cluster.Nodes, node => Assert.True(node.IsRunning));
            },
            arguments: (_, node) =>
            {
                spaces[node.Name].Take(node);
                return ["--log-segment", "4M"];
            });
    }

    [MountFact] // Its next number is written before anything is said to a peer: without space for it there is no start, and nothing to be mended.
    public async Task Start_NoSpaceForItsNumber_IsWaitedForAndSaid()
    {
        await using var space = await SmallFileSystem.MakeAsync(Megabytes);
        await TestCluster.RunAsync(
            output,
            async cluster =>
            {
                var c = cluster["c"];
                await c.TerminateAsync(Limit);
                File.Delete(Path.Combine(c.Directory, "node.json.next")); // As a file system that never writes in place has it.
                space.Fill();
                for (var round = 0; round < 2; round++)
                {
                    cluster.Start(c);
                    await Eventually.TrueAsync("it waits for space", Limit, () => Task.FromResult(
                        c.IsRunning && c.Output().Split("cannot start yet: there is no space").Length == round + 2));
                    Assert.Contains("ENOSPC", c.Output(), StringComparison.Ordinal);
                    Assert.Contains("down", NodeOf(await cluster.StatusAsync(cluster["a"]), "c").ToJsonString(), StringComparison.Ordinal);
                    if (round == 0) Assert.Equal(0, await c.TerminateAsync(Limit)); // Nothing had begun.
                }

                space.Free();
                await cluster.WaitUntilReadyAsync(c);
            },
            arguments: (_, node) =>
            {
                if (node.Name == "c") space.Take(node);
                return [];
            });
    }

    [ToolFact("gcc")] // Its log cannot be written while the others' can: it falls behind, and must not keep them from commands.
    public async Task Leader_OnlyItsLogIsFull_HandsOverAndStatusNamesItUntilItIsOver() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("full", disks: 2, megabytes: 100);
            await cluster.CreateMirrorAsync("full/v", "8M");
            var leader = await cluster.LeaderAsync();
            var other = cluster.Nodes.First(node => node != leader);
            await using var client = await NbdClient.ConnectAsync(other, "full/v");
            faults.Fail("/raft/", "w", NoSpace, leader);
            await Eventually.TrueAsync("another node leads, and commands are taken", Limit, async () =>
                (await cluster.TryCreateEmptySetAsync(other, $"z{Guid.NewGuid():N}")).IsDone
                && (string?)(await cluster.StatusAsync(other))["leader"] is { } now && now != leader.Name); // The former one cannot say: it follows no more.
            Assert.True(faults.Hits(leader) > 0, "its log was met");
            Assert.Contains("whose log has room", leader.Output(), StringComparison.Ordinal);
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]).WaitAsync(Limit));
            var first = await NewestAsync(other);
            for (var i = 0; i < 5; i++) await cluster.CreateEmptySetAsync(other, $"y{i}");
            await Status.CauseAsync(cluster, other, "RM1601", "ENOSPC", about: leader.Name);
            Assert.True(await NewestAsync(other) >= first + 5);
            Assert.True(leader.IsRunning);

            faults.End(leader);
            await Status.NoCauseAsync(cluster, other, "RM1601");
            await cluster.WaitUntilHealthyAsync("full/v");
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // It asked for leases, so nobody suspected it; and it gave nothing up, since it heard of nothing: the volume hung everywhere.
    public async Task Owner_ItsLogTakesNothing_IsFencedAndTheOthersGoOn() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("full", disks: 2, megabytes: 100);
            await cluster.CreateMirrorAsync("full/v", "8M");
            var leader = await cluster.LeaderAsync();
            var owner = cluster.Nodes.First(node => node != leader);
            var other = cluster.Nodes.First(node => node != leader && node != owner);
            await using (var client = await NbdClient.ConnectAsync(owner, "full/v")) Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));
            Assert.Equal(owner.Name, await cluster.OwnerAsync(other, "full/v"));
            faults.Fail("/raft/", "w", NoSpace, owner);
            for (var i = 0; i < 400; i++) await cluster.CreateEmptySetAsync(leader, $"z{i}"); // More than is on the way to it at once.
            await Status.CauseAsync(cluster, other, "RM1601", "ENOSPC", about: owner.Name);
            Assert.True(faults.Hits(owner) > 0, "its log was met");

            await Eventually.TrueAsync("another node writes", Limit, async () =>
            {
                await using var client = await NbdClient.ConnectAsync(other, "full/v");
                return await client.WriteAsync(4096, new byte[4096]) == 0;
            });
            // Not of the owner: it knows no later events than those that its log took.
            Assert.Contains("it has not followed the log", (await other.CliAsync("event", "list")).Expect().Output, StringComparison.Ordinal);
            await Status.CauseAsync(cluster, other, "RM1601", "ENOSPC", about: owner.Name); // Fenced, and it still says why.
            Assert.True(owner.IsRunning);

            faults.End(owner);
            await cluster.WaitUntilHealthyAsync("full/v"); // As a new incarnation, by itself.
            await Status.NoCauseAsync(cluster, other, "RM1601");
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // Without commands no later snapshot is due, and without a snapshot the log's space never comes free.
    public async Task Snapshot_NoSpaceForIt_IsTriedAgainWithoutACommand() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            var b = cluster["b"];
            await cluster.CreateSetAsync("full", disks: 2, megabytes: 100);
            faults.Fail("/snapshots/", "f", NoSpace, b);
            var made = 0;
            await Eventually.TrueAsync("its snapshot fails", Limit, async () =>
            {
                await cluster.CreateEmptySetAsync(cluster["a"], $"z{made++}");
                return b.Output().Contains("could not write a snapshot", StringComparison.Ordinal);
            });
            await Status.CauseAsync(cluster, cluster["a"], "RM1603", "28", about: "b");
            var newest = SnapshotsOf(b);
            faults.End(b);
            await Status.NoCauseAsync(cluster, cluster["a"], "RM1603");
            Assert.NotEqual(newest, SnapshotsOf(b));
        },
        arguments: await WithSnapshotsAsync());

    private static async Task<Func<TestCluster, NodeProcess, IEnumerable<string>>> WithSnapshotsAsync()
    {
        var prepare = await DiskFaults.PrepareAsync();
        return (cluster, node) => [.. prepare(cluster, node), "--snapshot-entries", "32"];
    }

    private static string SnapshotsOf(NodeProcess node) =>
        string.Join(' ', Directory.GetFiles(Path.Combine(node.Directory, "snapshots")).Order(StringComparer.Ordinal));

    private static async Task<(int Accepted, string Refusal)> CommandUntilRefusedAsync(TestCluster cluster)
    {
        var leader = await cluster.LeaderAsync();
        for (var i = 0; i < MostCommands; i++)
        {
            var (isDone, answer) = await cluster.TryCreateEmptySetAsync(leader, $"z{i}");
            if (!isDone) return (i, answer);
        }

        throw new InvalidOperationException($"{MostCommands} commands were taken by a full log.");
    }

    private static async Task<ulong> NewestAsync(NodeProcess node) => (ulong)(await node.CliAsync("status")).Json["index"]!;

    private static JsonNode NodeOf(JsonNode status, string name) =>
        status["nodes"]!.AsArray().Single(node => (string?)node!["name"] == name)!;
}
