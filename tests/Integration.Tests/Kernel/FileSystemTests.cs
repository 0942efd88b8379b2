using System.Diagnostics;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Primitives;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests.Kernel;

/// <summary>Guests with kernel NBD mount one volume through all nodes at once: two with a file system made for that, or one with an ordinary one. Meanwhile nodes are
/// killed and paused, and a disk hangs for all until it is lost. No acknowledged write may be missing, fsck finds nothing, and the legs are
/// equal. RAFTMIRROR_VM_RUNS: runs of each case (1).</summary>
public sealed class FileSystemTests(ITestOutputHelper output)
{
    private const int Faults = 8;
    private const int Megabytes = 320; // xfs wants more than 300.
    private static readonly TimeSpan RunLimit = TimeSpan.FromMinutes(12);

    /// <summary>File system, guests, the kernel's request time-out in seconds, seed of the faults.</summary>
    public static TheoryData<string, int, int, ulong> Runs
    {
        get
        {
            var data = new TheoryData<string, int, int, ulong>();
            for (ulong seed = 1; seed <= (ulong)Guests.Runs; seed++)
            {
                foreach (var (system, guests) in ((string, int)[])[("gfs2", 2), ("ocfs2", 2), ("ext4", 1), ("xfs", 1)])
                {
                    foreach (var timeout in (int[])[1, 8]) data.Add(system, guests, timeout, seed);
                }
            }

            return data;
        }
    }

    [KernelTheory]
    [MemberData(nameof(Runs))]
    public async Task NodesAreKilledAndPausedAndALegIsLost_NothingAcknowledgedIsMissing(string system, int guests, int timeoutSeconds, ulong seed) =>
        await TestCluster.RunAsync(
            output,
            async cluster =>
            {
                await cluster.CreateSetAsync("kern", disks: 2, megabytes: 400);
                await cluster.CreateMirrorAsync("kern/v", $"{Megabytes}M", "--writers", "all");
                var share = cluster.File("share");
                Directory.CreateDirectory(share);
                File.Copy(Guests.Source("guest.py"), Path.Combine(share, "guest.py"));
                var written = await new Guests(guests, RunLimit, share).RunAsync(
                    output, "guest.sh", [$"FS={system}", "EXPORT=kern/v", "NBD_MULTI=1", $"NBD_T={timeoutSeconds}"],
                    cluster.Nodes.Select(static node => node.NbdPort), Enumerable.Range(1, guests).Select(static guest => $"ready.{guest}"),
                    async () =>
                    {
                        await TroubleAsync(cluster, new Xoshiro(seed));
                        await File.WriteAllTextAsync(Path.Combine(share, "stop"), "");
                    });
                Assert.Equal(guests, written.Split('\n').Count(static line => line.Trim() == "OK" || line.EndsWith("] OK", StringComparison.Ordinal)));
                await cluster.WaitUntilHealthyAsync("kern/v");
                await Legs.AssertIdenticalAsync(cluster, "kern/v", Megabytes << 20);
            },
            arguments: await DiskFaults.PrepareAsync());

    /// <summary>One fault after the other; a majority always runs.</summary>
    private async Task TroubleAsync(TestCluster cluster, Xoshiro random)
    {
        var faults = DiskFaults.Of(cluster);
        var hang = random.Next(Faults);
        var clock = Stopwatch.StartNew();
        for (var i = 0; i < Faults; i++)
        {
            var node = cluster.Nodes[random.Next(cluster.Nodes.Count)];
            if (i == hang)
            {
                Say("disk 1 hangs for all nodes");
                var since = await cluster.LastEventAsync();
                faults.Hang("kern-d1", "rwf", cluster.Nodes);
                await DiskStory.EventAsync(cluster, "DiskLost", "d1", since);
                Say("it is lost, and answers again");
                faults.End(cluster.Nodes);
            }
            else if (random.Chance(0.5))
            {
                Say($"node {node.Name} is killed");
                node.Kill();
                await Task.Delay(random.Next(3000)); // How long it is away is a part of the story, as below.
                await cluster.RestartAsync(node);
            }
            else
            {
                var length = TimeSpan.FromMilliseconds(500 + random.Next(4500));
                Say($"node {node.Name} stands still for {length.TotalSeconds:0.0} s");
                node.Pause();
                await Task.Delay(length);
                node.Continue();
                await cluster.WaitUntilReadyAsync();
            }

            await cluster.WaitUntilHealthyAsync("kern/v");
        }

        void Say(string what) => output.WriteLine($"{clock.Elapsed.TotalSeconds,6:0.0} s: {what}");
    }
}
