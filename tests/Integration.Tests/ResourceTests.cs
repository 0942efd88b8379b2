using System.Net.Sockets;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Descriptors and space run out (design §14.22): what runs goes on, status says what is wrong, and it is over by itself.</summary>
public sealed class ResourceTests(ITestOutputHelper output)
{
    private const int NoSpace = 28;
    private const int Descriptors = 512;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [ToolFact("sh")] // The new incarnation of a node that had been fenced ended for it, and with it the process.
    public async Task StartDirectory_IsGone_NodeStartsAllTheSame() => await TestCluster.RunAsync(
        output,
        async cluster => Assert.Equal("up", (string?)(await cluster.StatusAsync(cluster["a"]))["nodes"]![0]!["state"]),
        nodes: 1,
        arguments: (cluster, node) =>
        {
            var gone = Path.Combine(cluster.Root, "gone");
            node.Prefix.AddRange(["sh", "-c", "mkdir \"$0\" && cd \"$0\" && rmdir \"$0\" && exec \"$@\"", gone]);
            return [];
        });

    [ToolFact("prlimit")] // After EMFILE the listener accepted nobody ever again, and the log's files could not be opened either.
    public async Task Descriptors_UsedUpByClients_OthersGoOnAndLaterClientsAreServed() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            await cluster.CreateSetAsync("few", disks: 2, megabytes: 100);
            await cluster.CreateMirrorAsync("few/v", "8M");
            await using var before = await NbdClient.ConnectAsync(cluster["a"], "few/v");
            Assert.Equal(0u, await before.WriteAsync(0, new byte[4096]));

            var silent = new List<TcpClient>();
            for (var i = 0; i < Descriptors; i++) silent.Add(await ConnectAsync(cluster["a"]));
            await Status.CauseAsync(cluster, cluster["a"], "RM1604"); // HTTP is served still, and tells.
            Assert.Equal(0u, await before.WriteAsync(4096, new byte[4096]));
            Assert.Contains("turns clients away", cluster["a"].Output(), StringComparison.Ordinal);

