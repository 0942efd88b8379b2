using System.Buffers.Binary;
using RaftMirror.Integration.Tests.Harness;
using RaftMirror.Primitives;
using Xunit;
using Xunit.Abstractions;

namespace RaftMirror.Integration.Tests;

/// <summary>What stands beside a stamp is damaged, or lies (docs/adr/0023). The label around it is sound, so the disk itself is believed.</summary>
public sealed class ForgedTestimonyTests(ITestOutputHelper output)
{
    private const ulong FarBeyond = 1_000_000_007;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    [ToolFact("cmp")]
    public async Task ChecksumIsWrong_NodesSaySoServeAndTheNextStampMendsIt() => await TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await CreateAsync(cluster);
        await DiskStory.StopAllAsync(cluster);
        Change(paths[0], static testimony => testimony[^1] ^= 1);
        var before = DiskStory.StampOn(paths[0]);
        await DiskStory.StartAllAsync(cluster);
        await cluster.WaitUntilHealthyAsync("lie/v");
        await DiskStory.AssertReadsAsync(cluster["b"], "lie/v", 1);
        Assert.All(cluster.Nodes, node => Assert.Contains($"What disk 'd0' ({paths[0]}) tells of the log beside its stamp is damaged", node.Output(), StringComparison.Ordinal));
        Assert.All(cluster.Nodes, node => Assert.DoesNotContain("What disk 'd1'", node.Output(), StringComparison.Ordinal));

        await DiskStory.StampedAfterAsync(paths[0], before);
        await DiskStory.StopAllAsync(cluster);
        await DiskStory.StartAllAsync(cluster);
        await cluster.WaitUntilHealthyAsync("lie/v");
        Assert.All(cluster.Nodes, node => Assert.DoesNotContain("is damaged", node.OutputSince("start:"), StringComparison.Ordinal));
        await Legs.AssertIdenticalAsync(cluster, "lie/v", 16 << 20);
    });

    /// <summary>By design one such label keeps all from a leader: it cannot be told from the truth, that all directories are old. The ways out have to work.</summary>
    [ToolFact("cmp")]
    public async Task NamesAnEntryFarBeyond_NobodyServesAndSaysWhyAndBothWaysOutWork() => await TestCluster.RunAsync(output, async cluster =>
    {
        var paths = await CreateAsync(cluster);
        await DiskStory.StopAllAsync(cluster);
        Change(paths[0], static testimony =>
        {
            BinaryPrimitives.WriteUInt64LittleEndian(testimony[40..], FarBeyond);
            BinaryPrimitives.WriteUInt64LittleEndian(testimony[32..], FarBeyond);
            BinaryPrimitives.WriteUInt32LittleEndian(testimony[^4..], Crc32C.Compute(testimony[..^4]));
        });
        foreach (var node in cluster.Nodes) cluster.Start(node);
        foreach (var node in cluster.Nodes) await NobodyLeadsAsync(node, paths[0]);
        var refused = await cluster["a"].CliAsync("status");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("raft recover", refused.Error, StringComparison.Ordinal);
        await DiskStory.AssertNotServedAsync(cluster["b"], "lie/v");

        // The disk is taken away while the nodes start: the others' data is served, and written to.
        DiskStory.KillAll(cluster);
        File.Move(paths[0], paths[0] + ".away");
        await DiskStory.StartAllAsync(cluster);
        await DiskStory.AssertReadsAsync(cluster["b"], "lie/v", 1);
        await DiskStory.WriteAsync(cluster["c"], "lie/v", 2, 1 << 20);

        // Put back as it is, it stops them again: they have read it once more.
        DiskStory.KillAll(cluster);
        File.Move(paths[0] + ".away", paths[0]);
        foreach (var node in cluster.Nodes) cluster.Start(node);
        foreach (var node in cluster.Nodes) await NobodyLeadsAsync(node, paths[0]);

        // A recovered cluster has another id, to which it is mute.
        DiskStory.KillAll(cluster);
        var directory = cluster.File("recovered");
        (await TestCluster.RunCliAsync(
            "raft", "recover", "--data", cluster["a"].Directory, "--to", directory, "--reason", "a label lies", "--confirm", "a", "-o", "json")).Expect();
        var survivor = cluster.AddNode("a", joins: false, directory);
        cluster.Start(survivor);
        await cluster.WaitUntilReadyAsync(survivor);
        await cluster.WaitUntilHealthyAsync("lie/v", survivor);
        await DiskStory.AssertReadsAsync(survivor, "lie/v", 1);
        await DiskStory.AssertReadsAsync(survivor, "lie/v", 2, 1 << 20);
        await Legs.AssertIdenticalAsync(cluster, "lie/v", 16 << 20);
    });

    private static async Task<IReadOnlyList<string>> CreateAsync(TestCluster cluster)
    {
        var paths = await cluster.CreateSetAsync("lie", disks: 2, megabytes: 128);
        await cluster.CreateMirrorAsync("lie/v", "16M");
        await DiskStory.WriteAsync(cluster["a"], "lie/v", 1);
        return paths;
    }

    private delegate void Alter(Span<byte> testimony);

    /// <summary>Changes the testimony in both copies of a disk's label, whose own checksum is right afterwards (docs/formats.md).</summary>
    private static void Change(string path, Alter alter)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var label = new byte[4096];
        file.ReadExactly(label);
        var length = BinaryPrimitives.ReadUInt16LittleEndian(label.AsSpan(144));
        Assert.True(length > 52, "a node has testified");
        alter(label.AsSpan(146, length));
        BinaryPrimitives.WriteUInt32LittleEndian(label.AsSpan(8), Crc32C.Compute(label.AsSpan(12)));
        foreach (var offset in (long[])[(file.Length - label.Length) / label.Length * label.Length, 0])
        {
            file.Position = offset;
            file.Write(label);
        }
    }

    private static async Task NobodyLeadsAsync(NodeProcess node, string disk)
    {
        var seen = "";
        await Eventually.TrueAsync($"{node.Name} says why nobody leads", Limit, async () =>
        {
            (_, seen) = await node.ReadyzAsync();
            return seen.Contains("Nobody is elected here who lacks what was committed", StringComparison.Ordinal)
                && seen.Contains(disk, StringComparison.Ordinal) && seen.Contains($"entry {FarBeyond} of term {FarBeyond}", StringComparison.Ordinal);
        }, () => seen + node.Output());
    }
}
