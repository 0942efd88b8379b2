using System.Text.Json.Nodes;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Integration.Tests.Nbd;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk dies: nothing that does not need it may wait for it (design §14.1, §14.20).</summary>
public sealed class DeadDiskTests(ITestOutputHelper output)
{
    private const int Eio = 5;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [ToolFact("gcc")] // The barrier of the busy mirror's lost leg waited for a label on the dead disk, since the idle mirror's leg had not failed.
    public async Task DiskOfTwoMirrors_DiesUnderOneWhileTheOtherIsIdle_WriteIsAnsweredAndBothLegsAreLost() => await TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var faults = DiskFaults.Of(cluster);
            await cluster.CreateSetAsync("dead", disks: 2, megabytes: 200);
            await cluster.CreateMirrorAsync("dead/busy", "16M");
            await cluster.CreateMirrorAsync("dead/idle", "16M");
            await using var client = await NbdClient.ConnectAsync(cluster["a"], "dead/busy");
            Assert.Equal(0u, await client.WriteAsync(0, new byte[4096]));

            faults.Fail("dead-d1", "rwf", Eio, cluster.Nodes);
            Assert.Equal(0u, await client.WriteAsync(0, Enumerable.Repeat((byte)7, 4096).ToArray()).WaitAsync(Limit));

            Assert.True(faults.Hits(cluster["a"]) > 0, "the fault was met");
            JsonNode? last = null;
            await Eventually.TrueAsync("both legs on the dead disk are lost", Limit, async () =>
            {
                last = (await cluster.StatusAsync(cluster["a"]))["disksets"]![0]!;
                return last["volumes"]!.AsArray().All(volume =>
                    (string?)volume!["state"] == "degraded" && (string?)volume["submirrors"]![1]!["state"] != "okay");
            }, () => last?.ToJsonString() ?? "");
        },
        arguments: await DiskFaults.PrepareAsync());
}
