using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Real file systems through real clients.</summary>
[Collection(SharedClusterTests.Name)]
public sealed class RealInputTests(SharedCluster shared, ITestOutputHelper output)
{
    private const int ImageMegabytes = 384;
    private static readonly TimeSpan CopyLimit = TimeSpan.FromSeconds(120);

    private readonly TestCluster _cluster = shared.Cluster;

    [ToolFact("mkfs.ext4", "e2fsck", "nbdcopy", "qemu-img", "cmp")]
    public Task FileSystem_WrittenThroughA_ReadBackThroughBAndCIsIdenticalAndClean() => _cluster.WatchAsync(output, async () =>
    {
        var image = _cluster.File("real.img");
        var bytes = await RealInput.MakeFileSystemAsync(image, ImageMegabytes, contentMegabytes: 280);
        Assert.True(bytes > 100L << 20, $"this machine has only {bytes} bytes of files to offer");
        await _cluster.CreateMirrorAsync("main/real", $"{ImageMegabytes}M");

        var write = await Tool.RunAsync("nbdcopy", CopyLimit, "--flush", image, _cluster["a"].NbdUri("main/real"));
        var fromB = _cluster.File("real.b.img");
        var readB = await Tool.RunAsync("nbdcopy", CopyLimit, _cluster["b"].NbdUri("main/real"), fromB);
        var fromC = _cluster.File("real.c.img");
        var readC = await Tool.RunAsync(
            "qemu-img", CopyLimit, "convert", "-f", "raw", "-O", "raw", _cluster["c"].NbdUri("main/real"), fromC);
        output.WriteLine($"{bytes >> 20} MiB of files: written in {write.Elapsed}, read through b in {readB.Elapsed}, through c in {readC.Elapsed}");

        var expected = await RealInput.HashAsync(image);
        Assert.Equal(expected, await RealInput.HashAsync(fromB));
        await RealInput.AssertCleanAsync(fromB);
        File.Delete(fromB);
        Assert.Equal(expected, await RealInput.HashAsync(fromC));
        await RealInput.AssertCleanAsync(fromC);
        File.Delete(fromC);
        await Legs.AssertIdenticalAsync(_cluster, "main/real", (long)ImageMegabytes << 20);
        File.Delete(image);
        await _cluster.DeleteMirrorAsync("main/real");
    });

    [ToolFact("mkfs.ext4", "e2fsck", "nbdcopy", "qemu-img", "debugfs")]
    public Task FileSystem_ChangedThroughSeveralNodes_KeepsEveryFile() => _cluster.WatchAsync(output, async () =>
    {
        await _cluster.CreateMirrorAsync("main/fs", "64M");
        var image = _cluster.File("fs.img");
        await RealInput.MakeFileSystemAsync(image, 64, contentMegabytes: 24);
        await Tool.RunAsync("qemu-img", CopyLimit, "convert", "-n", "-f", "raw", "-O", "raw", image, _cluster["a"].NbdUri("main/fs"));

        // Another node takes it over by its Unix socket, adds a file and writes it back through a third.
        var copy = _cluster.File("fs.copy.img");
        var socket = $"nbd+unix:///main/fs?socket={_cluster["b"].NbdSocket}";
        await Tool.RunAsync("nbdcopy", CopyLimit, socket, copy);
        var added = _cluster.File("added.txt");
        await File.WriteAllTextAsync(added, string.Join('\n', Enumerable.Range(0, 20_000)));
        await Tool.RunAsync("debugfs", CopyLimit, "-w", "-R", $"write {added} /added.txt", copy);
        await Tool.RunAsync("nbdcopy", CopyLimit, "--flush", copy, _cluster["c"].NbdUri("main/fs"));

        var back = _cluster.File("fs.back.img");
        await Tool.RunAsync("nbdcopy", CopyLimit, _cluster["a"].NbdUri("main/fs"), back);
        await RealInput.AssertCleanAsync(back);
        var dumped = _cluster.File("dumped.txt");
        await Tool.RunAsync("debugfs", CopyLimit, "-R", $"dump /added.txt {dumped}", back);
        Assert.Equal(await RealInput.HashAsync(added), await RealInput.HashAsync(dumped));
        await _cluster.DeleteMirrorAsync("main/fs");
    });
}
