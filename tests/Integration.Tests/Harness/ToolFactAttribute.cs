using Xunit;

namespace RaftMirror.Integration.Tests.Harness;

/// <summary>A test that needs programs of the system; without them it is skipped and says which one is missing.
/// With RAFTMIRROR_REQUIRE_TOOLS=1 it runs, and fails, instead.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ToolFactAttribute : FactAttribute
{
    /// <param name="tools">Names of programs.</param>
    public ToolFactAttribute(params string[] tools)
    {
        ArgumentNullException.ThrowIfNull(tools);
        Tools = tools;
        var missing = tools.Where(tool => Tool.Find(tool) is null).ToArray();
        if (missing.Length > 0 && Environment.GetEnvironmentVariable("RAFTMIRROR_REQUIRE_TOOLS") != "1")
            Skip = $"not installed: {string.Join(", ", missing)}";
    }

    /// <summary>Programs the test needs.</summary>
    public IReadOnlyList<string> Tools { get; }
}
