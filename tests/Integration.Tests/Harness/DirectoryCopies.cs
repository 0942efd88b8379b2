namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Backups of data directories of nodes that are down, and what a node says of one that was put back.</summary>
internal static class DirectoryCopies
{
    /// <summary>Copies a node's directory.</summary>
    /// <returns>Where the copy is.</returns>
    public static string CopyOf(NodeProcess node)
    {
        var copy = $"{node.Directory}.copy{Directory.GetDirectories(Path.GetDirectoryName(node.Directory)!).Length}";
        Copy(node.Directory, copy);
        return copy;
    }

    /// <summary>Replaces a node's directory by a copy, which stays.</summary>
    public static void PutBack(NodeProcess node, string copy)
    {
        Directory.Delete(node.Directory, recursive: true);
        Copy(copy, node.Directory);
    }

    /// <summary>Waits until a node takes no part in the log.</summary>
    /// <param name="node">Node.</param>
    /// <param name="words">What it may say that it is.</param>
    /// <returns>All that it says to whoever asks whether it is ready.</returns>
    public static async Task<string> BarredAsync(NodeProcess node, params string[] words)
    {
        var seen = "";
        await Eventually.TrueAsync($"node {node.Name} is {string.Join(" or ", words)}", DiskStory.Limit, async () =>
        {
            seen = (await node.ReadyzAsync()).Text;
            return words.Any(word => seen.Contains($"this node is {word}", StringComparison.Ordinal));
        }, () => seen + node.Output());
        return seen;
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from))
        {
            if (!file.EndsWith(".sock", StringComparison.Ordinal)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        }

        foreach (var directory in Directory.GetDirectories(from)) Copy(directory, Path.Combine(to, Path.GetFileName(directory)));
    }
}
