using RaftMirror.Integration.Tests.Harness;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>Disks that hold something: never taken unasked, whatever wrote to them, and really empty once they were overwritten.</summary>
public sealed class ForeignDiskTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Real tools, and a part of the name that must be shown.</summary>
    private static readonly (string Name, string Tool, string[] Arguments)[] Formats =
    [
        ("ext4", "mkfs.ext4", ["-q", "-F"]),
        ("XFS", "mkfs.xfs", ["-q", "-f"]),
        ("btrfs", "mkfs.btrfs", ["-q", "-f"]),
        ("FAT", "mkfs.vfat", []),
        ("NTFS", "mkfs.ntfs", ["-F", "-Q", "-q"]),
        ("F2FS", "mkfs.f2fs", ["-q"]),
        ("JFS", "mkfs.jfs", ["-q"]),
        ("NILFS2", "mkfs.nilfs2", ["-q"]),
        ("GFS", "mkfs.gfs2", ["-q", "-O", "-p", "lock_nolock"]),
        ("swap space", "mkswap", ["-q"]),
    ];

    [ToolFact("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat", "mkfs.ntfs", "mkfs.f2fs", "mkfs.jfs", "mkfs.nilfs2", "mkfs.gfs2", "mkswap", "sfdisk", "wipefs", "blkid")]
    public Task Disk_OfRealTools_IsRefusedThenOverwrittenWithoutATrace() => TestCluster.RunAsync(output, async cluster =>
    {
        var a = cluster["a"];
        await cluster.CliAsync("set", "create", "real", "--nodes", "a");
        var number = 0;
        foreach (var (name, tool, arguments) in Formats)
        {
            var path = cluster.CreateDisk($"real-{number}", 320);
            await Tool.RunAsync(tool, Limit, [.. arguments, path]);
            await RefusedThenTakenAsync(a, $"d{number++}", path, name);
        }

        var table = cluster.CreateDisk("table", 128);
        await PartitionAsync(table);
        await RefusedThenTakenAsync(a, "gpt", table, "GPT partition table");

        // Somebody zeroed the start, as people do: what is left stands at the end alone.
        var backup = cluster.CreateDisk("backup", 128);
        await PartitionAsync(backup);
        using (var file = File.OpenWrite(backup)) file.Write(new byte[4 << 20]);
        await RefusedThenTakenAsync(a, "backup", backup, "GPT backup");
    }, nodes: 1);

    [Fact]
    public Task Disk_MembersOfArraysByTheirEnds_AreRefusedByName() => TestCluster.RunAsync(output, async cluster =>
    {
        await cluster.CliAsync("set", "create", "ends", "--nodes", "a");
        const long size = 128L << 20;
        foreach (var (name, position, magic) in ((string, long, byte[])[])
        [
            ("metadata 0.90", size - (64 << 10), [0xFC, 0x4E, 0x2B, 0xA9]),
            ("metadata 1.0", size - 8192, [0xFC, 0x4E, 0x2B, 0xA9]),
            ("DRBD", size - 4096 + 60, [0x83, 0x74, 0x02, 0x6D]),
            ("ZFS", size - (256 << 10) + (16 << 10), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            ("DDF", size - 512, [0xDE, 0x11, 0xDE, 0x11]),
            ("Intel", size - 1024, [.. "Intel Raid ISM Cfg Sig. 1.0.00"u8]),
        ])
        {
            var path = cluster.CreateDisk(name.Replace(' ', '-'), 128);
            using (var file = File.OpenWrite(path))
            {
                file.Position = position;
                file.Write(magic);
            }

            var refused = (await cluster["a"].CliAsync("disk", "add", "ends", "d", path)).Expect(4);
            Assert.Contains(name, refused.Error, StringComparison.Ordinal);
        }
    }, nodes: 1);

    [Fact]
    public Task Overwrite_NodesSeeDifferentDisks_PutsBackWhatWasThere() => TestCluster.RunAsync(output, async cluster =>
    {
        await cluster.CliAsync("set", "create", "two", "--nodes", "a,b,c");
        var one = cluster.CreateDisk("one", 128);
        var other = cluster.CreateDisk("other", 128);
        foreach (var path in (string[])[one, other])
        {
            using var file = File.OpenWrite(path);
            file.Write("XFSB, as if"u8);
            file.Position = (128L << 20) - 512;
            file.Write("EFI PART, as if"u8);
        }

        var before = (File.ReadAllBytes(one), File.ReadAllBytes(other));
        var refused = (await cluster["a"].CliAsync("disk", "add", "two", "d", one, "--path", $"b={other}", "--overwrite")).Expect(4);
        Assert.Contains("differentDisks", refused.Error, StringComparison.Ordinal);
        Assert.True(before.Item1.AsSpan().SequenceEqual(File.ReadAllBytes(one)) && before.Item2.AsSpan().SequenceEqual(File.ReadAllBytes(other)), "a disk was changed");

        // The same disk everywhere: taken. And from then on it is this cluster's, which it does not overwrite.
        (await cluster["a"].CliAsync("disk", "add", "two", "d", one, "--overwrite")).Expect();
        var link = cluster.File("link");
        File.CreateSymbolicLink(link, one);
        var again = (await cluster["a"].CliAsync("disk", "add", "two", "e", link, "--overwrite")).Expect(4);
        Assert.Contains("already a disk of set", again.Error, StringComparison.Ordinal);
    });

    private static Task<ProcessResult> PartitionAsync(string path) =>
        Tool.RunAsync("bash", Limit, "-c", $"echo 'label: gpt\n,' | PATH=$PATH:/usr/sbin:/sbin sfdisk -q '{path}'");

    private static async Task RefusedThenTakenAsync(NodeProcess node, string disk, string path, string name)
    {
        Assert.NotEqual("", (await Tool.RunAsync("wipefs", Limit, "-n", path)).Output); // wipefs sees it too.
        var refused = (await node.CliAsync("disk", "add", "real", disk, path)).Expect(4);
        Assert.Contains(name, refused.Error, StringComparison.Ordinal);
        Assert.Contains("--overwrite", refused.Error, StringComparison.Ordinal);
        var shown = (await node.CliAsync("disk", "add", "real", disk, path, "--overwrite", "--dry-run")).Expect();
        Assert.Contains(name, shown.Output, StringComparison.Ordinal);
        Assert.NotEqual("", (await Tool.RunAsync("wipefs", Limit, "-n", path)).Output); // A dry run changed nothing.
        (await node.CliAsync("disk", "add", "real", disk, path, "--overwrite")).Expect();
        Assert.Equal("", (await Tool.RunAsync("wipefs", Limit, "-n", path)).Output);
        var known = await Tool.TryRunAsync("blkid", Limit, "-p", path);
        Assert.True(known is { ExitCode: 2, Output: "" }, $"blkid still finds something: {known}");
    }
}
