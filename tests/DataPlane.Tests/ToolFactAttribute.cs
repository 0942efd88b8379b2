using Xunit;

namespace RaftMirror.DataPlane.Tests;

/// <summary>A test that runs Debian tools; skipped with the reason where one is missing, unless
/// RAFTMIRROR_REQUIRE_TOOLS=1 says that all are there.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ToolFactAttribute : FactAttribute
{
    public ToolFactAttribute(params string[] tools)
    {
        Tools = tools;
        if (Environment.GetEnvironmentVariable("RAFTMIRROR_REQUIRE_TOOLS") == "1") return;
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':');
        var missing = tools.Where(tool => !folders.Any(folder => File.Exists(Path.Combine(folder, tool)))).ToList();
        if (missing.Count > 0) Skip = $"not installed: {string.Join(", ", missing)}";
    }

    public IReadOnlyList<string> Tools { get; }
}
