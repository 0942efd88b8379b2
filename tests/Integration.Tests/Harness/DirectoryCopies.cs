namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Backups of data directories of nodes that are down.</summary>
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