            silent.ForEach(client => client.Dispose());
            await using var after = await NbdClient.ConnectAsync(cluster["a"], "few/v");
            Assert.Equal(0u, await after.WriteAsync(8192, new byte[4096]));
            Assert.True(cluster["a"].IsRunning);
            await Status.NoCauseAsync(cluster, cluster["a"], "RM1604");
        },
        arguments: (_, node) =>
        {
            if (node.Name == "a") node.Prefix.AddRange(["prlimit", $"--nofile={Descriptors}:{Descriptors}"]);
            return [];
        });

    [ToolFact("gcc")] // The client got EIO, and one leg was lost for good though no leg had the bytes.
    public async Task Disks_AllFull_ClientIsToldAndNoLegIsLost() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("full", disks: 2, megabytes: 100);
            await cluster.CreateMirrorAsync("full/v", "8M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "full/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

            // Only the data areas: labels and dirty logs have their space from the start.
            faults.FailFrom("full-d", "w", NoSpace, 64L << 20, cluster["a"]);
            Assert.Equal((uint)NoSpace, await client.WriteAsync(4096, Enumerable.Repeat((byte)7, 4096).ToArray()).WaitAsync(Limit));
            Assert.True(faults.Hits(cluster["a"]) >= 2, "both disks were met");
            await Status.CauseAsync(cluster, cluster["b"], "RM1605", "ENOSPC");

            faults.End(cluster["a"]);
            Assert.Equal(0u, await client.WriteAsync(4096, Enumerable.Repeat((byte)8, 4096).ToArray()).WaitAsync(Limit));
            var volume = (await cluster.StatusAsync(cluster["a"]))["disksets"]![0]!["volumes"]![0]!;
            Assert.Equal("okay", (string?)volume["state"]);
        },
        arguments: await DiskFaults.PrepareAsync());

    [ToolFact("gcc")] // The log's write failed, and the process ended.
    public async Task Logs_Full_CommandsAreRefusedWithTheReasonAndClientsGoOn() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("log", disks: 2, megabytes: 100);
            await cluster.CreateMirrorAsync("log/v", "8M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "log/v");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

            faults.Fail("/raft/", "w", NoSpace, cluster.Nodes);
            CliResult? refused = null;
            await Eventually.TrueAsync("commands are refused for want of space", Limit, async () =>
            {
                refused = await cluster["a"].CliAsync("mirror", "create", "log/w", "--size", "8M", "--on", "d0,d1", "--timeout", "5s");
                return refused.ExitCode == 4 && refused.Error.Contains("logFull", StringComparison.Ordinal);
            }, () => $"{refused?.ExitCode} {refused?.Error}");
            Assert.Contains("ENOSPC", refused!.Error, StringComparison.Ordinal);
            Assert.Contains("\"applied\":\"no\"", refused.Error, StringComparison.Ordinal);
            Assert.All(cluster.Nodes, node => Assert.True(node.IsRunning));
            Assert.Equal(0u, await client.WriteAsync(4096, new byte[4096]).WaitAsync(Limit)); // Leases need no entry.

            faults.End(cluster.Nodes);
            await Eventually.TrueAsync("commands are taken again", Limit, async () =>
                (await cluster["a"].CliAsync("mirror", "create", "log/x", "--size", "8M", "--on", "d0,d1", "--timeout", "5s")).ExitCode == 0);
            Assert.All(cluster.Nodes, node => Assert.True(node.IsRunning));
        },
        arguments: await DiskFaults.PrepareAsync());

    [Fact] // Each of them may have 64 MiB, all together 1 GiB: so the last ones wait, and with them what they would have filled.
    public async Task Memory_ClientsThatTakeNoReplies_AreHeldBackAtTheBound() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            const int clients = 24;
            const long bound = (1L << 30) + (clients * (512L << 10)), others = 256L << 20;
            var a = cluster["a"];
            await cluster.CreateSetAsync("memory", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("memory/v", "64M");
            NbdClient? served = null;
            await WriteAsync(0, 4096);
            var before = a.ResidentBytes();
            using var end = new CancellationTokenSource();
            // The first one writes: its replies are small, but nothing is sent behind those of the reads before.
            var floods = Enumerable.Range(0, clients).Select(i => FloodAsync(a, writes: i == 0, end.Token)).ToList();
            var most = 0L;
            void Look() => most = Math.Max(most, a.ResidentBytes() - before);
            await Status.CauseAsync(cluster, cluster["b"], "RM1606", about: "a", each: Look);
            await Eventually.TrueAsync("what all may have is used up", Limit, () =>
            {
                Look();
                return Task.FromResult(most > 15L << 26);
            }, () => $"{most >> 20} MiB");

            // What is unread of the others may be older than this: it waits for them, and they are not waited for for long.
            await WriteAsync(4096, 4096);
            Assert.Contains("was disconnected: it took no reply in time", a.Output(), StringComparison.Ordinal);

            await end.CancelAsync();
            await Task.WhenAll(floods);
            await Status.NoCauseAsync(cluster, cluster["b"], "RM1606");
            Look();
            output.WriteLine($"{most >> 20} MiB more");
            Assert.InRange(most, 0, bound + others);
            await WriteAsync(0, 1 << 20);
            if (served is { } last) await last.DisposeAsync();

            // As real clients do: a node that stood still beyond its lease, on a busy machine, drops its clients and serves them again.
            async Task WriteAsync(long offset, int length) => await Eventually.TrueAsync("a write is answered", Limit, async () =>
            {
                served ??= await NbdClient.ConnectAsync(a, "memory/v");
                try
                {
                    return await served.WriteAsync(offset, new byte[length]).WaitAsync(Limit) == 0;
                }
                catch (NbdDisconnectedException)
                {
                    await served.DisposeAsync();
                    served = null;
                    return false;
                }
            });
        });

    [Theory] // A real process, whose stdout the shell makes so. Closed: the runtime may have opened something else under that number.
    [InlineData(">/dev/full", "No space left on device")]
    [InlineData(">&-", "stdout is closed")]
    public async Task CommandLine_StdoutFullOrClosed_HasItsOwnExitCode(string redirection, string reason)
    {
        var result = await Tool.RunAsync(
            "bash", TimeSpan.FromSeconds(60), "-c", $"{TestCluster.CommandLine} --help {redirection}; echo exit $? >&2");
        Assert.Contains("exit 11", result.Error, StringComparison.Ordinal);
        Assert.Contains(reason, result.Error, StringComparison.Ordinal);
    }

    private static async Task<TcpClient> ConnectAsync(NodeProcess node)
    {
        var client = new TcpClient();
        try
        {
            await client.ConnectAsync("127.0.0.1", node.NbdPort);
        }
        catch (SocketException)
        {
            // Turned away faster than it connected.
        }

        return client;
    }

    /// <summary>Sends requests of 1 MiB, never reads a reply, and comes again when it is disconnected.</summary>
    private static async Task FloodAsync(NodeProcess node, bool writes, CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            try
            {
                await using var client = await NbdClient.ConnectRawAsync(node, "memory/v");
                await FloodAsync(client, writes, end);
            }
            catch (Exception over) when (over is IOException or OperationCanceledException or NbdDisconnectedException)
            {
                // Disconnected, not let in for the moment, or told to stop.
            }
        }
    }

    private static async Task FloodAsync(Stream client, bool writes, CancellationToken end)
    {
        const int piece = 1 << 20, reads = 24;
        var data = new byte[piece];
        for (ulong cookie = 0; ; cookie++)
        {
            var isWrite = writes && cookie >= reads;
            await client.WriteAsync(NbdClient.Header((ushort)(isWrite ? 1 : 0), cookie, 0, piece), end);
            if (isWrite) await client.WriteAsync(data, end);
        }
    }
}
