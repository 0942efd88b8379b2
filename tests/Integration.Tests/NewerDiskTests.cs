using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;
using static RaftMirror.Integration.Tests.Harness.DirectoryCopies;
using static RaftMirror.Integration.Tests.Harness.DiskStory;

namespace RaftMirror.Integration.Tests;

/// <summary>A disk that knows more than the cluster does (design §14.19): whoever goes on without what it has goes back in time.</summary>
public sealed class NewerDiskTests(ITestOutputHelper output)
{
    /// <summary>A machine is restored from a backup, except for one of its disks. Neither the directory nor, once that was made a cluster
    /// of its own, the set serves; with the newer directory all is there again, and the other disk is the one that is old.</summary>
    [Fact]
    public Task MachineRestoredWithoutOneDisk_IsNotServedUntilTheNewerDirectoryIsBack() => TestCluster.RunAsync(
        output,
        async cluster =>
        {
            var a = cluster["a"];
            var paths = await cluster.CreateSetAsync("new", disks: 2, megabytes: 96);
            await cluster.CreateMirrorAsync("new/v", "16M");
            await WriteAsync(a, "new/v", 1);
            Assert.Equal(0, await a.TerminateAsync(Limit));
            var old = CopyOf(a);
            File.Copy(paths[0], paths[0] + ".old");
            await StartAllAsync(cluster);
            await WriteAsync(a, "new/v", 2);
            await StampedAfterAsync(paths[1], StampOn(paths[0] + ".old") + 1);
            KillAll(cluster);
            var newest = CopyOf(a);

            PutBack(a, old);
            File.Copy(paths[0] + ".old", paths[0], overwrite: true);
            cluster.Start(a);
            var reasons = await BarredAsync(a, "outdated");
            Assert.Contains(a.Directory, reasons, StringComparison.Ordinal);
            Assert.Contains(paths[1], reasons, StringComparison.Ordinal);
            await AssertNotServedAsync(a, "new/v");

            // The way out for the log is none for the disk.
            KillAll(cluster);
            var recovered = cluster.File("recovered");
            (await TestCluster.RunCliAsync(
                "raft", "recover", "--data", a.Directory, "--to", recovered, "--reason", "restored", "--confirm", "a", "-o", "json")).Expect();
            PutBack(a, recovered);
            cluster.Start(a);
            await CauseAsync(cluster, a, "RM1205", "new/d1:a", "newer than the cluster");
            await CauseAsync(cluster, a, "RM1205", "new/d1:a", "start the node that has the newer state");
            await CauseAsync(cluster, a, "RM1403", "new:a", "newer than this cluster's state");
            await AssertNotServedAsync(a, "new/v");

            KillAll(cluster);
            PutBack(a, newest);
            cluster.Start(a);
            await AssertReadsAsync(a, "new/v", 2);
            Assert.True((bool?)(await EventAsync(cluster, "DiskReturned", "d0"))["isEverythingOwed"]);
            await OkayAsync(cluster, a);
            await AssertReadsAsync(a, "new/v", 2);
            await Legs.AssertIdenticalAsync(cluster, "new/v", 16 << 20);
        },
        nodes: 1);
}
