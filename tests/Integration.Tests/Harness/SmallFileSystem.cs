using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>An ext4 of its own in a file, mounted through a loop device: what becomes really full, and alone. Dispose of it after the cluster.</summary>
internal sealed class SmallFileSystem : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly string _root = Directory.CreateTempSubdirectory("rm-fs-").FullName;

    private string Point => Path.Combine(_root, "fs");

    private string Filler => Path.Combine(Point, "filler");

    /// <summary>Makes and mounts it.</summary>
    public static async Task<SmallFileSystem> MakeAsync(int megabytes)
    {
        var made = new SmallFileSystem();
        var image = Path.Combine(made._root, "image");
        await using (var file = new FileStream(image, FileMode.CreateNew)) file.SetLength((long)megabytes << 20);
        Directory.CreateDirectory(made.Point);
        await Tool.RunAsync("mkfs.ext4", Limit, "-q", "-F", "-m", "0", image);
        await Tool.RunAsync("mount", Limit, "-o", "loop", image, made.Point);
        return made;
    }

    /// <summary>From now on the node's data directory lies here: before its first start.</summary>
    public void Take(NodeProcess node)
    {
        var data = Directory.CreateDirectory(Path.Combine(Point, "data"));
        Directory.CreateSymbolicLink(node.Directory, data.FullName);
    }

    /// <summary>Takes the last byte that is free.</summary>
    public void Fill()
    {
        using var file = new FileStream(Filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        var piece = new byte[1 << 20];
        for (var size = piece.Length; size >= 512;)
        {
            try
            {
                file.Write(piece, 0, size);
                file.Flush(flushToDisk: true);
            }
            catch (IOException)
            {
                size /= 2;
            }
        }
    }

    /// <summary>Gives back what <see cref="Fill"/> took.</summary>
    public void Free() => File.Delete(Filler);

    public async ValueTask DisposeAsync()
    {
        await Eventually.TrueAsync($"{Point} is unmounted", Limit, async () =>
            (await Tool.TryRunAsync("umount", Limit, Point)).ExitCode == 0 || !IsMounted());
        Directory.Delete(_root, recursive: true);
    }

    private bool IsMounted() => File.ReadLines("/proc/self/mounts").Any(line => line.Contains(Point, StringComparison.Ordinal));
}

/// <summary>A test that mounts file systems, which takes root; else it is skipped, or with RAFTMIRROR_REQUIRE_TOOLS=1 it runs, and fails.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MountFactAttribute : FactAttribute
{
    /// <summary>Whether this process may mount.</summary>
    public MountFactAttribute()
    {
        string[] tools = ["mkfs.ext4", "mount", "umount"];
        Tools = tools;
        if (Environment.GetEnvironmentVariable("RAFTMIRROR_REQUIRE_TOOLS") == "1") return;
        var missing = tools.Where(tool => Tool.Find(tool) is null).ToArray();
        if (missing.Length > 0) Skip = $"not installed: {string.Join(", ", missing)}";
        else if (!Environment.IsPrivilegedProcess || !File.Exists("/dev/loop-control")) Skip = "needs root and loop devices";
    }

    /// <summary>Programs the test needs.</summary>
    public IReadOnlyList<string> Tools { get; }
}
