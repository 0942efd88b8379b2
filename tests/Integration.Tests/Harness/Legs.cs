using System.Text.Json.Nodes;
using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Compares the legs of a mirror on the raw disks, with cmp and the published map alone.</summary>
internal static class Legs
{
    /// <summary>Fails unless all legs hold the same bytes. The volume must be quiet.</summary>
    public static async Task AssertIdenticalAsync(TestCluster cluster, string volume, long sizeBytes)
    {
        var map = (await cluster.CliAsync("submirror", "map", volume)).Json.AsArray();
        Assert.True(map.Count >= 2, $"{volume} has {map.Count} legs");
        var first = Extents(map[0]!);
        Assert.Equal(sizeBytes, first.Sum(extent => extent.Length));
        foreach (var other in map.Skip(1))
        {
            var second = Extents(other!);
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

    private sealed record Extent(string Path, long DiskOffset, long VolumeOffset, long Length);
}
