using System.Security.Cryptography;
using RaftMirror.Integration.Tests.Harness;

namespace RaftMirror.Integration.Tests;

/// <summary>File systems made of files that people really have.</summary>
internal static class RealInput
{
    private const long MaxFileBytes = 24L << 20;
    private const int MaxFiles = 12_000;
    private static readonly string[] Sources = ["/usr/bin", "/usr/share", "/usr/lib", "/usr/include"];
    private static readonly TimeSpan ToolLimit = TimeSpan.FromSeconds(120);

    /// <summary>Copies files of this machine until there are enough, and makes an ext4 image of them.</summary>
    /// <param name="image">Path of the image to be made.</param>
    /// <param name="imageMegabytes">Its size.</param>
    /// <param name="contentMegabytes">How much of it shall be files.</param>
    /// <returns>Bytes of files in it; less than asked for on a machine that has less.</returns>
    public static async Task<long> MakeFileSystemAsync(string image, int imageMegabytes, int contentMegabytes)
    {
        var staging = image + ".files";
        Directory.CreateDirectory(staging);
        try
        {
            var bytes = CopyFiles(staging, (long)contentMegabytes << 20);
            await Tool.RunAsync(
                "mkfs.ext4", ToolLimit, "-q", "-F", "-E", "lazy_itable_init=0", "-N", (MaxFiles * 2).ToString(), "-d", staging, image,
                $"{imageMegabytes}M");
            return bytes;
        }
        finally
        {
            Directory.Delete(staging, recursive: true);
        }
    }

    /// <summary>Fails unless e2fsck finds nothing wrong in an image.</summary>
    public static Task AssertCleanAsync(string image) => Tool.RunAsync("e2fsck", ToolLimit, "-f", "-n", image);

    /// <summary>SHA-256 of a file.</summary>
    public static async Task<string> HashAsync(string path)
    {
        await using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file));
    }

    private static long CopyFiles(string target, long wantedBytes)
    {
        long bytes = 0;
        var files = 0;
        var options = new EnumerationOptions
        {
            RecurseSubdirectories = true,
            IgnoreInaccessible = true,
            AttributesToSkip = FileAttributes.ReparsePoint | FileAttributes.Device,
        };
        foreach (var source in Sources.Where(Directory.Exists))
        {
            // A fair share of each source: programs, texts and libraries differ.
            var until = Math.Min(wantedBytes, bytes + (wantedBytes / 2));
            foreach (var file in new DirectoryInfo(source).EnumerateFiles("*", options))
            {
                if (bytes >= until || files >= MaxFiles) break;
                if (file.Length > MaxFileBytes || bytes + file.Length > wantedBytes) continue;
                var copy = Path.Join(target, file.FullName);
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                file.CopyTo(copy);
                bytes += file.Length;
                files++;
            }
        }

        return bytes;
    }
}
