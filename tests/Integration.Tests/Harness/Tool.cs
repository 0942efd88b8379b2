namespace RaftMirror.Integration.Tests.Harness;

/// <summary>Finds programs that are not ours.</summary>
internal static class Tool
{
    // A service's PATH often lacks the administrators' directories, where mkfs and e2fsck live.
    private static readonly string[] MoreDirectories = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

    /// <returns>The full path, or null if it is not installed.</returns>
    public static string? Find(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
        .Concat(MoreDirectories)
        .Select(directory => Path.Combine(directory, name))
        .FirstOrDefault(File.Exists);

    /// <summary>Runs a tool to its end; throws if it fails.</summary>
    public static async Task<ProcessResult> RunAsync(string name, TimeSpan limit, params string[] arguments)
    {
        var result = await TryRunAsync(name, limit, arguments);
        return result.ExitCode == 0 ? result : throw new ToolFailedException(result);
    }

    /// <summary>Runs a tool to its end, whatever its exit code.</summary>
    public static Task<ProcessResult> TryRunAsync(string name, TimeSpan limit, params string[] arguments)
    {
        var path = Find(name) ?? throw new InvalidOperationException($"{name} is not installed; the test should have been skipped.");
        return ProcessResult.RunAsync(path, arguments, limit);
    }
}

/// <summary>A tool ended with an exit code that is not 0.</summary>
internal sealed class ToolFailedException(ProcessResult result) : Exception(result.ToString());
