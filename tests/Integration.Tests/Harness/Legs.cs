using System.Text.Json.Nodes;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Compares the legs of a mirror on the raw disks, with cmp and the published map alone.</summary>
internal static class Legs
{
    /// <summary>Fails unless all legs hold the same bytes. The volume must be quiet.</summary>
    public static async Task AssertIdenticalAsync(TestCluster cluster, string volume, long sizeBytes)
    {
        var legs = await MapAsync(cluster, volume);
        Assert.True(legs.Count >= 2, $"{volume} has {legs.Count} legs");
        var first = legs[0];
        Assert.Equal(sizeBytes, first.Sum(extent => extent.Length));
        foreach (var second in legs.Skip(1))
        {
            Assert.Equal(sizeBytes, second.Sum(extent => extent.Length));
            for (long position = 0; position < sizeBytes;)
            {
                var (left, leftLength) = At(first, position);
                var (right, rightLength) = At(second, position);
                var length = Math.Min(leftLength, rightLength);
                var result = await Tool.TryRunAsync(
                    "cmp", TimeSpan.FromSeconds(60), "-n", length.ToString(), "-i", $"{left.Offset}:{right.Offset}", left.Path, right.Path);
                Assert.True(result.ExitCode == 0, $"the legs of {volume} differ between {position} and {position + length}: {result}");
                position += length;
            }
        }
    }

    /// <summary>The extents of each leg.</summary>
    public static async Task<IReadOnlyList<IReadOnlyList<Extent>>> MapAsync(TestCluster cluster, string volume) =>
        [.. (await cluster.CliAsync("submirror", "map", volume)).Json.AsArray().Select(leg => Extents(leg!))];

    /// <summary>Writes into one leg on its raw disk, as a write that reached no other leg before its node died.</summary>
    public static void Write(IReadOnlyList<Extent> leg, long position, ReadOnlySpan<byte> data)
    {
        var (place, length) = At(leg, position);
        Assert.True(data.Length <= length, "the piece crosses an extent");
        using var disk = File.OpenHandle(place.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.Write(disk, data, place.Offset);
        RandomAccess.FlushToDisk(disk);
    }

    private static ((string Path, long Offset) Place, long Length) At(IReadOnlyList<Extent> extents, long position)
    {
        var extent = extents.First(item => item.VolumeOffset <= position && position < item.VolumeOffset + item.Length);
        var inside = position - extent.VolumeOffset;
        return ((extent.Path, extent.DiskOffset + inside), extent.Length - inside);
    }

    private static List<Extent> Extents(JsonNode leg) => [.. leg["extents"]!.AsArray().Select(extent => new Extent(
        (string)extent!["path"]!,
        (long)extent["diskOffsetBytes"]!,
        (long)extent["volumeOffsetBytes"]!,
        (long)extent["lengthBytes"]!))];
}

/// <summary>A piece of a leg on a raw disk.</summary>
internal sealed record Extent(string Path, long DiskOffset, long VolumeOffset, long Length);
